//! Passkeys: what a browser and an authenticator say, read and verified (Web Authentication Level 3, sections 7.1 and
//! 7.2) for a relying party that asks for user verification and wants no attestation.
//!
//! Bytes in, a verdict out: no clock, no random number, no account. Who issued a challenge, when, and for whom, whose a
//! credential is and what its counter was, is known to the caller. `docs/decisions/186` says why this is no library.

mod authenticator_data;
mod client_data;
mod public_key;
mod relying_party;

pub use authenticator_data::{AUTHENTICATOR_DATA_BYTES_MAX, CREDENTIAL_ID_BYTES_MAX};
pub use client_data::CLIENT_DATA_BYTES_MAX;
pub use public_key::{ALGORITHMS, PUBLIC_KEY_BYTES_MAX, PublicKey};
pub use relying_party::RelyingParty;

use authenticator_data::AuthenticatorData;
use client_data::Ceremony;
use vitals::ids::sha256;

/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 32;
/// Longest signature, bytes: that of the longest RSA key.
pub const SIGNATURE_BYTES_MAX: usize = 512;

/// Why it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The client data is not JSON of this kind, or over its bound.
    #[error("the client data cannot be read")]
    ClientData,
    /// The client data is of the other ceremony: of making a passkey, or of using one.
    #[error("the client data is of another ceremony")]
    Ceremony,
    /// It answers another challenge.
    #[error("it answers another challenge")]
    Challenge,
    /// The page that asked is of another origin, or stood in a page of another one.
    #[error("it was made on a page of another origin")]
    Origin,
    /// The authenticator data is not what the standard says, or over its bound.
    #[error("the authenticator data cannot be read")]
    AuthenticatorData,
    /// It was made for another relying party.
    #[error("it was made for another relying party")]
    RelyingParty,
    /// Nobody touched the authenticator.
    #[error("nobody was present")]
    NotPresent,
    /// The authenticator did not verify who uses it: no PIN, finger or face.
    #[error("the authenticator did not verify its user")]
    NotVerified,
    /// Backed up, of a key that cannot be backed up; or it could be before and cannot now, or the other way round.
    #[error("the flags of a backup contradict one another")]
    Backup,
    /// A key of an algorithm that was not asked for, or not encoded as the standard says.
    #[error("the public key is of another kind")]
    Key,
    /// The signature is not that of the key.
    #[error("the signature is wrong")]
    Signature,
}

/// A passkey that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Names it; chosen by the authenticator.
    pub credential_id: Vec<u8>,
    /// Checks its signatures.
    pub public_key: PublicKey,
    /// The authenticator's count of signatures; 0 where it keeps none.
    pub sign_count: u32,
    /// Can it be copied to other devices, by a password manager for one?
    pub backup_eligible: bool,
    /// Was it?
    pub backed_up: bool,
}

/// A passkey that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The authenticator's count of signatures; 0 where it keeps none.
    pub sign_count: u32,
    /// Is there a copy elsewhere now?
    pub backed_up: bool,
}

/// What a browser answers when a passkey is used.
#[derive(Clone, Copy)]
pub struct Assertion<'a> {
    /// `response.clientDataJSON`.
    pub client_data: &'a [u8],
    /// `response.authenticatorData`.
    pub authenticator_data: &'a [u8],
    /// `response.signature`.
    pub signature: &'a [u8],
}

/// Checks a passkey that was made (section 7.1). The attestation statement, which says of what make the authenticator
/// is, is not looked at: any make will do, so that `response.getAuthenticatorData()` is enough.
///
/// # Errors
/// The first thing that is wrong.
pub fn register(
    party: &RelyingParty,
    challenge: &[u8; CHALLENGE_BYTES],
    client_data: &[u8],
    authenticator_data: &[u8],
) -> Result<Registered, Refused> {
    client_data::check(client_data, Ceremony::Create, challenge, party)?;
    let data = AuthenticatorData::read(authenticator_data)?;
    data.check(party)?;
    let (credential_id, public_key) = data.credential.ok_or(Refused::AuthenticatorData)?;
    Ok(Registered {
        credential_id: credential_id.to_vec(),
        public_key,
        sign_count: data.sign_count,
        backup_eligible: data.backup_eligible,
        backed_up: data.backed_up,
    })
}

/// Checks a passkey that was used (section 7.2). `backup_eligible` is as it was when the passkey was made: it does not
/// change. The count of signatures is the caller's to compare.
///
/// # Errors
/// The first thing that is wrong.
pub fn authenticate(
    party: &RelyingParty,
    challenge: &[u8; CHALLENGE_BYTES],
    key: &PublicKey,
    backup_eligible: bool,
    assertion: Assertion<'_>,
) -> Result<Used, Refused> {
    let Assertion { client_data, authenticator_data, signature } = assertion;
    client_data::check(client_data, Ceremony::Get, challenge, party)?;
    let data = AuthenticatorData::read(authenticator_data)?;
    data.check(party)?;
    if data.backup_eligible != backup_eligible {
        return Err(Refused::Backup);
    }
    let signed = [authenticator_data, &sha256(&[client_data])].concat();
    if signature.len() > SIGNATURE_BYTES_MAX || !key.verifies(&signed, signature) {
        return Err(Refused::Signature);
    }
    Ok(Used { sign_count: data.sign_count, backed_up: data.backed_up })
}

#[cfg(test)]
mod tests;
