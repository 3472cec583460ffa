//! Motions in the words of the command line and of the operator's door.

use crate::config;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use vitals::governance::Motion;
use vitals::ids::OrgId;

/// What an administrator proposes, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "motion", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Words {
    AddValidator { key: String, organisation: String, address: String },
    RemoveValidator { key: String },
    ReplaceKey { old: String, new: String, address: String },
    AdmitOrganisation { record_key: String, sender: String },
    RemoveOrganisation { organisation: String },
}

fn key(text: &str) -> Result<[u8; 32]> {
    config::key(text).with_context(|| format!("\"{text}\" is no key: it has 64 hexadecimal digits"))
}

fn organisation(text: &str) -> Result<OrgId> {
    text.parse()
        .ok()
        .with_context(|| format!("\"{text}\" is no organisation: its id has 32 hexadecimal digits"))
}

impl Words {
    /// Reads them.
    ///
    /// # Errors
    /// Names the word that is wrong.
    pub(crate) fn motion(&self) -> Result<Motion> {
        Ok(match self {
            Self::AddValidator { key: one, organisation: org, address } => {
                config::check_address(address)?;
                Motion::AddValidator { key: key(one)?, org: organisation(org)?, endpoint: address.clone() }
            }
            Self::RemoveValidator { key: one } => Motion::RemoveValidator { key: key(one)? },
            Self::ReplaceKey { old, new, address } => {
                config::check_address(address)?;
                Motion::ReplaceKey { old: key(old)?, new: key(new)?, endpoint: address.clone() }
            }
            Self::AdmitOrganisation { record_key, sender } => {
                let record_key = key(record_key)?;
                anyhow::ensure!(
                    vitals::cose::is_strong(&record_key),
                    "the record key is no Ed25519 key anybody should trust"
                );
                let sender = hex::decode(sender).ok().and_then(|bytes| bytes.try_into().ok());
                Motion::AdmitOrganisation {
                    record_key,
                    sender: sender.context("an account has 40 hexadecimal digits")?,
                }
            }
            Self::RemoveOrganisation { organisation: org } => {
                Motion::RemoveOrganisation { org: organisation(org)? }
            }
        })
    }
}

/// A motion in a sentence for people.
pub(crate) fn sentence(motion: &Motion) -> String {
    let short = |key: &[u8; 32]| hex::encode(&key[..4]);
    match motion {
        Motion::AddValidator { key, org, endpoint } => {
            format!("add validator {}… of {org} at {endpoint}", short(key))
        }
        Motion::RemoveValidator { key } => format!("remove validator {}…", short(key)),
        Motion::ReplaceKey { old, new, endpoint } => {
            format!("replace validator {}… by {}… at {endpoint}", short(old), short(new))
        }
        Motion::AdmitOrganisation { record_key, .. } => {
            format!("admit organisation {}", OrgId::of(record_key))
        }
        Motion::RemoveOrganisation { org } => format!("remove organisation {org}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_is_named() {
        let good = hex::encode(ledger::validator_key(&[7; 32]).unwrap());
        let org = "0b".repeat(16);
        let add = |key: &str, organisation: &str, address: &str| Words::AddValidator {
            key: key.to_owned(),
            organisation: organisation.to_owned(),
            address: address.to_owned(),
        };
        add(&good, &org, "127.0.0.1:9700").motion().unwrap();
        for (words, said) in [
            (add(&good[2..], &org, "127.0.0.1:9700"), "64 hexadecimal digits"),
            (add(&good, &org[2..], "127.0.0.1:9700"), "32 hexadecimal digits"),
            (add(&good, &org, "127.0.0.1"), "host:port"),
            (Words::RemoveValidator { key: "x".to_owned() }, "64 hexadecimal digits"),
            (
                Words::AdmitOrganisation { record_key: "00".repeat(32), sender: "11".repeat(20) },
                "no Ed25519 key",
            ),
            (
                Words::AdmitOrganisation { record_key: good.clone(), sender: "11".to_owned() },
                "40 hexadecimal",
            ),
        ] {
            let why = words.motion().unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
        }
    }
}
