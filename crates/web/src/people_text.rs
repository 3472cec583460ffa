//! How people stand and what happened to their accounts, in words.

use crate::time::Moment;
use clinic::AccountEvent;
use clinic::views::PersonState;

/// How somebody stands: the words, and a time that ends them.
pub(crate) struct StateText {
    pub(crate) words: &'static str,
    pub(crate) until: Option<(&'static str, Moment)>,
    /// May they sign in?
    pub(crate) is_active: bool,
}

pub(crate) fn state(state: &PersonState) -> StateText {
    let (words, until) = match state {
        PersonState::Invited { until_ms } => ("invited", Some(("until", Moment(*until_ms)))),
        PersonState::InvitationEnded { at_ms } => ("invitation ended", Some(("on", Moment(*at_ms)))),
        PersonState::InvitationWithdrawn => ("invitation withdrawn", None),
        PersonState::Unconfirmed => ("not confirmed by the ledger yet", None),
        PersonState::Active => ("active", None),
        PersonState::Suspended(one) => ("suspended", Some(("since", Moment(one.made.at_ms)))),
        PersonState::EndedOnLedger => ("ended on the ledger", None),
    };
    StateText { words, until, is_active: *state == PersonState::Active }
}

/// What happened, as a predicate: `Ada invited this person`.
pub(crate) fn event(event: AccountEvent) -> &'static str {
    match event {
        AccountEvent::Registered => "made the account",
        AccountEvent::Invited => "invited this person",
        AccountEvent::LinkRenewed => "made a new invitation link; the one before stopped working",
        AccountEvent::InvitationWithdrawn => "withdrew the invitation",
        AccountEvent::Accepted => "took the invitation up and made the account",
        AccountEvent::Suspended => "suspended the account",
        AccountEvent::Reinstated => "reinstated the account",
        AccountEvent::ResetOffered => "made a link to a new password",
        AccountEvent::PasswordSet => "set a new password by the link",
        AccountEvent::SessionsEnded => "ended sessions of this person",
    }
}
