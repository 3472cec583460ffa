//! Founding a ledger by several organisations, and joining one later: each organisation makes its keys
//! and hands out a public card; one puts the cards together into the genesis document; each starts its
//! node with it. Nothing secret leaves a data folder.

use crate::config::{self, NodeConfig};
use crate::{clock, node};
use anyhow::{Context, Result, ensure};
use ledger::genesis::Founding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vitals::proof::genesis::{Founder, GenesisDocument};

/// EVM chain id of ledgers founded here. Signatures are bound to the genesis hash, not to it.
pub(crate) const CHAIN_ID: u64 = 84_001;
/// Longest card.
const CARD_BYTES_MAX: u64 = 4096;

/// Options of `aceso found`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Found {
    /// Make this organisation's keys, if it has none, and print its public card.
    Card {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Write the card to this file instead.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Put the founders' cards together into the genesis document.
    Genesis {
        /// The ledger's name for people.
        #[arg(long)]
        name: String,
        /// Blocks in an epoch: authorities change only between epochs.
        #[arg(long, default_value_t = ledger::EPOCH_BLOCKS)]
        epoch_blocks: u64,
        /// Only the first so many cards' organisations are authorities at first; all, if absent.
        #[arg(long)]
        authorities: Option<usize>,
        /// Where to write the document.
        #[arg(long)]
        out: PathBuf,
        /// The founders' cards.
        #[arg(required = true)]
        cards: Vec<PathBuf>,
    },
}

/// Options of `aceso join`.
#[derive(Debug, clap::Args)]
pub(crate) struct Join {
    /// The node's configuration, with `[ledger]` genesis, listen and peers.
    #[arg(long)]
    config: PathBuf,
}

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
pub(crate) struct Founds {
    pub(crate) founder: Founder,
    pub(crate) validator: [u8; 32],
}

impl Card {
    /// Reads and checks one.
    pub(crate) fn read(path: &Path) -> Result<(Self, Founds)> {
        let told = || format!("the card {}", path.display());
        ensure!(
            std::fs::metadata(path).with_context(told)?.len() <= CARD_BYTES_MAX,
            "{} is too long for a card",
            path.display()
        );
        let card: Self = toml::from_str(&std::fs::read_to_string(path)?).with_context(told)?;
        let founds = card.check().with_context(told)?;
        Ok((card, founds))
    }

    fn check(&self) -> Result<Founds> {
        let record_key = config::key(&self.record_key).context("record_key needs 64 hexadecimal digits")?;
        let validator = config::key(&self.validator).context("validator needs 64 hexadecimal digits")?;
        for (name, key) in [("record_key", &record_key), ("validator", &validator)] {
            ensure!(vitals::cose::is_strong(key), "{name} is no Ed25519 key anybody should trust");
        }
        let sender = hex::decode(&self.sender).ok().and_then(|sender| sender.try_into().ok());
        let founder = Founder { record_key, sender: sender.context("sender needs 40 hexadecimal digits")? };
        ensure!(
            founder.org().to_string() == self.organisation,
            "organisation is not the one its record_key names: somebody changed the card"
        );
        config::check_address(&self.address)?;
        Ok(Founds { founder, validator })
    }

    /// The line that the others put into their configuration.
    pub(crate) fn peer(&self) -> String {
        format!("{{ key = \"{}\", address = \"{}\" }}", self.validator, self.address)
    }
}

#[allow(clippy::print_stdout, reason = "what a command found out goes to the person who typed it")]
fn tell(sentence: &str) {
    println!("{sentence}");
}

/// Runs `aceso found`.
pub(crate) fn run(step: &Found) -> Result<ExitCode> {
    match step {
        Found::Card { config, out } => {
            let text = card_text(&config::read_node(config)?)?;
            match out {
                Some(file) => {
                    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
                }
                None => tell(text.trim_end()),
            }
        }
        Found::Genesis { name, epoch_blocks, authorities, out, cards } => {
            let cards: Vec<_> = cards.iter().map(|path| Card::read(path)).collect::<Result<_>>()?;
            let document = assemble(name, *epoch_blocks, *authorities, &cards)?;
            ensure!(!out.exists(), "{} is there already: a ledger is founded once", out.display());
            std::fs::write(out, document.encode()).with_context(|| format!("writing {}", out.display()))?;
            tell(&format!("Genesis:      {}", document.hash()));
            tell(&format!("Authorities:  {} of {} organisations", document.committee.len(), cards.len()));
            tell("Every founder compares this hash by voice, then starts its node with the document and:");
            for (card, _) in &cards {
                tell(&format!("  {:<20} {}", card.name, card.peer()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn card_text(config: &NodeConfig) -> Result<String> {
    let card = node::card(config)?;
    Ok(format!(
        "# The public card of an organisation. Compare record_key and validator by voice before you use it.\n{}",
        toml::to_string(&card)?
    ))
}

/// Runs `aceso join`.
pub(crate) fn join(options: &Join) -> Result<ExitCode> {
    let config = config::read_node(&options.config)?;
    let (card, genesis) = node::join(&config)?;
    tell(&format!("Genesis:      {genesis}"));
    tell(&format!("Organisation: {}", card.organisation));
    tell(
        "`aceso node` follows this ledger as soon as an authority has proposed its validator. Hand your card",
    );
    tell(
        "(`aceso found card`) to the authorities. They propose and vote, each with its own --config, --login and",
    );
    tell("--password-file; first, unless your organisation is on the ledger already:");
    tell("  aceso validator propose --admit CARD");
    tell("and when that is accepted:");
    tell(&format!(
        "  aceso validator propose --add {} --organisation {} --address {}",
        card.validator, card.organisation, card.address
    ));
    Ok(ExitCode::SUCCESS)
}

/// The genesis document of these founders.
pub(crate) fn assemble(
    name: &str,
    epoch_blocks: u64,
    authorities: Option<usize>,
    cards: &[(Card, Founds)],
) -> Result<GenesisDocument> {
    let authorities = authorities.unwrap_or(cards.len());
    ensure!(
        (1..=cards.len()).contains(&authorities),
        "{authorities} authorities of {} cards: there must be at least one, and each needs its card",
        cards.len()
    );
    ensure!(
        !name.trim().is_empty() && name.len() <= vitals::proof::genesis::NAME_BYTES_MAX,
        "the ledger's name must have 1 to 64 bytes"
    );
    ensure!(
        (2..=ledger::EPOCH_BLOCKS.max(1 << 20)).contains(&epoch_blocks),
        "an epoch of {epoch_blocks} blocks is outside 2 to {}",
        ledger::EPOCH_BLOCKS.max(1 << 20)
    );
    let mut seen = BTreeSet::new();
    for (card, founds) in cards {
        let fresh = seen.insert(founds.founder.record_key.to_vec())
            && seen.insert(founds.founder.sender.to_vec())
            && seen.insert(founds.validator.to_vec())
            && seen.insert(card.address.clone().into_bytes());
        ensure!(
            fresh,
            "a key or address of \"{}\" is on another card too: every organisation makes its own",
            card.name
        );
    }
    Ok(ledger::genesis::document(Founding {
        chain_id: CHAIN_ID,
        name: name.to_owned(),
        time_ms: clock::now_ms(),
        epoch_blocks,
        committee: cards[..authorities].iter().map(|(_, founds)| founds.validator).collect(),
        operators: cards[..authorities].iter().map(|(_, founds)| founds.founder.org()).collect(),
        founders: cards.iter().map(|(_, founds)| founds.founder.clone()).collect(),
        salt: clock::random(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strong keys from nowhere: those of small seeds.
    fn card(n: u8) -> (Card, Founds) {
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
    fn four_cards_make_one_document_whatever_their_order() {
        let mut cards: Vec<_> = (1..=4).map(card).collect();
        let one = assemble("Consortium", 128, None, &cards).unwrap();
        assert_eq!((one.committee.len(), one.founders.len(), one.epoch_blocks), (4, 4, 128));
        cards.reverse();
        let other = assemble("Consortium", 128, None, &cards).unwrap();
        assert_eq!((&one.committee, &one.founders), (&other.committee, &other.founders));
        assert_ne!(one.hash(), other.hash(), "every founding has a salt of its own");
        let first = assemble("Consortium", 128, Some(1), &cards).unwrap();
        assert_eq!(first.committee, [cards[0].1.validator]);
    }

    #[test]
    fn what_cannot_found_a_ledger_is_named() {
        let cards: Vec<_> = (1..=2).map(card).collect();
        let why = |cards: &[_], authorities, epoch| {
            assemble("Consortium", epoch, authorities, cards).unwrap_err().to_string()
        };
        assert!(why(&cards, Some(3), 128).contains("each needs its card"));
        assert!(why(&cards, Some(0), 128).contains("at least one"));
        assert!(why(&cards, None, 1).contains("outside 2 to"));
        let twice = [cards[0].clone(), cards[0].clone()];
        assert!(why(&twice, None, 128).contains("on another card too"));
        assert!(assemble(" ", 128, None, &cards).is_err());
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
