//! Changes of authorities, as an operator writes them.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vitals::governance::{self, Motion};
use vitals::ids::OrgId;

/// What an administrator proposes, as text: keys and accounts in hexadecimal, addresses as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "motion", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Add a validator of an organisation.
    AddValidator {
        /// Its key.
        key: String,
        /// The organisation's id.
        organisation: String,
        /// Where the others dial it.
        address: String,
    },
    /// Remove a validator.
    RemoveValidator {
        /// Its key.
        key: String,
    },
    /// Replace a validator's key by another of the same organisation.
    ReplaceKey {
        /// The key that goes.
        old: String,
        /// The key that comes.
        new: String,
        /// Where the others dial it.
        address: String,
    },
    /// Admit an organisation to the ledger.
    AdmitOrganisation {
        /// The key that signs its tree heads.
        record_key: String,
        /// The account that sends its transactions.
        sender: String,
    },
    /// Remove an organisation and all its validators.
    RemoveOrganisation {
        /// Its id.
        organisation: String,
    },
}

/// Which word of a change is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// Not 64 hexadecimal digits.
    #[error("\"{0}\" is no key: it has 64 hexadecimal digits")]
    Key(String),
    /// Not 32 hexadecimal digits.
    #[error("\"{0}\" is no organisation: its id has 32 hexadecimal digits")]
    Organisation(String),
    /// Not `host:port`.
    #[error("\"{0}\" is not an address; write host:port, for example 10.0.0.7:9700")]
    Address(String),
    /// A record key that anybody could sign for.
    #[error("the record key is no Ed25519 key anybody should trust")]
    WeakRecordKey,
    /// Not 40 hexadecimal digits.
    #[error("an account has 40 hexadecimal digits")]
    Account,
}

/// 32 bytes from 64 hexadecimal digits.
#[must_use]
pub fn parse_key(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

/// Checks that this is a `host:port` that can be dialled, as the contract that keeps it wants it.
///
/// # Errors
/// It is not.
pub fn check_address(address: &str) -> Result<(), ChangeError> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let valid = governance::is_endpoint(address) && port.is_some_and(|port| port != 0);
    if valid { Ok(()) } else { Err(ChangeError::Address(address.to_owned())) }
}

fn key(text: &str) -> Result<[u8; 32], ChangeError> {
    parse_key(text).ok_or_else(|| ChangeError::Key(text.to_owned()))
}

fn organisation(text: &str) -> Result<OrgId, ChangeError> {
    text.parse().map_err(|_| ChangeError::Organisation(text.to_owned()))
}

impl Change {
    /// The motion that the contract votes on.
    ///
    /// # Errors
    /// Names the word that is wrong.
    pub fn motion(&self) -> Result<Motion, ChangeError> {
        Ok(match self {
            Self::AddValidator { key: one, organisation: org, address } => {
                check_address(address)?;
                Motion::AddValidator { key: key(one)?, org: organisation(org)?, endpoint: address.clone() }
            }
            Self::RemoveValidator { key: one } => Motion::RemoveValidator { key: key(one)? },
            Self::ReplaceKey { old, new, address } => {
                check_address(address)?;
                Motion::ReplaceKey { old: key(old)?, new: key(new)?, endpoint: address.clone() }
            }
            Self::AdmitOrganisation { record_key, sender } => {
                let record_key = key(record_key)?;
                if !vitals::cose::is_strong(&record_key) {
                    return Err(ChangeError::WeakRecordKey);
                }
                let sender = hex::decode(sender).ok().and_then(|bytes| bytes.try_into().ok());
                Motion::AdmitOrganisation { record_key, sender: sender.ok_or(ChangeError::Account)? }
            }
            Self::RemoveOrganisation { organisation: org } => {
                Motion::RemoveOrganisation { org: organisation(org)? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_zebra::{SigningKey, VerificationKeyBytes};

    #[test]
    fn a_wrong_word_is_named() {
        let strong = VerificationKeyBytes::from(&SigningKey::from([7; 32]));
        let good = hex::encode(<[u8; 32]>::from(strong));
        let org = "0b".repeat(16);
        let add = |key: &str, organisation: &str, address: &str| Change::AddValidator {
            key: key.to_owned(),
            organisation: organisation.to_owned(),
            address: address.to_owned(),
        };
        add(&good, &org, "127.0.0.1:9700").motion().unwrap();
        for (words, said) in [
            (add(&good[2..], &org, "127.0.0.1:9700"), "64 hexadecimal digits"),
            (add(&good, &org[2..], "127.0.0.1:9700"), "32 hexadecimal digits"),
            (add(&good, &org, "127.0.0.1"), "host:port"),
            (Change::RemoveValidator { key: "x".to_owned() }, "64 hexadecimal digits"),
            (
                Change::AdmitOrganisation { record_key: "00".repeat(32), sender: "11".repeat(20) },
                "no Ed25519 key",
            ),
            (
                Change::AdmitOrganisation { record_key: good.clone(), sender: "11".to_owned() },
                "40 hexadecimal",
            ),
        ] {
            let why = words.motion().unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
        }
    }
}
