//! `aceso validator`: an authority's own commands. All but `renew` talk to the running node through the
//! operator API (decision 003); what changes the ledger needs an administrator's sign-in there.

use super::ask::{SignIn, ask};
use crate::card::Card;
use crate::{config, node};
use anyhow::{Context, Result};
use host::output::print_line;
use operator::{Authorities, Change, GetAuthorities, ProposalStatus, Propose, Vote};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Steps of `aceso validator`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Validator {
    /// Where this node's ledger stands, who its authorities are, and what is proposed.
    Status {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
        /// The answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Propose a change to the other authorities.
    Propose {
        #[command(flatten)]
        sign_in: SignIn,
        #[command(flatten)]
        what: Box<What>,
        /// Where the validator listens, host:port; with --add and --replace.
        #[arg(long)]
        address: Option<String>,
        /// The organisation that runs the validator; with --add.
        #[arg(long)]
        organisation: Option<String>,
        /// The new key; with --replace.
        #[arg(long)]
        by: Option<String>,
    },
    /// Vote for a proposal. There is no vote against: a proposal without enough votes ends after a week.
    Vote {
        #[command(flatten)]
        sign_in: SignIn,
        /// Its number.
        proposal: u64,
    },
    /// Put this node's journals away and make a new validator key. The node must be stopped.
    Renew {
        /// The node's configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

/// What is proposed; exactly one.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// Add this validator (its key).
    #[arg(long)]
    add: Option<String>,
    /// Add the validator of this card; its organisation must be admitted already.
    #[arg(long)]
    add_card: Option<PathBuf>,
    /// Remove this validator (its key).
    #[arg(long)]
    remove: Option<String>,
    /// Replace this validator key of your own organisation. Where the node with the old key is gone, another
    /// organisation proposes to add the new key, and then to remove the old one.
    #[arg(long)]
    replace: Option<String>,
    /// Admit the organisation of this card to the ledger.
    #[arg(long)]
    admit: Option<PathBuf>,
    /// Remove this organisation and all its validators.
    #[arg(long)]
    expel: Option<String>,
}

/// Runs it.
pub(crate) fn run(step: Validator) -> Result<ExitCode> {
    match step {
        Validator::Status { config, json } => {
            let said = ask(&config, GetAuthorities {})?;
            // Through a value: its fields are sorted by name, as they always were.
            if json {
                print_line(serde_json::to_string_pretty(&serde_json::to_value(said)?)?)?;
            } else {
                status(&said)?;
            }
        }
        Validator::Propose { sign_in, what, address, organisation, by } => {
            let change = change(*what, address, organisation, by)?;
            change.motion()?;
            print_proposal(&sign_in.ask(|token| Propose { token, change })?)?;
        }
        Validator::Vote { sign_in, proposal } => {
            print_proposal(&sign_in.ask(|token| Vote { token, proposal })?)?;
        }
        Validator::Renew { config } => renew(&config)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn change(
    what: What,
    address: Option<String>,
    organisation: Option<String>,
    by: Option<String>,
) -> Result<Change> {
    let address_of = || address.clone().context("--address is missing: where does the validator listen?");
    let What { add, add_card, remove, replace, admit, expel } = what;
    if let Some(key) = add {
        let organisation = organisation.context("--organisation is missing: whose validator is it?")?;
        return Ok(Change::AddValidator { key, organisation, address: address_of()? });
    }
    if let Some(card) = add_card {
        let Card { validator, organisation, address, .. } = Card::read(&card)?.0;
        return Ok(Change::AddValidator { key: validator, organisation, address });
    }
    if let Some(key) = remove {
        return Ok(Change::RemoveValidator { key });
    }
    if let Some(old) = replace {
        let new = by.context("--by is missing: the new key")?;
        return Ok(Change::ReplaceKey { old, new, address: address_of()? });
    }
    if let Some(card) = admit {
        let Card { record_key, sender, .. } = Card::read(&card)?.0;
        return Ok(Change::AdmitOrganisation { record_key, sender });
    }
    Ok(Change::RemoveOrganisation { organisation: expel.context("nothing is proposed")? })
}

fn print_proposal(proposal: &ProposalStatus) -> io::Result<()> {
    let ProposalStatus { id, what, votes, votes_needed, acts_from_epoch, .. } = proposal;
    print_line(format_args!("Proposal {id}: {what}"))?;
    print_line(match acts_from_epoch {
        Some(epoch) => format!("  accepted: it acts from epoch {epoch}"),
        None => format!("  {votes} of {votes_needed} needed votes"),
    })
}

fn status(said: &Authorities) -> io::Result<()> {
    print_line(format_args!(
        "Height {} in epoch {} of {} blocks; {} authorities, a block needs {} of them",
        said.height, said.epoch, said.epoch_blocks, said.authorities, said.quorum
    ))?;
    print_line(format_args!(
        "{:<10} {:<34} {:<22} {:>8} {:>10}  {}",
        "validator", "organisation", "address", "height", "heard", "seat"
    ))?;
    for one in &said.validators {
        let heard = match one.heard_ms_ago {
            _ if one.ourselves => "ourselves".to_owned(),
            Some(ms) => format!("{} s ago", ms / 1_000),
            None => "never".to_owned(),
        };
        print_line(format_args!(
            "{:<10} {:<34} {:<22} {:>8} {:>10}  {}",
            one.key.get(..8).unwrap_or_default(),
            one.organisation,
            one.address,
            one.height.map_or("–".to_owned(), |height| height.to_string()),
            heard,
            one.seat
        ))?;
    }
    said.proposals.iter().try_for_each(print_proposal)
}

fn renew(config: &Path) -> Result<()> {
    let config = config::read_node(config)?;
    let (card, archive) = node::membership::renew(&config)?;
    print_line(format_args!("Put away:     {}", archive.display()))?;
    print_line(format_args!("New key:      {}", card.validator))?;
    print_line(
        "Start the node: it follows the others from the beginning, as soon as another authority has proposed",
    )?;
    print_line(
        "its new key. Let one do so, and enough of them vote, each with its own --config, --login and",
    )?;
    print_line("--password-file:")?;
    print_line(format_args!(
        "  aceso validator propose --add {} --organisation {} --address {}",
        card.validator, card.organisation, card.address
    ))?;
    print_line(
        "When it is an authority, the old key goes the same way; it is on every list (`aceso validator status`):",
    )?;
    print_line("  aceso validator propose --remove OLD-KEY")?;
    Ok(())
}
