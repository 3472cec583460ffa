//! A patient's consents, each in one sentence with where it stands.

use super::consent_giving;
use crate::format;
use crate::labels;
use crate::time::Moment;
use clinic::views::{GrantState, GrantView};
use vitals::ledger::Purpose;

/// One consent.
pub(super) struct ConsentLine {
    pub(super) grant: String,
    pub(super) person: String,
    /// A person's, not the ward's.
    pub(super) personal: bool,
    /// May it be changed now? Not before the ledger holds it.
    pub(super) changeable: bool,
    /// Since when it is paused here.
    pub(super) paused: Option<Moment>,
    /// Another one is about to take its place.
    pub(super) changing: bool,
    pub(super) grantee: String,
    pub(super) sentence: String,
    /// When it ends, if that is known.
    pub(super) until: Option<Moment>,
    pub(super) state: String,
    pub(super) live: bool,
    pub(super) vault_kept: bool,
    pub(super) late: bool,
}

impl ConsentLine {
    pub(super) fn of(grant: &GrantView) -> Self {
        let verb = match grant.state {
            GrantState::Live | GrantState::Unknown => "may see",
            GrantState::Pending | GrantState::Future => "will be able to see",
            GrantState::Refused | GrantState::NotArrived => "may not see",
            GrantState::Ended | GrantState::Withdrawn => "could see",
        };
        Self {
            grant: grant.grant.to_string(),
            grantee: format::capital(&grant.grantee),
            person: grant.person.to_string(),
            personal: grant.purpose != Purpose::Monitoring,
            changeable: consent_giving::is_changeable(grant),
            paused: grant.paused_since_ms.filter(|_| grant.state.is_open()).map(Moment),
            changing: grant.replaced_by.is_some() && grant.state.is_open(),
            sentence: format!(
                "{verb} your {} {}",
                labels::classes(&grant.classes),
                consent_giving::purpose(grant.purpose),
            ),
            // Of a consent that did not arrive only the terms are known.
            until: (grant.until_ms != 0).then_some(Moment(grant.until_ms)),
            state: match (grant.state, grant.block) {
                (GrantState::Pending, _) => {
                    "Given here, and being confirmed by the ledger: it opens nothing yet".into()
                }
                (GrantState::Future, Some(block)) => format!(
                    "Confirmed by the ledger in block {block}; begins on {}",
                    Moment(grant.from_ms).date()
                ),
                (GrantState::Future, None) => format!("Begins on {}", Moment(grant.from_ms).date()),
                (GrantState::Live, Some(block)) => {
                    format!("In force since {}, block {block} of the ledger", Moment(grant.from_ms).date())
                }
                (GrantState::Live, None) => format!("In force since {}", Moment(grant.from_ms).date()),
                (GrantState::Ended, _) => "Has ended".into(),
                (GrantState::Withdrawn, _) if grant.replaced_by.is_some() => {
                    "Over: another consent of yours took its place".into()
                }
                (GrantState::Withdrawn, _) => "Withdrawn by you".into(),
                (GrantState::Refused, _) => format!(
                    "The ledger refused it, and it opens nothing: {}",
                    grant.refusal.as_deref().unwrap_or("no reason is known")
                ),
                (GrantState::NotArrived, _) => {
                    "It has not reached the ledger and opens nothing: give it again if you still want it"
                        .into()
                }
                (GrantState::Unknown, _) => {
                    "The ledger does not answer: where it stands is not known now".into()
                }
            },
            live: grant.state.is_open(),
            late: grant.late,
            vault_kept: grant.vault_kept,
        }
    }
}
