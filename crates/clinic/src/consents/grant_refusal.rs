//! What is wrong with a consent that somebody wants to give, field by field.

use vitals::GrantId;

/// Most consents to people that a patient may have at a time, begun or not.
pub const GRANTS_OPEN_MAX: usize = 64;

/// The part of a consent that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantField {
    /// For whom.
    Grantee,
    /// What may be opened.
    Classes,
    /// From when.
    From,
    /// Until when.
    Until,
}

/// Why a consent is not given as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefusal {
    /// The directory holds no such person.
    #[error("nobody with this id is on the ledger: ask the person for the id that their page shows")]
    UnknownGrantee,
    /// The directory has suspended the person.
    #[error("this person is suspended and can open nothing: choose somebody else")]
    SuspendedGrantee,
    /// No person of this role reads records.
    #[error("people in this role open no records: choose a clinician or a relative")]
    Role,
    /// The purpose is not the role's.
    #[error("clinicians are given consent for treatment, relatives for following")]
    Purpose,
    /// An organisation watches, and does nothing else.
    #[error("an organisation is given consent for monitoring only")]
    Organisation,
    /// Too many at a time.
    #[error("you have {GRANTS_OPEN_MAX} consents that are not over: withdraw one that you no longer need")]
    TooMany,
    /// Another one to the same person is valid in the same time.
    #[error("you already allow this person something in this time: change or withdraw that consent instead")]
    Overlaps {
        /// That one.
        grant: GrantId,
    },
    /// A consent is changed for the person it is for.
    #[error("a consent is changed for the person it is for: give another one for somebody else")]
    OtherPerson,
    /// The consent that would be changed is not on the ledger, or is over.
    #[error("this consent is not in force on the ledger now: wait until it is confirmed, or give a new one")]
    NotInForce,
    /// Nothing may be opened.
    #[error("a consent must name what may be read: choose at least one")]
    NoClass,
    /// It would begin before it is given.
    #[error("a consent cannot begin in the past: choose today or a later day")]
    BackDated,
    /// It ends before it begins.
    #[error("a consent must end after it begins: choose a later end")]
    Empty,
    /// It is over already.
    #[error("a consent must end in the future: choose a later end")]
    Past,
    /// It would last longer than any.
    #[error("a consent lasts at most a year: choose an earlier end; it can be given again")]
    TooLong,
}

impl GrantRefusal {
    /// The part that has to be changed.
    #[must_use]
    pub fn field(self) -> GrantField {
        match self {
            Self::UnknownGrantee
            | Self::SuspendedGrantee
            | Self::Role
            | Self::Purpose
            | Self::Organisation
            | Self::TooMany
            | Self::Overlaps { .. }
            | Self::OtherPerson
            | Self::NotInForce => GrantField::Grantee,
            Self::NoClass => GrantField::Classes,
            Self::BackDated => GrantField::From,
            Self::Empty | Self::Past | Self::TooLong => GrantField::Until,
        }
    }
}
