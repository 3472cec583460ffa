//! What happens to accounts: the lines of their history.

use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::PersonId;
use zeroize::Zeroizing;

const VERSION: u64 = 1;

/// Who did something to an account, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Who; none where the operator of the node did, or the person of the account by a link.
    pub by: Option<PersonId>,
    /// When, milliseconds.
    pub at_ms: u64,
}

/// What happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountEvent {
    /// An administrator, a clinician or the operator of the node made it with a password.
    Registered,
    /// An administrator invited the person.
    Invited,
    /// The invitation got a new link; the one before stopped working.
    LinkRenewed,
    /// The invitation was withdrawn.
    InvitationWithdrawn,
    /// The person took the invitation up.
    Accepted,
    /// An administrator suspended the account.
    Suspended,
    /// An administrator ended the suspension.
    Reinstated,
    /// An administrator made a link to a new password.
    ResetOffered,
    /// The person set a new password by the link.
    PasswordSet,
    /// An administrator ended sessions of the person.
    SessionsEnded,
}

impl AccountEvent {
    /// All of them, by their code from 1 on.
    pub const ALL: [Self; 10] = [
        Self::Registered,
        Self::Invited,
        Self::LinkRenewed,
        Self::InvitationWithdrawn,
        Self::Accepted,
        Self::Suspended,
        Self::Reinstated,
        Self::ResetOffered,
        Self::PasswordSet,
        Self::SessionsEnded,
    ];

    fn code(self) -> u64 {
        let at = Self::ALL.iter().position(|one| *one == self).expect("the list names each");
        at as u64 + 1
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// One line of an account's history.
#[derive(Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Who did it, and when.
    pub made: Made,
    /// What.
    pub event: AccountEvent,
    /// Why, in the words of whoever did it; empty where no reason is asked for.
    pub reason: String,
}

/// Reasons stay out of logs.
impl std::fmt::Debug for EventRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventRecord").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Who and when, as two fields of a row.
pub(crate) fn write_made(w: &mut Writer, made: Made) {
    w.bytes(&made.by.map_or([0; 32], |by| by.0)).uint(made.at_ms);
}

pub(crate) fn read_made(r: &mut Reader<'_>) -> Result<Made, NotCanonical> {
    let by = r.fixed()?;
    Ok(Made { by: (by != [0; 32]).then_some(PersonId(by)), at_ms: r.uint()? })
}

impl EventRecord {
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION);
        write_made(&mut w, self.made);
        w.uint(self.event.code()).text(&self.reason);
        Zeroizing::new(w.finish())
    }

    pub(crate) fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(5)?;
        r.exactly(VERSION)?;
        let record = Self {
            made: read_made(&mut r)?,
            event: AccountEvent::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?,
            reason: r.text(TEXT_BYTES_MAX)?.into(),
        };
        r.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in vaults in the field: a changed form is a new version beside this one.
    #[test]
    fn the_form_of_an_event_is_that_of_version_1() {
        let made = Made { by: Some(PersonId([8; 32])), at_ms: 1_795_348_800_000 };
        let record = EventRecord { made, event: AccountEvent::Suspended, reason: "left".into() };
        let row = record.encode();
        let wanted = format!("8501 5820{} 1b000001a20320a200 06 646c656674", hex::encode([8; 32]));
        assert_eq!(hex::encode(row.as_slice()), wanted.replace(' ', ""));
        assert_eq!(EventRecord::read(&row), Ok(record));
    }

    #[test]
    fn every_event_has_a_code_of_its_own_and_other_codes_are_none() {
        for event in AccountEvent::ALL {
            assert_eq!(AccountEvent::from_code(u8::try_from(event.code()).unwrap()), Some(event));
        }
        assert_eq!((AccountEvent::from_code(0), AccountEvent::from_code(11)), (None, None));
    }
}
