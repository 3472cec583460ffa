//! Forms by which a browser answers for a passkey. A script fills them (`assets/passkeys.js`): without one they stay
//! hidden, and the page works with a password.

use crate::app::App;
use crate::fields::Fields;
use axum::http::{HeaderMap, header};
use clinic::{PasskeyAnswer, PasskeyRequest, Session};
use data_encoding::BASE64URL_NOPAD;
use webauthn::{
    AUTHENTICATOR_DATA_BYTES_MAX, Assertion, CLIENT_DATA_BYTES_MAX, CREDENTIAL_ID_BYTES_MAX, RelyingParty,
    SIGNATURE_BYTES_MAX,
};

/// Fields of the answer to [`PasskeyForm`].
pub(crate) const ANSWER: [&str; 6] =
    ["issued", "id", "handle", "client_data", "authenticator_data", "signature"];
/// Longest user handle, bytes (Web Authentication, section 4).
const HANDLE_BYTES_MAX: usize = 64;

/// This site as browsers name it, if passkeys work under that name.
pub(crate) fn party(app: &App, headers: &HeaderMap) -> Option<RelyingParty> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    RelyingParty::of(host, app.settings().behind_tls)
}

/// What the script of a form needs.
pub(crate) struct PasskeyForm {
    pub(crate) issued_ms: u64,
    pub(crate) challenge: String,
    pub(crate) rp_id: String,
}

impl PasskeyForm {
    pub(crate) fn new(request: PasskeyRequest, party: &RelyingParty) -> Self {
        Self {
            issued_ms: request.issued_ms,
            challenge: BASE64URL_NOPAD.encode(&request.challenge),
            rp_id: party.id().into(),
        }
    }

    /// What confirms who sits before this session, where the account has a passkey of this name.
    pub(crate) fn confirming(
        app: &App,
        party: Option<&RelyingParty>,
        session: &Session,
        has_passkey: bool,
    ) -> Option<Self> {
        let party = party.filter(|_| has_passkey)?;
        Some(Self::new(app.clinic().passkey_confirm_request(session, app.now_ms()), party))
    }
}

/// The bytes of a field, within its bound.
pub(crate) fn bytes_of(fields: &Fields, name: &str, max: usize) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(fields.get(name)?.as_bytes()).ok()?;
    (bytes.len() <= max).then_some(bytes)
}

/// When the form was made, as it says itself.
pub(crate) fn issued_ms(fields: &Fields) -> Option<u64> {
    crate::pages::named(fields.get("issued")?)
}

/// The answer of a form, with bytes of its own.
pub(crate) struct Answered {
    issued_ms: u64,
    id: Vec<u8>,
    handle: Vec<u8>,
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
}

impl Answered {
    /// None if a field is not what a script of ours writes.
    pub(crate) fn read(fields: &Fields) -> Option<Self> {
        Some(Self {
            issued_ms: issued_ms(fields)?,
            id: bytes_of(fields, "id", CREDENTIAL_ID_BYTES_MAX)?,
            handle: bytes_of(fields, "handle", HANDLE_BYTES_MAX)?,
            client_data: bytes_of(fields, "client_data", CLIENT_DATA_BYTES_MAX)?,
            authenticator_data: bytes_of(fields, "authenticator_data", AUTHENTICATOR_DATA_BYTES_MAX)?,
            signature: bytes_of(fields, "signature", SIGNATURE_BYTES_MAX)?,
        })
    }

    pub(crate) fn answer(&self) -> PasskeyAnswer<'_> {
        PasskeyAnswer {
            issued_ms: self.issued_ms,
            id: &self.id,
            handle: &self.handle,
            assertion: Assertion {
                client_data: &self.client_data,
                authenticator_data: &self.authenticator_data,
                signature: &self.signature,
            },
        }
    }
}
