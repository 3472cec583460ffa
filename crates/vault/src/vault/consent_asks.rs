//! Clinicians ask patients for consents. What was asked, and what the patient answered, is kept here, sealed: a fixed
//! number of places for each clinician, so that whoever asks without end fills no disk. Somebody may ask for a patient
//! who does not exist: that is kept like any other, so that nobody can tell the difference.

use crate::error::VaultError;
use crate::sealed_tables::{Table, Tables};
use crate::vault::Vault;
use std::collections::{BTreeMap, HashMap};
use vitals::body::TEXT_BYTES_MAX;
use vitals::cbor::{NotCanonical, Reader, Writer};
use vitals::ids::{Class, GrantId, PatientId, PersonId};

const VERSION: u64 = 1;
/// What is asked ends by itself after this long, milliseconds: seven days.
pub const ASK_MS: u64 = 7 * 86_400_000;
/// Most requests kept of one clinician.
pub const ASKS_PER_CLINICIAN_MAX: u8 = 16;

/// Names one request.
pub type AskId = [u8; 16];

/// What a patient answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskAnswer {
    /// When, milliseconds.
    pub at_ms: u64,
    /// The consent that was given; none for a no.
    pub grant: Option<GrantId>,
}

/// A clinician asks a patient for a consent.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsentAsk {
    /// Its name.
    pub id: AskId,
    /// Who asks.
    pub clinician: PersonId,
    /// Whom, if there is such a patient.
    pub patient: PatientId,
    /// For what, ascending.
    pub classes: Vec<Class>,
    /// Why, in the clinician's words.
    pub reason: String,
    /// For how long the consent is to last, milliseconds.
    pub for_ms: u64,
    /// When, milliseconds.
    pub asked_at_ms: u64,
    /// The answer.
    pub answer: Option<AskAnswer>,
}

impl std::fmt::Debug for ConsentAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsentAsk").field("asked_at_ms", &self.asked_at_ms).finish_non_exhaustive()
    }
}

impl ConsentAsk {
    /// When it ends without an answer, milliseconds.
    #[must_use]
    pub fn ends_ms(&self) -> u64 {
        self.asked_at_ms.saturating_add(ASK_MS)
    }

    /// May it still be answered? One from the future was asked by a wrong clock.
    #[must_use]
    pub fn is_open(&self, now_ms: u64) -> bool {
        self.answer.is_none() && now_ms < self.ends_ms() && self.asked_at_ms <= now_ms.saturating_add(ASK_MS)
    }
}

type Place = (PersonId, u8);

#[derive(Default)]
pub(crate) struct AskBook {
    by_place: BTreeMap<Place, ConsentAsk>,
    places: HashMap<AskId, Place>,
    by_patient: HashMap<PatientId, Vec<Place>>,
}

impl AskBook {
    pub(crate) fn load(tables: &Tables) -> Result<Self, VaultError> {
        let mut book = Self::default();
        for row in tables.all(Table::Asks)? {
            let damaged = |_| VaultError::Damaged("a request for a consent is not readable".into());
            let (place, ask) = read(&row).map_err(damaged)?;
            book.put(place, ask);
        }
        Ok(book)
    }

    fn put(&mut self, place: Place, ask: ConsentAsk) {
        if let Some(before) = self.by_place.remove(&place) {
            self.places.remove(&before.id);
            if let Some(places) = self.by_patient.get_mut(&before.patient) {
                places.retain(|one| *one != place);
            }
        }
        self.places.insert(ask.id, place);
        self.by_patient.entry(ask.patient).or_default().push(place);
        self.by_place.insert(place, ask);
    }

    fn of(&self, clinician: PersonId) -> impl Iterator<Item = (u8, &ConsentAsk)> {
        let all = self.by_place.range((clinician, 0)..=(clinician, u8::MAX));
        all.map(|((_, place), ask)| (*place, ask))
    }

    /// Where the next request goes: the place of an earlier one to the same patient, a free one, or that of the oldest
    /// that is over.
    fn place_for(&self, clinician: PersonId, patient: PatientId, now_ms: u64) -> Option<u8> {
        let same = self.of(clinician).find(|(_, ask)| ask.patient == patient).map(|(place, _)| place);
        let taken: Vec<u8> = self.of(clinician).map(|(place, _)| place).collect();
        let free = (0..ASKS_PER_CLINICIAN_MAX).find(|place| !taken.contains(place));
        let over = self.of(clinician).filter(|(_, ask)| !ask.is_open(now_ms));
        let oldest = over.min_by_key(|(_, ask)| ask.asked_at_ms).map(|(place, _)| place);
        same.or(free).or(oldest)
    }
}

/// `[version, place, id, clinician, patient, [classes], reason, for, asked at, [] or [at] or [at, consent]]`.
fn encode(place: u8, ask: &ConsentAsk) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(10).uint(VERSION).uint(place.into()).bytes(&ask.id).bytes(&ask.clinician.0).bytes(&ask.patient.0);
    w.array(ask.classes.len());
    for class in &ask.classes {
        w.uint(class.code().into());
    }
    w.text(&ask.reason).uint(ask.for_ms).uint(ask.asked_at_ms);
    match ask.answer {
        None => w.array(0),
        Some(AskAnswer { at_ms, grant: None }) => w.array(1).uint(at_ms),
        Some(AskAnswer { at_ms, grant: Some(grant) }) => w.array(2).uint(at_ms).bytes(&grant.0),
    };
    w.finish()
}

fn read(row: &[u8]) -> Result<(Place, ConsentAsk), NotCanonical> {
    let mut r = Reader::new(row);
    r.array(10)?;
    r.exactly(VERSION)?;
    let place = r.u8()?;
    let (id, clinician, patient) = (r.fixed()?, PersonId(r.fixed()?), PatientId(r.fixed()?));
    let classes = r.list(Class::ALL.len(), |r| Class::from_code(r.u8()?).ok_or(NotCanonical::Unexpected))?;
    let reason = r.text(TEXT_BYTES_MAX)?.into();
    let (for_ms, asked_at_ms) = (r.uint()?, r.uint()?);
    let answer = match r.any_array()? {
        0 => None,
        1 => Some(AskAnswer { at_ms: r.uint()?, grant: None }),
        2 => Some(AskAnswer { at_ms: r.uint()?, grant: Some(GrantId(r.fixed()?)) }),
        _ => return Err(NotCanonical::Unexpected),
    };
    r.end()?;
    let ask = ConsentAsk { id, clinician, patient, classes, reason, for_ms, asked_at_ms, answer };
    Ok(((clinician, place), ask))
}

impl Vault {
    /// Keeps a request. It takes the place of an earlier one to the same patient, or of the oldest that is over.
    ///
    /// # Errors
    /// [`VaultError::Unfit`] if the clinician has [`ASKS_PER_CLINICIAN_MAX`] open ones, for a reason that is too long or
    /// classes that are not ascending; [`VaultError::Database`].
    pub fn put_ask(&self, ask: ConsentAsk, now_ms: u64) -> Result<(), VaultError> {
        if ask.reason.len() > TEXT_BYTES_MAX || !ask.classes.is_sorted_by(|a, b| a < b) {
            return Err(VaultError::Unfit(
                "the reason is longer than 256 bytes, or classes are not ascending",
            ));
        }
        let _changing = self.changing();
        let place = self.books().asks.place_for(ask.clinician, ask.patient, now_ms);
        let place = place.ok_or(VaultError::Unfit("as many requests as one may have are open"))?;
        self.keep_ask(place, ask)
    }

    /// Keeps the answer to a request that is open. False if there is none: then nothing changed.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub fn put_ask_answer(&self, id: AskId, answer: AskAnswer) -> Result<bool, VaultError> {
        let _changing = self.changing();
        let found = {
            let books = self.books();
            let place = books.asks.places.get(&id).copied();
            place.and_then(|place| Some((place.1, books.asks.by_place.get(&place)?.clone())))
        };
        let Some((place, mut ask)) = found.filter(|(_, ask)| ask.is_open(answer.at_ms)) else {
            return Ok(false);
        };
        ask.answer = Some(answer);
        self.keep_ask(place, ask).map(|()| true)
    }

    fn keep_ask(&self, place: u8, ask: ConsentAsk) -> Result<(), VaultError> {
        let name = [ask.clinician.0.as_slice(), &[place]].concat();
        self.tables.put(&[(Table::Asks, &name, &encode(place, &ask))])?;
        self.books_mut().asks.put((ask.clinician, place), ask);
        Ok(())
    }

    /// A request.
    #[must_use]
    pub fn ask(&self, id: AskId) -> Option<ConsentAsk> {
        let books = self.books();
        books.asks.by_place.get(books.asks.places.get(&id)?).cloned()
    }

    /// What a clinician asked for, newest first.
    #[must_use]
    pub fn asks_by(&self, clinician: PersonId) -> Vec<ConsentAsk> {
        let mut asks: Vec<ConsentAsk> = self.books().asks.of(clinician).map(|(_, ask)| ask.clone()).collect();
        asks.sort_by_key(|ask| core::cmp::Reverse(ask.asked_at_ms));
        asks
    }

    /// What a patient was asked for, newest first.
    #[must_use]
    pub fn asks_of(&self, patient: PatientId) -> Vec<ConsentAsk> {
        let books = self.books();
        let places = books.asks.by_patient.get(&patient).into_iter().flatten();
        let mut asks: Vec<ConsentAsk> =
            places.filter_map(|place| books.asks.by_place.get(place)).cloned().collect();
        asks.sort_by_key(|ask| core::cmp::Reverse(ask.asked_at_ms));
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(id: u8, patient: u8, asked_at_ms: u64) -> ConsentAsk {
        ConsentAsk {
            id: [id; 16],
            clinician: PersonId([0xcc; 32]),
            patient: PatientId([patient; 16]),
            classes: vec![Class::Vitals, Class::Alarms],
            reason: "round".into(),
            for_ms: 1_000,
            asked_at_ms,
            answer: None,
        }
    }

    proptest! {
        #[test]
        fn a_request_is_read_back_as_it_was_written(
            place in 0u8..16, reason in "\\PC{0,40}", times in (0u64..1 << 50, 0u64..1 << 50),
            answer in proptest::option::of((0u64..1 << 50, proptest::option::of(0u8..9))),
        ) {
            let answer = answer.map(|(at_ms, grant)| AskAnswer { at_ms, grant: grant.map(|byte| GrantId([byte; 32])) });
            let one = ConsentAsk { reason, for_ms: times.0, answer, ..ask(1, 2, times.1) };
            prop_assert_eq!(read(&encode(place, &one)), Ok(((one.clinician, place), one)));
        }
    }

    #[test]
    fn the_bytes_of_version_1_stay_as_they_are() {
        let answer = Some(AskAnswer { at_ms: 9, grant: Some(GrantId([0xaa; 32])) });
        let row = encode(3, &ConsentAsk { answer, ..ask(1, 2, 7) });
        let golden = format!(
            "8a010350{}5820{}50{}82010365726f756e641903e807820958{}{}",
            "01".repeat(16),
            "cc".repeat(32),
            "02".repeat(16),
            "20",
            "aa".repeat(32)
        );
        assert_eq!(hex::encode(&row), golden);
        for end in 0..row.len() {
            assert!(read(&row[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn one_clinician_has_so_many_places_and_no_more() {
        let mut book = AskBook::default();
        let clinician = PersonId([0xcc; 32]);
        for number in 0..ASKS_PER_CLINICIAN_MAX {
            let place = book.place_for(clinician, PatientId([number; 16]), 100).unwrap();
            book.put((clinician, place), ask(number, number, 10 + u64::from(number)));
        }
        assert_eq!(book.place_for(clinician, PatientId([99; 16]), 100), None, "all are open");
        assert_eq!(
            book.place_for(clinician, PatientId([3; 16]), 100),
            Some(3),
            "but that of the same patient"
        );
        assert_eq!(
            book.place_for(clinician, PatientId([99; 16]), 11 + ASK_MS),
            Some(0),
            "the oldest is over"
        );
        book.put((clinician, 0), ask(77, 99, 20 + ASK_MS));
        assert!(book.by_patient[&PatientId([0; 16])].is_empty() && !book.places.contains_key(&[0; 16]));
        assert_eq!(book.by_place.len(), usize::from(ASKS_PER_CLINICIAN_MAX));
    }
}
