//! Names of things: fixed-size, printed as lower-case hex, never built from personal data.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use core::{fmt, str::FromStr};
use sha2::{Digest, Sha256};

/// SHA-256 output, used for every record hash and tree.
pub type Hash = [u8; 32];

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId {
    /// Hex digits expected.
    pub digits: usize,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} lower-case hex digits", self.digits)
    }
}

impl core::error::Error for NotAnId {}

fn nibble(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The id whose bytes are `bytes`, or nothing if the length is wrong.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Some(Self(bytes.try_into().ok()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let wrong = NotAnId { digits: 2 * $len };
                let text = text.as_bytes();
                if text.len() != 2 * $len {
                    return Err(wrong);
                }
                let mut out = [0u8; $len];
                for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = nibble(pair[0]).ok_or(wrong)? << 4 | nibble(pair[1]).ok_or(wrong)?;
                }
                Ok(Self(out))
            }
        }
    };
}

id!(
    /// SHA-256 of the genesis document: the one thing a verifier must be given out of band.
    Genesis, 32
);
id!(
    /// An author: a sensor, a gateway or a node. First 16 bytes of SHA-256 of its Ed25519 public key.
    DeviceId, 16
);
id!(
    /// An organisation. First 16 bytes of SHA-256 of its first record key.
    OrgId, 16
);
id!(
    /// A patient inside one organisation: random, off the ledger.
    PatientId, 16
);
id!(
    /// A person on the ledger (patient or clinician): a salted commitment or a random number.
    PersonId, 32
);
id!(
    /// The hash-linked envelopes of one author about one patient in one class.
    StreamId, 16
);
id!(
    /// A consent on the ledger; never reused.
    GrantId, 32
);

impl DeviceId {
    /// The id of the device whose Ed25519 public key is `public_key`.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        let hash = sha256(&[public_key]);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl PersonId {
    /// The grantee that stands for an organisation's monitoring: its id and sixteen zero bytes.
    #[must_use]
    pub fn of_organisation(org: OrgId) -> Self {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&org.0);
        Self(id)
    }

    /// Is this a grantee that stands for an organisation?
    #[must_use]
    pub fn is_organisation(&self) -> bool {
        self.0[16..] == [0; 16]
    }
}

impl OrgId {
    /// The id of the organisation whose first record key is `record_key`.
    #[must_use]
    pub fn of(record_key: &[u8; 32]) -> Self {
        Self(DeviceId::of(record_key).0)
    }
}

/// What consent is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Heart rate, body temperature and other measurements of the body.
    Vitals = 1,
    /// The room: temperature, humidity, air.
    Environment = 2,
    /// Alarms, their limits, acknowledgements and silences.
    Alarms = 3,
    /// Name, birth date, bed.
    Profile = 4,
    /// Clinical notes.
    Notes = 5,
    /// Messages between patient and care team.
    Messages = 6,
    /// Who opened the record, when and why.
    Access = 7,
}

impl Class {
    /// All classes, in code order.
    pub const ALL: [Self; 7] = [
        Self::Vitals,
        Self::Environment,
        Self::Alarms,
        Self::Profile,
        Self::Notes,
        Self::Messages,
        Self::Access,
    ];

    /// The class with this wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// The wire code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word used on pages, in reports and in consents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Vitals => "vitals",
            Self::Environment => "environment",
            Self::Alarms => "alarms",
            Self::Profile => "profile",
            Self::Notes => "notes",
            Self::Messages => "messages",
            Self::Access => "access",
        }
    }
}

impl StreamId {
    /// The stream of `author` about `patient` in `class` on the ledger `genesis`.
    #[must_use]
    pub fn of(genesis: Genesis, author: DeviceId, patient: PatientId, class: Class) -> Self {
        let hash = sha256(&[b"aceso/stream/v1", &genesis.0, &author.0, &patient.0, &[class.code()]]);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

/// The on-ledger commitment that binds a sensor to a patient without naming the patient.
#[must_use]
pub fn binding(genesis: Genesis, device: DeviceId, patient: PatientId, salt: &[u8; 32]) -> Hash {
    sha256(&[b"aceso/binding/v1", &genesis.0, &device.0, &patient.0, salt])
}
