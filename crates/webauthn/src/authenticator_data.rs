//! What the authenticator vouches for: for whom, how its user was verified, how often it signed (section 6.1).

use crate::{PublicKey, Refused, RelyingParty};

/// Longest authenticator data that is read, bytes: a credential id and a public key of the longest kind, and room for
/// extensions that nobody asked for.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 4096;
/// Longest credential id, bytes (section 4, "Credential ID").
pub const CREDENTIAL_ID_BYTES_MAX: usize = 1023;

const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;
const AAGUID_BYTES: usize = 16;

pub(crate) struct AuthenticatorData<'a> {
    id_hash: &'a [u8; 32],
    flags: u8,
    pub(crate) sign_count: u32,
    pub(crate) backup_eligible: bool,
    pub(crate) backed_up: bool,
    /// Id and key of a passkey that was made.
    pub(crate) credential: Option<(&'a [u8], PublicKey)>,
}

impl<'a> AuthenticatorData<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Refused> {
        Self::parts(bytes).ok_or(Refused::AuthenticatorData)?
    }

    /// Nothing if the bytes end too early, or go on where they should not.
    fn parts(bytes: &'a [u8]) -> Option<Result<Self, Refused>> {
        if bytes.len() > AUTHENTICATOR_DATA_BYTES_MAX {
            return None;
        }
        let (id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let ([flags], rest) = rest.split_first_chunk::<1>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let is = |flag: u8| flags & flag != 0;
        let mut credential = None;
        if is(HAS_CREDENTIAL) {
            let (_aaguid, after) = rest.split_first_chunk::<AAGUID_BYTES>()?;
            let (id_len, after) = after.split_first_chunk::<2>()?;
            let (id, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*id_len)))?;
            if id.is_empty() || id.len() > CREDENTIAL_ID_BYTES_MAX {
                return None;
            }
            match PublicKey::split_from(after) {
                Ok((key, after)) => (credential, rest) = (Some((id, key)), after),
                Err(why) => return Some(Err(why)),
            }
        }
        // Extensions are a map of their own, which nobody asked for and nobody reads; without the flag nothing follows.
        if rest.is_empty() == is(HAS_EXTENSIONS) {
            return None;
        }
        Some(Ok(Self {
            id_hash,
            flags: *flags,
            sign_count: u32::from_be_bytes(*count),
            backup_eligible: is(BACKUP_ELIGIBLE),
            backed_up: is(BACKED_UP),
            credential,
        }))
    }

    /// What holds of making and of using a passkey.
    pub(crate) fn check(&self, party: &RelyingParty) -> Result<(), Refused> {
        if *self.id_hash != party.id_hash() {
            return Err(Refused::RelyingParty);
        }
        if self.flags & PRESENT == 0 {
            return Err(Refused::NotPresent);
        }
        if self.flags & VERIFIED == 0 {
            return Err(Refused::NotVerified);
        }
        if self.backed_up && !self.backup_eligible {
            return Err(Refused::Backup);
        }
        Ok(())
    }
}
