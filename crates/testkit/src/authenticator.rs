//! A passkey in software, and what a browser makes of it: for tests of those who verify.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use vitals::ids::sha256;

/// User present, user verified.
const PRESENT_AND_VERIFIED: u8 = 0b101;
const HAS_CREDENTIAL: u8 = 1 << 6;

/// Where a browser is.
#[derive(Debug, Clone)]
pub struct Page {
    pub origin: String,
    pub rp_id: String,
    /// The page stands in one of another origin.
    pub cross_origin: bool,
}

impl Page {
    /// A page of `https://name`.
    pub fn at(name: &str) -> Self {
        Self { origin: format!("https://{name}"), rp_id: name.into(), cross_origin: false }
    }
}

/// What the browser answers: of making a passkey without a signature.
#[derive(Debug, Clone)]
pub struct Said {
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

/// One passkey.
#[derive(Debug)]
pub struct Authenticator {
    key: SigningKey,
    pub id: Vec<u8>,
    /// The user handle it was given.
    pub handle: Vec<u8>,
    /// Signatures so far; an authenticator without a counter says 0.
    pub sign_count: u32,
    /// Flags beside those that say what follows.
    pub flags: u8,
}

impl Authenticator {
    /// One with a counter. The same key for the same seed.
    pub fn new(seed: u8, handle: &[u8]) -> Self {
        Self {
            key: SigningKey::from_slice(&sha256(&[b"authenticator", &[seed]])).expect("a scalar"),
            id: sha256(&[b"credential", &[seed]]).to_vec(),
            handle: handle.to_vec(),
            sign_count: 0,
            flags: PRESENT_AND_VERIFIED,
        }
    }

    /// Another authenticator that holds the same key: a copy.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { key: self.key.clone(), id: self.id.clone(), handle: self.handle.clone(), ..*self }
    }

    /// The public key as COSE.
    pub fn cose_key(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        [&head, x, &[0x22, 0x58, 0x20], y].concat()
    }

    fn data(&self, page: &Page, more: u8) -> Vec<u8> {
        let hash = sha256(&[page.rp_id.as_bytes()]);
        [&hash[..], &[self.flags | more], &self.sign_count.to_be_bytes()].concat()
    }

    /// Makes the passkey.
    pub fn create(&self, page: &Page, challenge: &[u8]) -> Said {
        let mut authenticator_data = self.data(page, HAS_CREDENTIAL);
        authenticator_data.extend([0; 16]);
        authenticator_data.extend(u16::try_from(self.id.len()).expect("short").to_be_bytes());
        authenticator_data.extend(&self.id);
        authenticator_data.extend(self.cose_key());
        let client_data = client_data("webauthn.create", page, challenge);
        Said { client_data, authenticator_data, signature: Vec::new() }
    }

    /// Uses it, and counts.
    pub fn get(&mut self, page: &Page, challenge: &[u8]) -> Said {
        self.sign_count += 1;
        self.sign(page, challenge)
    }

    /// Uses it without counting.
    pub fn sign(&self, page: &Page, challenge: &[u8]) -> Said {
        let authenticator_data = self.data(page, 0);
        let client_data = client_data("webauthn.get", page, challenge);
        let digest = sha256(&[&authenticator_data, &sha256(&[&client_data])]);
        let signature: Signature = self.key.sign_prehash(&digest).expect("32 bytes");
        let signature = der(&signature.to_bytes());
        Said { client_data, authenticator_data, signature }
    }
}

/// base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(number >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// Client data as browsers write it.
pub fn client_data(kind: &str, page: &Page, challenge: &[u8]) -> Vec<u8> {
    let Page { origin, cross_origin, .. } = page;
    let challenge = base64url(challenge);
    format!(
        r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":{cross_origin}}}"#
    )
    .into_bytes()
}

/// r ‖ s as ASN.1.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let at = half.iter().position(|byte| *byte != 0).unwrap_or(half.len() - 1);
        let pad: &[u8] = if half[at] & 0x80 == 0 { &[] } else { &[0] };
        let number = [pad, &half[at..]].concat();
        [&[2, u8::try_from(number.len()).expect("33 bytes at most")], &number[..]].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(both.len()).expect("70 bytes at most")], &both[..]].concat()
}
