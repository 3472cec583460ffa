//! Founding a ledger by several organisations, and joining one later: each organisation makes its keys
//! and hands out a public card; one puts the cards together into the genesis document; each starts its
//! node with it. Nothing secret leaves a data folder.

use crate::card::{Card, CheckedCard};
use crate::config::{self, NodeConfig};
use crate::node::founding::CHAIN_ID;
use crate::node::membership;
use anyhow::{Context, Result, ensure};
use host::clock;
use host::output::print_line;
use ledger::genesis::Founding;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use vitals::proof::genesis::GenesisDocument;

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

/// Runs `aceso found`.
pub(crate) fn run(step: &Found) -> Result<ExitCode> {
    match step {
        Found::Card { config, out } => {
            let text = card_text(&config::read_node(config)?)?;
            match out {
                Some(file) => {
                    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
                }
                None => print_line(text.trim_end())?,
            }
        }
        Found::Genesis { name, epoch_blocks, authorities, out, cards } => {
            let cards: Vec<_> = cards.iter().map(|path| Card::read(path)).collect::<Result<_>>()?;
            let document = assemble(name, *epoch_blocks, *authorities, &cards)?;
            ensure!(!out.exists(), "{} is there already: a ledger is founded once", out.display());
            std::fs::write(out, document.encode()).with_context(|| format!("writing {}", out.display()))?;
            print_line(format_args!("Genesis:      {}", document.hash()))?;
            print_line(format_args!(
                "Authorities:  {} of {} organisations",
                document.committee.len(),
                cards.len()
            ))?;
            print_line(
                "Every founder compares this hash by voice, then starts its node with the document and:",
            )?;
            for (card, _) in &cards {
                print_line(format_args!("  {:<20} {}", card.name, card.peer()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn card_text(config: &NodeConfig) -> Result<String> {
    let card = membership::card(config)?;
    Ok(format!(
        "# The public card of an organisation. Compare record_key and validator by voice before you use it.\n{}",
        toml::to_string(&card)?
    ))
}

/// Runs `aceso join`.
pub(crate) fn join(options: &Join) -> Result<ExitCode> {
    let config = config::read_node(&options.config)?;
    let (card, genesis) = membership::join(&config)?;
    print_line(format_args!("Genesis:      {genesis}"))?;
    print_line(format_args!("Organisation: {}", card.organisation))?;
    print_line(
        "`aceso node` follows this ledger as soon as an authority has proposed its validator. Hand your card",
    )?;
    print_line(
        "(`aceso found card`) to the authorities. They propose and vote, each with its own --config, --login and",
    )?;
    print_line("--password-file; first, unless your organisation is on the ledger already:")?;
    print_line("  aceso validator propose --admit CARD")?;
    print_line("and when that is accepted:")?;
    print_line(format_args!(
        "  aceso validator propose --add {} --organisation {} --address {}",
        card.validator, card.organisation, card.address
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The genesis document of these founders.
pub(crate) fn assemble(
    name: &str,
    epoch_blocks: u64,
    authorities: Option<usize>,
    cards: &[(Card, CheckedCard)],
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
    use crate::card::tests::card;

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
}
