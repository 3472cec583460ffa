//! Why the clinic refused or failed. Each message says who has to act.

use crate::consents::GrantRefusal;
use vault::{AccessError, StoreError, VaultError, WriteError};
use vitals::ids::Class;
use vitals::ledger::{LedgerError, Role};

/// Access is denied. Nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is signed in, or the session ended.
    #[error("your session has ended: sign in again")]
    SignedOut,
    /// Nobody has touched the patient's open page for [`crate::IDLE_MS`].
    #[error("nobody has used this page for a while: open it again")]
    LeftAlone,
    /// This role never does that.
    #[error("{} accounts may not do this", .role.word())]
    Role {
        /// The session's role.
        role: Role,
    },
    /// There is no such patient here, or none this session may know of.
    #[error("no patient of this node has this id, or you may not know of them")]
    NoSuchPatient,
    /// No consent names this reader.
    #[error("the patient has given no consent for you to open this record for this purpose")]
    NoConsent,
    /// A consent exists but does not cover this class.
    #[error("the patient's consent does not cover the class {}", .class.word())]
    ClassNotCovered {
        /// The first class that is not covered.
        class: Class,
    },
    /// The consent is not valid yet.
    #[error("the patient's consent begins in {begins_in_s} s")]
    NotYet {
        /// Seconds until it begins.
        begins_in_s: u64,
    },
    /// The consent ended.
    #[error("the patient's consent ended {ended_ago_s} s ago")]
    Ended {
        /// Seconds since.
        ended_ago_s: u64,
    },
    /// The patient withdrew the consent.
    #[error("the patient has withdrawn this consent")]
    Withdrawn,
    /// The patient paused being watched.
    #[error("the patient has paused being watched")]
    Paused,
    /// The patient paused the consent at this organisation.
    #[error("the patient has paused this consent")]
    ConsentPaused,
    /// The terms kept here are not those the ledger holds a commitment to.
    #[error("the terms kept for this consent are not those the patient signed: the vault must be checked")]
    TermsDiffer,
    /// The consent's policy refuses.
    #[error("the policy of the patient's consent does not agree that the class {} is opened now", .class.word())]
    PolicyRefuses {
        /// The first class it refuses.
        class: Class,
    },
    /// The consent's policy could not be asked.
    #[error("the policy could not be asked: the patient's consent opens nothing until it answers")]
    PolicySilent,
    /// Monitoring does not reach back so far.
    #[error(
        "monitoring shows what is now, alarms and the last two hours: for more, the patient's consent to treatment \
         is needed"
    )]
    MonitoringSpan,
    /// The reader's own standing on the ledger ended.
    #[error("your enrolment is not on the ledger, or was suspended")]
    NotEnrolled,
    /// The account is so new that the ledger does not hold it yet.
    #[error(
        "your account is on its way to the ledger, which takes a few seconds: load this page again in a moment"
    )]
    EnrolmentPending,
    /// No account or invitation has this id.
    #[error("no account of this node has this id")]
    NoSuchAccount,
    /// The ledger view is too old to decide this upon.
    #[error("the ledger has not moved for {age_s} s: nothing new can be decided until it does")]
    LedgerStale {
        /// Seconds since the last finalized block.
        age_s: u64,
    },
    /// The ledger did not answer.
    #[error("the ledger does not answer")]
    LedgerDown,
    /// The span is upside down, or longer than one opening may be.
    #[error("the span is upside down or longer than {max_days} days")]
    Span {
        /// Longest span, days.
        max_days: u64,
    },
}

/// Why an action did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ClinicError {
    /// Access is denied.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request is wrong, and why.
    #[error("{0}")]
    Wrong(String),
    /// A consent does not fit as it was asked for.
    #[error(transparent)]
    Grant(#[from] GrantRefusal),
    /// A field of a form is wrong, and why.
    #[error("{why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The account was changed since the caller looked at it.
    #[error("somebody has changed this account since you loaded the page; look at it again")]
    Stale,
    /// There are no blocks here to look at.
    #[error(
        "the ledger of this node stands on another network: its blocks and validators are that network's, and so \
         are the tools to look at them"
    )]
    Elsewhere,
    /// The ledger did not take it.
    #[error("{0}")]
    Ledger(LedgerError),
    /// The vault failed.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// The record store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An envelope of the node's own could not be written.
    #[error("{0}")]
    Write(#[from] WriteError),
}

impl From<AccessError> for ClinicError {
    fn from(why: AccessError) -> Self {
        match why {
            // The vault decides a second time, on its own; it is never asked to be less strict.
            AccessError::Denied(_) => Self::Denied(Denied::NoConsent),
            AccessError::PolicyRefuses(class) => Self::Denied(Denied::PolicyRefuses { class }),
            AccessError::PolicySilent(_) => Self::Denied(Denied::PolicySilent),
            AccessError::Ledger(_) => Self::Denied(Denied::LedgerDown),
            AccessError::Write(why) => Self::Write(why),
            AccessError::Vault(why) => Self::Vault(why),
        }
    }
}

impl From<LedgerError> for ClinicError {
    fn from(why: LedgerError) -> Self {
        Self::Ledger(why)
    }
}
