//! What the browser vouches for: which ceremony, which challenge, on a page of which origin (section 5.8.1).

use crate::{CHALLENGE_BYTES, Refused, RelyingParty};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// Longest client data that is read, bytes.
pub const CLIENT_DATA_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceremony {
    Create,
    Get,
}

impl Ceremony {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

/// Browsers add members as they please, and move them (section 5.8.1); a member that is there twice is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    challenge: Cow<'a, str>,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default, borrow)]
    top_origin: Option<Cow<'a, str>>,
}

pub(crate) fn check(
    bytes: &[u8],
    ceremony: Ceremony,
    challenge: &[u8; CHALLENGE_BYTES],
    party: &RelyingParty,
) -> Result<(), Refused> {
    if bytes.len() > CLIENT_DATA_BYTES_MAX {
        return Err(Refused::ClientData);
    }
    let said: ClientData<'_> = serde_json::from_slice(bytes).map_err(|_| Refused::ClientData)?;
    if said.r#type != ceremony.word() {
        return Err(Refused::Ceremony);
    }
    let answered = BASE64URL_NOPAD.decode(said.challenge.as_bytes()).map_err(|_| Refused::Challenge)?;
    if !bool::from(answered.ct_eq(challenge)) {
        return Err(Refused::Challenge);
    }
    if said.origin != party.origin() || said.cross_origin == Some(true) || said.top_origin.is_some() {
        return Err(Refused::Origin);
    }
    Ok(())
}
