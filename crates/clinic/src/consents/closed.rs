//! Which consents of a patient a decision looks at: those that may open something and, where none does, what a
//! refusal tells of those that are over (one that was withdrawn, and the one that ended last). A patient gathers
//! consents for as long as they come; what a decision costs does not grow with them. Owns its lock.

use super::policy::Consent;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vitals::ledger::{Grant, Purpose};
use vitals::{GrantId, PatientId, PersonId};

/// Can this consent open nothing any more, whatever happens? It is withdrawn, or ended by the ledger's time,
/// which never goes back.
pub(super) fn is_closed(grant: &Grant, ledger_ms: u64) -> bool {
    grant.revoked_at_ms != 0 || grant.until_ms <= ledger_ms
}

/// Of consents that are over, no more than these are kept for what they tell without being looked through.
const TOLD_LEN_MAX: usize = 8;

/// The consents of one patient that decisions look at.
#[derive(Debug, Clone, Default)]
pub(super) struct Considered {
    /// How many consents were known when these were noted.
    known: usize,
    /// Those that may open something, now or later.
    pub(super) open: BTreeSet<GrantId>,
    /// Those that are over, and say why nothing opens: to whom, and for what purpose. So that those which say nothing
    /// more than others do are left out before anything of them is looked up.
    told: BTreeMap<GrantId, (PersonId, Purpose)>,
    /// How many of those were left, by purpose, when all of them were looked at and the needless ones left out.
    sorted: HashMap<Purpose, usize>,
}

impl Considered {
    /// Has so much ended for a purpose, since that was done last, that what is needless is to be sorted out?
    pub(super) fn is_long(&self, purpose: Purpose) -> bool {
        let sorted = self.sorted.get(&purpose).copied().unwrap_or_default();
        self.told(purpose, &[]).count() > TOLD_LEN_MAX.max(2 * sorted)
    }

    /// Of those that are over, those for a purpose and to nobody of `spared`.
    pub(super) fn told(&self, purpose: Purpose, spared: &[PersonId]) -> impl Iterator<Item = GrantId> {
        let wanted = move |(grantee, of): &(PersonId, Purpose)| *of == purpose && !spared.contains(grantee);
        self.told.iter().filter(move |(_, about)| wanted(about)).map(|(id, _)| *id)
    }
}

/// By patient, the consents that decisions look at.
#[derive(Default)]
pub(crate) struct OpenConsents(Mutex<HashMap<PatientId, Considered>>);

impl OpenConsents {
    /// Those of a patient with `known` consents in all; none if others are known than there were.
    pub(super) fn of(&self, patient: PatientId, known: usize) -> Option<Considered> {
        self.0.lock().get(&patient).filter(|noted| noted.known == known).cloned()
    }

    /// Notes all consents of a patient anew: each is looked at once more.
    pub(super) fn note(&self, patient: PatientId, all: Vec<GrantId>) -> Considered {
        let known = all.len();
        let considered = Considered { known, open: all.into_iter().collect(), ..Considered::default() };
        self.0.lock().insert(patient, considered.clone());
        considered
    }

    /// These are over; of them, nobody needs to look at those that are `needless`. `sorted`: all that are over for
    /// this purpose were looked at.
    pub(super) fn close(
        &self,
        patient: PatientId,
        closed: &[(GrantId, (PersonId, Purpose))],
        needless: &[GrantId],
        sorted: Option<Purpose>,
    ) {
        if let Some(noted) = self.0.lock().get_mut(&patient) {
            for (grant, about) in closed {
                if noted.open.remove(grant) {
                    noted.told.insert(*grant, *about);
                }
            }
            for grant in needless {
                noted.told.remove(grant);
            }
            if let Some(purpose) = sorted {
                let left = noted.told(purpose, &[]).count();
                noted.sorted.insert(purpose, left);
            }
        }
    }
}

/// Those of a patient's consents for one purpose that no decision needs: closed, and not the ones by which a
/// refusal says what was withdrawn or when it ended.
pub(super) fn needless(consents: &[Consent], ledger_ms: u64) -> Vec<GrantId> {
    // By grantee: one that was withdrawn, and the one that ended last.
    let mut told: HashMap<(PersonId, Purpose, bool), (u64, GrantId)> = HashMap::new();
    let mut needless = Vec::new();
    for consent in consents {
        let (grant, Some(terms)) = (&consent.grant, &consent.terms) else { continue };
        if !is_closed(grant, ledger_ms) {
            continue;
        }
        let key = (grant.grantee, terms.purpose, grant.revoked_at_ms != 0);
        let one = (grant.until_ms, consent.id);
        match told.get_mut(&key) {
            None => drop(told.insert(key, one)),
            Some(last) => {
                let before = std::mem::replace(last, one.max(*last));
                needless.push(before.min(one).1);
            }
        }
    }
    needless
}

#[cfg(test)]
mod tests {
    use super::super::policy::Restricted;
    use super::*;
    use vitals::ids::Class;
    use vitals::ledger::Terms;

    fn consent(number: u8, until_ms: u64, revoked_at_ms: u64) -> Consent {
        let grant = Grant {
            patient: PersonId([1; 32]),
            grantee: PersonId([2; 32]),
            terms: [0; 32],
            from_ms: 0,
            until_ms,
            revoked_at_ms,
            policy: None,
        };
        let terms = Terms { classes: vec![Class::Vitals], purpose: Purpose::Monitoring, salt: [0; 32] };
        Consent {
            id: GrantId([number; 32]),
            grant,
            terms: Some(terms),
            withdrawn_here: false,
            restricted: Restricted::default(),
        }
    }

    #[test]
    fn what_is_over_is_left_out_where_it_says_nothing_more() {
        let (of_all, amira) = (OpenConsents::default(), PatientId([1; 16]));
        let ids = [1, 2, 3].map(|number| GrantId([number; 32]));
        of_all.note(amira, ids.to_vec());
        let (ward, lee) = (PersonId([2; 32]), PersonId([3; 32]));
        let abouts = [(ward, Purpose::Monitoring), (lee, Purpose::Monitoring), (lee, Purpose::Treatment)];
        of_all.close(amira, &[0, 1, 2].map(|at| (ids[at], abouts[at])), &[], None);
        let noted = of_all.of(amira, 3).unwrap();
        let told = |purpose, spared: &[PersonId]| noted.told(purpose, spared).collect::<Vec<_>>();
        assert_eq!(told(Purpose::Monitoring, &[]), [ids[0], ids[1]]);
        assert_eq!(told(Purpose::Monitoring, &[ward]), [ids[1]]);
        assert_eq!(told(Purpose::Treatment, &[lee]), []);
    }

    #[test]
    fn what_had_to_stay_is_not_sorted_out_again_and_again() {
        let (of_all, amira) = (OpenConsents::default(), PatientId([1; 16]));
        let ids: Vec<GrantId> = (0..40).map(|number| GrantId([number; 32])).collect();
        of_all.note(amira, ids.clone());
        let about = |id: &GrantId| (*id, (PersonId(id.0), Purpose::Treatment));
        let is_long = |purpose| of_all.of(amira, ids.len()).unwrap().is_long(purpose);
        let end = |ids: &[GrantId]| {
            of_all.close(amira, &ids.iter().map(about).collect::<Vec<_>>(), &[], None);
        };
        end(&ids[..TOLD_LEN_MAX + 1]);
        assert!(is_long(Purpose::Treatment) && !is_long(Purpose::Monitoring));
        // To nine people, one each: none is needless.
        of_all.close(amira, &[], &[], Some(Purpose::Treatment));
        assert!(!is_long(Purpose::Treatment));
        end(&ids);
        assert!(is_long(Purpose::Treatment), "many more have ended since");
    }

    #[test]
    fn of_all_that_is_over_one_withdrawn_and_the_last_ended_stay() {
        let all = [
            consent(1, 10, 0),
            consent(2, 30, 0),
            consent(3, 20, 0),
            consent(4, 90, 5),
            consent(5, 80, 6),
            consent(6, 70, 0),
        ];
        let mut gone = needless(&all, 40);
        gone.sort_unstable();
        assert_eq!(
            gone,
            [1, 3, 5].map(|number| GrantId([number; 32])),
            "2 ended last, 4 tells of withdrawal, 6 lives"
        );
        assert!(needless(&all[..1], 40).is_empty());
        assert!(needless(&all, 0).iter().all(|id| *id == GrantId([5; 32])), "nothing has ended yet");
    }
}
