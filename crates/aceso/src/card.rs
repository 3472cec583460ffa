//! The public card with which an organisation shows its keys to the others.

use crate::config::{check_address, key};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use vitals::proof::genesis::Founder;

/// Longest card.
const CARD_BYTES_MAX: u64 = 4096;

/// What an organisation shows the others: public, to be compared by voice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// Its name for people; not on the ledger.
    pub(crate) name: String,
    /// Its id, derived from the record key.
    pub(crate) organisation: String,
    /// Signs tree heads.
    pub(crate) record_key: String,
    /// Sends its transactions.
    pub(crate) sender: String,
    /// Votes on blocks.
    pub(crate) validator: String,
    /// Where its validator listens, `host:port`.
    pub(crate) address: String,
}

/// A card whose fields have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedCard {
    pub(crate) founder: Founder,
    pub(crate) validator: [u8; 32],
}

impl Card {
    /// Reads and checks one.
    pub(crate) fn read(path: &Path) -> Result<(Self, CheckedCard)> {
        let context = || format!("the card {}", path.display());
        ensure!(
            std::fs::metadata(path).with_context(context)?.len() <= CARD_BYTES_MAX,
            "{} is too long for a card",
            path.display()
        );
        let card: Self = toml::from_str(&std::fs::read_to_string(path)?).with_context(context)?;
        let founds = card.check().with_context(context)?;
        Ok((card, founds))
    }

    fn check(&self) -> Result<CheckedCard> {
        let record_key = key(&self.record_key).context("record_key needs 64 hexadecimal digits")?;
        let validator = key(&self.validator).context("validator needs 64 hexadecimal digits")?;
        for (name, key) in [("record_key", &record_key), ("validator", &validator)] {
            ensure!(vitals::cose::is_strong(key), "{name} is no Ed25519 key anybody should trust");
        }
        let sender = hex::decode(&self.sender).ok().and_then(|sender| sender.try_into().ok());
        let founder = Founder { record_key, sender: sender.context("sender needs 40 hexadecimal digits")? };
        ensure!(
            founder.org().to_string() == self.organisation,
            "organisation is not the one its record_key names: somebody changed the card"
        );
        check_address(&self.address)?;
        Ok(CheckedCard { founder, validator })
    }

    /// The line that the others put into their configuration.
    pub(crate) fn peer(&self) -> String {
        format!("{{ key = \"{}\", address = \"{}\" }}", self.validator, self.address)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Strong keys from nowhere: those of small seeds.
    pub(crate) fn card(n: u8) -> (Card, CheckedCard) {
        let public = |seed: u8| ledger::validator_key(&[seed; 32]).unwrap();
        let founder = Founder { record_key: public(n), sender: [n; 20] };
        let card = Card {
            name: format!("Hospital {n}"),
            organisation: founder.org().to_string(),
            record_key: hex::encode(founder.record_key),
            sender: hex::encode(founder.sender),
            validator: hex::encode(public(n + 100)),
            address: format!("127.0.0.1:{}", 9_000 + u16::from(n)),
        };
        let founds = card.check().unwrap();
        (card, founds)
    }

    #[test]
    fn a_changed_card_is_refused() {
        let (good, _) = card(1);
        type Spoil = fn(&mut Card);
        let spoils: [(Spoil, &str); 6] = [
            (|c| c.record_key = hex::encode(ledger::validator_key(&[9; 32]).unwrap()), "somebody changed"),
            (|c| c.record_key.truncate(62), "64 hexadecimal"),
            (|c| c.validator = hex::encode([0; 32]), "no Ed25519 key"),
            (|c| c.sender.truncate(38), "40 hexadecimal"),
            (|c| c.address = "nowhere".to_owned(), "host:port"),
            (|c| c.organisation = "00".repeat(16), "somebody changed"),
        ];
        for (spoil, said) in spoils {
            let mut card = good.clone();
            spoil(&mut card);
            let why = format!("{:#}", card.check().unwrap_err());
            assert!(why.contains(said), "{why}");
        }
    }
}
