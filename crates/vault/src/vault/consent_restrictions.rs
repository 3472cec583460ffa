//! Where a consent opens less at this organisation than the ledger says: its patient paused it, or another consent is
//! about to take its place, and until the ledger holds that one, only what both say is opened.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::{BTreeSet, HashMap};
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::GrantId;

const VERSION: u64 = 1;

/// The consent that takes another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// Its id. Its terms are kept.
    pub by: GrantId,
    /// Valid from, milliseconds.
    pub from_ms: u64,
    /// Valid until (exclusive), milliseconds.
    pub until_ms: u64,
}

/// What is opened under a consent beyond what the ledger says: less, never more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restriction {
    /// Since when it is paused, milliseconds: it opens nothing.
    pub paused_since_ms: Option<u64>,
    /// What takes its place: only what both say is opened.
    pub replaced: Option<Replacement>,
}

#[derive(Default)]
pub(crate) struct RestrictionBook {
    by_grant: HashMap<GrantId, Restriction>,
    /// Those whose place another is taking, and which are not withdrawn.
    replacing: BTreeSet<GrantId>,
}

impl RestrictionBook {
    /// All that is kept; `is_withdrawn` says which consents are withdrawn.
    pub(crate) fn load(tables: &Tables, is_withdrawn: impl Fn(GrantId) -> bool) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Restrictions)? {
            let (grant, restriction) = read(&row)
                .map_err(|_| VaultError::Damaged("a pause or change of a consent is not readable".into()))?;
            book.put(grant, restriction, is_withdrawn(grant));
        }
        Ok(book)
    }

    fn put(&mut self, grant: GrantId, restriction: Restriction, withdrawn: bool) {
        if restriction.replaced.is_some() && !withdrawn {
            self.replacing.insert(grant);
        }
        self.by_grant.insert(grant, restriction);
    }

    /// A consent is withdrawn: nothing takes its place any more.
    pub(crate) fn withdrawn(&mut self, grant: GrantId) {
        self.replacing.remove(&grant);
    }
}

/// `[version, consent, [] or [paused since], [] or [replaced by, from, until]]`.
fn encode(grant: GrantId, restriction: &Restriction) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(4).uint(VERSION).bytes(&grant.0);
    match restriction.paused_since_ms {
        None => w.array(0),
        Some(since_ms) => w.array(1).uint(since_ms),
    };
    match &restriction.replaced {
        None => w.array(0),
        Some(one) => w.array(3).bytes(&one.by.0).uint(one.from_ms).uint(one.until_ms),
    };
    w.finish()
}

fn read(row: &[u8]) -> Result<(GrantId, Restriction), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(4)?;
    r.exactly(VERSION)?;
    let grant = GrantId(r.fixed()?);
    let paused_since_ms = match r.any_array()? {
        0 => None,
        1 => Some(r.uint()?),
        _ => return Err(NotCanonical::Unexpected),
    };
    let replaced = match r.any_array()? {
        0 => None,
        3 => Some(Replacement { by: GrantId(r.fixed()?), from_ms: r.uint()?, until_ms: r.uint()? }),
        _ => return Err(NotCanonical::Unexpected),
    };
    r.end()?;
    Ok((grant, Restriction { paused_since_ms, replaced }))
}

impl Vault {
    /// What is opened less under a consent than the ledger says.
    #[must_use]
    pub fn restriction(&self, grant: GrantId) -> Restriction {
        self.books().restrictions.by_grant.get(&grant).copied().unwrap_or_default()
    }

    /// Pauses a consent since then, milliseconds, or (`None`) resumes it.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] for a consent whose terms are not kept; [`VaultError::Database`].
    pub fn put_consent_pause(&self, grant: GrantId, since_ms: Option<u64>) -> Result<(), VaultError> {
        self.change_restriction(grant, |restriction| restriction.paused_since_ms = since_ms)
    }

    /// Another consent takes this one's place: from now on only what both say is opened under this one.
    ///
    /// # Errors
    /// As [`Vault::put_consent_pause`], for either of the two.
    pub fn put_replacement(&self, grant: GrantId, replacement: Replacement) -> Result<(), VaultError> {
        if self.terms(replacement.by).is_none() {
            return Err(VaultError::Unfit("the terms of the consent that takes the place are not kept"));
        }
        self.change_restriction(grant, |restriction| restriction.replaced = Some(replacement))
    }

    /// Consents that others are taking the place of, and which are not withdrawn yet.
    #[must_use]
    pub fn being_replaced(&self) -> Vec<(GrantId, Replacement)> {
        let books = self.books();
        let book = &books.restrictions;
        book.replacing
            .iter()
            .filter_map(|grant| Some((*grant, book.by_grant.get(grant)?.replaced?)))
            .collect()
    }

    fn change_restriction(
        &self,
        grant: GrantId,
        change: impl FnOnce(&mut Restriction),
    ) -> Result<(), VaultError> {
        let _changing = self.changing();
        if self.terms(grant).is_none() {
            return Err(VaultError::Unfit("the terms of the consent are not kept"));
        }
        let before = self.restriction(grant);
        let mut restriction = before;
        change(&mut restriction);
        if restriction == before {
            return Ok(());
        }
        self.tables.put(&[(Table::Restrictions, &grant.0, &encode(grant, &restriction))])?;
        let mut books = self.books_mut();
        let withdrawn = books.terms.is_withdrawn(grant);
        books.restrictions.put(grant, restriction, withdrawn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_restriction_is_read_back_as_it_was_written(
            paused_since_ms in proptest::option::of(0u64..1 << 50),
            replaced in proptest::option::of((0u64..1 << 50, 0u64..1 << 50)),
        ) {
            let replaced = replaced.map(|(from_ms, until_ms)| Replacement { by: GrantId([7; 32]), from_ms, until_ms });
            let (grant, restriction) = (GrantId([3; 32]), Restriction { paused_since_ms, replaced });
            prop_assert_eq!(read(&encode(grant, &restriction)), Ok((grant, restriction)));
        }
    }

    #[test]
    fn the_bytes_of_version_1_stay_as_they_are() {
        let replaced = Some(Replacement { by: GrantId([0xbb; 32]), from_ms: 1, until_ms: 1000 });
        let row = encode(GrantId([0xaa; 32]), &Restriction { paused_since_ms: Some(7), replaced });
        let golden = format!("84015820{}8107835820{}011903e8", "aa".repeat(32), "bb".repeat(32));
        assert_eq!(hex::encode(&row), golden);
        for end in 0..row.len() {
            assert!(read(&row[..end]).is_err(), "cut at {end}");
        }
        let none = encode(GrantId([0xaa; 32]), &Restriction::default());
        assert_eq!(hex::encode(none), format!("84015820{}8080", "aa".repeat(32)));
    }
}
