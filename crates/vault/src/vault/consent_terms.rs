//! What consents allow: the terms whose salted commitment stands on the ledger.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::{BTreeSet, HashMap};
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Class, GrantId, PatientId, PersonId};
use vitals::ledger::{Purpose, Terms};

const VERSION: u64 = 1;

/// A consent's terms, with whom they join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsRecord {
    /// The consent.
    pub grant: GrantId,
    /// What it allows.
    pub terms: Terms,
    /// To whom.
    pub grantee: PersonId,
    /// About whom.
    pub patient: PatientId,
}

#[derive(Default)]
pub(crate) struct TermsBook {
    by_grant: HashMap<GrantId, TermsRecord>,
    by_patient: HashMap<PatientId, BTreeSet<GrantId>>,
    by_grantee: HashMap<PersonId, BTreeSet<GrantId>>,
    withdrawn: BTreeSet<GrantId>,
}

impl TermsBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Terms)? {
            let record = TermsRecord::read(&row)
                .map_err(|_| VaultError::Damaged("a consent's terms are not readable".into()))?;
            book.add(record);
        }
        for row in tables.all(Table::Withdrawals)? {
            let grant = row.as_slice().try_into().map(GrantId);
            let grant = grant.map_err(|_| VaultError::Damaged("a withdrawal is not readable".into()))?;
            book.withdrawn.insert(grant);
        }
        Ok(book)
    }

    fn add(&mut self, record: TermsRecord) {
        self.by_patient.entry(record.patient).or_default().insert(record.grant);
        self.by_grantee.entry(record.grantee).or_default().insert(record.grant);
        self.by_grant.insert(record.grant, record);
    }

    fn records(&self, grants: Option<&BTreeSet<GrantId>>) -> Vec<TermsRecord> {
        grants.into_iter().flatten().filter_map(|grant| self.by_grant.get(grant)).cloned().collect()
    }

    pub(crate) fn is_withdrawn(&self, grant: GrantId) -> bool {
        self.withdrawn.contains(&grant)
    }
}

impl TermsRecord {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(7).uint(VERSION).bytes(&self.grant.0).bytes(&self.grantee.0).bytes(&self.patient.0);
        w.uint(self.terms.purpose as u64).bytes(&self.terms.salt).array(self.terms.classes.len());
        for class in &self.terms.classes {
            w.uint(u64::from(class.code()));
        }
        w.finish()
    }

    fn read(row: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(row);
        r.array(7)?;
        r.exactly(VERSION)?;
        let (grant, grantee, patient) = (GrantId(r.fixed()?), PersonId(r.fixed()?), PatientId(r.fixed()?));
        let purpose = Purpose::from_code(r.u8()?).ok_or(NotCanonical::Unexpected)?;
        let salt = r.fixed()?;
        let classes =
            r.list(Class::ALL.len(), |r| Class::from_code(r.u8()?).ok_or(NotCanonical::Unexpected))?;
        r.end()?;
        Ok(Self { grant, terms: Terms { classes, purpose, salt }, grantee, patient })
    }
}

impl Vault {
    /// Keeps the terms of a consent. Terms once kept are never replaced.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] if other terms are kept for this consent, or classes are not ascending.
    pub fn put_terms(&self, record: TermsRecord) -> Result<(), VaultError> {
        if record.terms.classes.is_empty() || !record.terms.classes.is_sorted_by(|a, b| a < b) {
            return Err(VaultError::Unfit("a consent names classes in ascending order, each once"));
        }
        let _changing = self.changing();
        match self.terms(record.grant) {
            Some(held) if held == record => return Ok(()),
            Some(_) => return Err(VaultError::Unfit("other terms are kept for this consent")),
            None => {}
        }
        self.tables.put(&[(Table::Terms, &record.grant.0, &record.encode())])?;
        self.books_mut().terms.add(record);
        Ok(())
    }

    /// Notes for good that a consent was withdrawn here: it opens nothing from now on, after a restart
    /// either, whatever stands on the ledger.
    ///
    /// # Errors
    /// [`VaultError::Database`]: it is withdrawn until the vault is opened again only.
    pub fn put_withdrawal(&self, grant: GrantId) -> Result<(), VaultError> {
        let _changing = self.changing();
        self.books_mut().terms.withdrawn.insert(grant);
        self.tables.put(&[(Table::Withdrawals, &grant.0, &grant.0)])?;
        // Only now: what could not be kept is tried again.
        self.books_mut().restrictions.withdrawn(grant);
        Ok(())
    }

    /// Consents that were withdrawn here.
    #[must_use]
    pub fn withdrawals(&self) -> BTreeSet<GrantId> {
        self.books().terms.withdrawn.clone()
    }

    /// Was this consent withdrawn here?
    #[must_use]
    pub fn is_withdrawn(&self, grant: GrantId) -> bool {
        self.books().terms.is_withdrawn(grant)
    }

    /// All consents of a patient whose terms are kept, ascending.
    #[must_use]
    pub fn grants_of(&self, patient: PatientId) -> Vec<GrantId> {
        let books = self.books();
        books.terms.by_patient.get(&patient).into_iter().flatten().copied().collect()
    }

    /// How many those are. Terms are never removed.
    #[must_use]
    pub fn grants_len_of(&self, patient: PatientId) -> usize {
        self.books().terms.by_patient.get(&patient).map_or(0, BTreeSet::len)
    }

    /// The terms of a consent.
    #[must_use]
    pub fn terms(&self, grant: GrantId) -> Option<TermsRecord> {
        self.books().terms.by_grant.get(&grant).cloned()
    }

    /// All terms about a patient, by grant id.
    #[must_use]
    pub fn terms_of(&self, patient: PatientId) -> Vec<TermsRecord> {
        let books = self.books();
        books.terms.records(books.terms.by_patient.get(&patient))
    }

    /// All terms in favour of a grantee, by grant id.
    #[must_use]
    pub fn terms_to(&self, grantee: PersonId) -> Vec<TermsRecord> {
        let books = self.books();
        books.terms.records(books.terms.by_grantee.get(&grantee))
    }
}
