//! Who is signed in. A token is 32 random bytes, known to the browser and stored only as a hash;
//! a session ends after idling or after a shift, whichever comes first. Owns its lock.

use crate::errors::Denied;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vitals::ids::{Hash, sha256};
use vitals::ledger::Role;
use vitals::origin::Origin;
use vitals::{PatientId, PersonId};
use zeroize::Zeroize;

/// A session ends after this long without a request.
pub const IDLE_MS: u64 = 15 * 60_000;
/// A session ends after this long in any case.
pub const ABSOLUTE_MS: u64 = 12 * 3_600_000;
/// Most sessions at once; the one idle longest makes room.
pub const SESSIONS_MAX: usize = 4096;
/// Most open pages remembered of one session; the one touched longest ago makes room.
pub(crate) const LOOKED_MAX: usize = 256;
/// What the browser holds: 64 hex digits. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl Token {
    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// A signed-in person.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session in access entries. Not the token.
    pub id: [u8; 16],
    /// The person on the ledger.
    pub person: PersonId,
    /// Sign-in name.
    pub login: String,
    /// Name, as it will stand in access entries.
    pub name: String,
    /// Role.
    pub role: Role,
    /// The own record, for a patient's session.
    pub patient: Option<PatientId>,
    /// Ends without a further request at this time, milliseconds.
    pub idle_until_ms: u64,
    /// Ends in any case at this time, milliseconds.
    pub until_ms: u64,
}

silent_debug!(Session);

/// One open session, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Names it. Not the token.
    pub id: [u8; 16],
    /// When its person signed in, milliseconds.
    pub since_ms: u64,
    /// When it was used last, milliseconds.
    pub used_ms: u64,
    /// Was it opened by the operator's tools on the node's machine, and not over the network?
    pub is_here: bool,
}

/// One open session.
struct OpenSession {
    token: Hash,
    session: Session,
    from: Origin,
    /// When somebody last touched each open page, by patient.
    looked: BTreeMap<PatientId, u64>,
}

impl OpenSession {
    fn ends_ms(&self) -> u64 {
        self.session.idle_until_ms.min(self.session.until_ms)
    }
}

/// All sessions.
#[derive(Default)]
struct Open {
    /// By the session's id.
    by_id: HashMap<[u8; 16], OpenSession>,
    /// By SHA-256 of the token.
    by_token: HashMap<Hash, [u8; 16]>,
    /// When each ends without a further request, the next one first.
    ends: BTreeSet<(u64, [u8; 16])>,
    /// Those that ended since the last sweep.
    ended: Vec<[u8; 16]>,
}

fn token_hash(token: &str) -> Hash {
    sha256(&[b"aceso/session/v1", token.as_bytes()])
}

impl Open {
    /// Opens a session whose token is `random`.
    fn open(&mut self, session: Session, from: Origin, random: &[u8; 32]) -> Token {
        if self.by_id.len() >= SESSIONS_MAX
            && let Some((_, idlest)) = self.ends.first().copied()
        {
            self.end(idlest);
        }
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (id, token) = (session.id, token_hash(&text));
        let one = OpenSession { token, session, from, looked: BTreeMap::new() };
        self.ends.insert((one.ends_ms(), id));
        self.by_token.insert(token, id);
        self.by_id.insert(id, one);
        Token(text)
    }

    fn end(&mut self, id: [u8; 16]) {
        if let Some(one) = self.by_id.remove(&id) {
            self.by_token.remove(&one.token);
            self.ends.remove(&(one.ends_ms(), id));
            self.ended.push(id);
        }
    }

    /// The session of a token; being asked for keeps it from idling out.
    fn get(&mut self, token: &str, now_ms: u64) -> Option<Session> {
        let id = *self.by_token.get(&token_hash(token))?;
        if !self.is_open(&id, now_ms) {
            self.end(id);
            return None;
        }
        let one = self.by_id.get_mut(&id)?;
        self.ends.remove(&(one.ends_ms(), id));
        one.session.idle_until_ms = now_ms + IDLE_MS;
        self.ends.insert((one.ends_ms(), id));
        Some(one.session.clone())
    }

    /// Is the session with this id still open? Does not keep it from idling out.
    fn is_open(&self, id: &[u8; 16], now_ms: u64) -> bool {
        self.by_id.get(id).is_some_and(|one| now_ms < one.ends_ms())
    }

    /// Somebody touches an open page.
    fn look(&mut self, id: [u8; 16], patient: PatientId, now_ms: u64) {
        let Some(one) = self.by_id.get_mut(&id) else { return };
        if one.looked.len() >= LOOKED_MAX && !one.looked.contains_key(&patient) {
            let oldest = one.looked.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(patient, _)| *patient);
            oldest.map(|patient| one.looked.remove(&patient));
        }
        one.looked.insert(patient, now_ms);
    }

    /// A stream begins. The first one counts as a look at the page; later ones only check that the page is still open.
    fn begin_looking(&mut self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        if !self.has_looked(id, patient) {
            self.look(id, patient, now_ms);
        }
        self.is_looking(id, patient, now_ms)
    }

    fn looked_ms(&self, id: [u8; 16], patient: PatientId) -> Option<u64> {
        self.by_id.get(&id)?.looked.get(&patient).copied()
    }

    /// Has the session ever opened the patient's page?
    fn has_looked(&self, id: [u8; 16], patient: PatientId) -> bool {
        self.looked_ms(id, patient).is_some()
    }

    /// Has the session touched the patient's page lately?
    fn is_looking(&self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        self.looked_ms(id, patient).is_some_and(|at_ms| now_ms < at_ms.saturating_add(IDLE_MS))
    }

    /// The open sessions of a person, the newest first.
    fn of(&self, person: PersonId, now_ms: u64) -> Vec<SessionView> {
        let open = self.by_id.iter().filter(|(_, one)| one.session.person == person);
        let mut open: Vec<SessionView> = open
            .filter(|(_, one)| now_ms < one.ends_ms())
            .map(|(id, one)| SessionView {
                id: *id,
                since_ms: one.session.until_ms.saturating_sub(ABSOLUTE_MS),
                used_ms: one.session.idle_until_ms.saturating_sub(IDLE_MS),
                is_here: one.from == Origin::HERE,
            })
            .collect();
        open.sort_by_key(|one| (core::cmp::Reverse(one.since_ms), one.id));
        open
    }

    /// Ends sessions of a person: this one, or all. Says how many.
    fn end_of(&mut self, person: PersonId, only: Option<[u8; 16]>) -> usize {
        let of = self
            .by_id
            .iter()
            .filter(|(id, one)| one.session.person == person && only.is_none_or(|only| only == **id));
        let ids: Vec<[u8; 16]> = of.map(|(id, _)| *id).collect();
        ids.iter().for_each(|id| self.end(*id));
        ids.len()
    }

    /// Ends a session; says which.
    fn close(&mut self, token: &str) -> Option<[u8; 16]> {
        let id = *self.by_token.get(&token_hash(token))?;
        self.end(id);
        Some(id)
    }

    /// Forgets sessions that ended; says which ended since the last call. Looks at those that end next only.
    fn sweep(&mut self, now_ms: u64) -> Vec<[u8; 16]> {
        while let Some((ends_ms, id)) = self.ends.first().copied()
            && ends_ms <= now_ms
        {
            self.end(id);
        }
        std::mem::take(&mut self.ended)
    }
}

/// Everybody who is signed in.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Open>);

impl Sessions {
    /// Opens a session whose token is `random`.
    pub(crate) fn open(&self, session: Session, from: Origin, random: &[u8; 32]) -> Token {
        self.0.lock().open(session, from, random)
    }

    /// How many sessions each person has open.
    pub(crate) fn counts(&self, now_ms: u64) -> HashMap<PersonId, usize> {
        let mut counts = HashMap::new();
        for one in self.0.lock().by_id.values().filter(|one| now_ms < one.ends_ms()) {
            *counts.entry(one.session.person).or_default() += 1;
        }
        counts
    }

    /// The open sessions of a person, the newest first.
    pub(crate) fn of(&self, person: PersonId, now_ms: u64) -> Vec<SessionView> {
        self.0.lock().of(person, now_ms)
    }

    /// Ends sessions of a person: this one, or all. Says how many.
    pub(crate) fn end_of(&self, person: PersonId, only: Option<[u8; 16]>) -> usize {
        self.0.lock().end_of(person, only)
    }

    /// The session of a token; being asked for keeps it from idling out.
    pub(crate) fn get(&self, token: &str, now_ms: u64) -> Option<Session> {
        self.0.lock().get(token, now_ms)
    }

    /// Is the session with this id still open? Does not keep it from idling out.
    pub(crate) fn is_open(&self, id: &[u8; 16], now_ms: u64) -> bool {
        self.0.lock().is_open(id, now_ms)
    }

    /// Somebody opened a patient's page.
    pub(crate) fn look(&self, session: &Session, patient: PatientId, now_ms: u64) -> Result<(), Denied> {
        let mut open = self.0.lock();
        if !open.is_open(&session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        open.look(session.id, patient, now_ms);
        Ok(())
    }

    /// Somebody uses a patient's page that is still open.
    pub(crate) fn look_again(
        &self,
        session: &Session,
        patient: PatientId,
        now_ms: u64,
    ) -> Result<(), Denied> {
        let mut open = self.0.lock();
        if !open.is_open(&session.id, now_ms) {
            return Err(Denied::SignedOut);
        }
        if !open.has_looked(session.id, patient) {
            return Err(Denied::NoSuchPatient);
        }
        if !open.is_looking(session.id, patient, now_ms) {
            return Err(Denied::LeftAlone);
        }
        open.look(session.id, patient, now_ms);
        Ok(())
    }

    /// A stream begins. The first one counts as a look at the page; later ones only check that the page is still open.
    pub(crate) fn begin_looking(&self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        self.0.lock().begin_looking(id, patient, now_ms)
    }

    /// Has the session touched the patient's page lately?
    pub(crate) fn is_looking(&self, id: [u8; 16], patient: PatientId, now_ms: u64) -> bool {
        self.0.lock().is_looking(id, patient, now_ms)
    }

    /// Ends a session; says which.
    pub(crate) fn close(&self, token: &str) -> Option<[u8; 16]> {
        self.0.lock().close(token)
    }

    /// Forgets sessions that ended; says which.
    pub(crate) fn sweep(&self, now_ms: u64) -> Vec<[u8; 16]> {
        self.0.lock().sweep(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const PLACE: Origin = Origin::HERE;

    fn session(login: &str, now_ms: u64) -> Session {
        Session {
            id: [1; 16],
            person: PersonId([2; 32]),
            login: login.into(),
            name: String::new(),
            role: Role::Clinician,
            patient: None,
            idle_until_ms: now_ms + IDLE_MS,
            until_ms: now_ms + ABSOLUTE_MS,
        }
    }

    #[test]
    fn a_session_idles_out_and_ends_with_the_shift() {
        let mut book = Open::default();
        let token = book.open(session("lee", NOW), PLACE, &[7; 32]);
        assert!(book.get(token.expose(), NOW + IDLE_MS).is_none(), "idle for too long");
        let token = book.open(session("lee", NOW), PLACE, &[8; 32]);
        let mut now_ms = NOW;
        while now_ms < NOW + ABSOLUTE_MS {
            assert!(book.get(token.expose(), now_ms).is_some());
            now_ms += IDLE_MS - 1;
        }
        assert!(book.get(token.expose(), now_ms).is_none(), "the shift is over");
    }

    #[test]
    fn a_session_is_not_found_by_another_token_or_after_signing_out() {
        let mut book = Open::default();
        let token = book.open(session("lee", NOW), PLACE, &[7; 32]);
        assert!(book.get("00", NOW).is_none());
        assert!(book.is_open(&[1; 16], NOW));
        book.close(token.expose());
        assert!(book.get(token.expose(), NOW).is_none());
        assert!(!book.is_open(&[1; 16], NOW));
    }

    #[test]
    fn memory_for_sessions_is_bounded() {
        let mut book = Open::default();
        for at in 0..(SESSIONS_MAX as u64 + 10) {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&at.to_be_bytes());
            let mut id = [0; 16];
            id[..8].copy_from_slice(&at.to_be_bytes());
            book.open(Session { id, ..session("lee", NOW + at) }, PLACE, &random);
        }
        assert_eq!(
            (book.by_id.len(), book.by_token.len(), book.ends.len()),
            (SESSIONS_MAX, SESSIONS_MAX, SESSIONS_MAX)
        );
        assert_eq!(book.sweep(NOW).len(), 10, "what made room is told, so that its traces go too");
        assert_eq!(book.sweep(NOW + ABSOLUTE_MS).len(), SESSIONS_MAX);
        assert!(book.by_id.is_empty() && book.by_token.is_empty() && book.ends.is_empty());
    }

    /// How long looking the newest session up takes, `others` being signed in: the shortest of some tries.
    fn look_up_ns(others: usize) -> u128 {
        let mut book = Open::default();
        for at in 0..others {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&(at as u64).to_be_bytes());
            book.open(
                Session { id: random[..16].try_into().unwrap(), ..session("lee", NOW) },
                PLACE,
                &random,
            );
        }
        let last = book.open(Session { id: [9; 16], ..session("kim", NOW) }, PLACE, &[9; 32]);
        let mut tries = Vec::new();
        for _ in 0..20 {
            #[allow(clippy::disallowed_methods, reason = "a measurement")]
            let begun = std::time::Instant::now();
            for _ in 0..200 {
                assert!(book.is_open(&[9; 16], NOW) && !book.is_open(&[8; 16], NOW));
                assert!(book.get(last.expose(), NOW).is_some());
            }
            tries.push(begun.elapsed().as_nanos());
        }
        tries.into_iter().min().unwrap()
    }

    #[test]
    fn asking_for_a_session_costs_the_same_however_many_are_signed_in() {
        let (alone, among) = (look_up_ns(0), look_up_ns(SESSIONS_MAX - 1));
        println!("looked up 200 times: {alone} ns alone, {among} ns among {SESSIONS_MAX}");
        // Looking through all of them takes about forty times as long.
        assert!(among < alone * 8, "{alone} ns alone, {among} ns among {SESSIONS_MAX}");
    }

    #[test]
    fn every_session_that_ends_is_told_once_however_it_ended() {
        let mut book = Open::default();
        let tokens: Vec<Token> = (0..4)
            .map(|n| book.open(Session { id: [n; 16], ..session("lee", NOW) }, PLACE, &[n; 32]))
            .collect();
        book.close(tokens[0].expose());
        assert!(book.get(tokens[1].expose(), NOW + IDLE_MS).is_none(), "idle for too long");
        assert!(book.get(tokens[2].expose(), NOW + 1).is_some());
        let mut ended = book.sweep(NOW + IDLE_MS);
        ended.sort_unstable();
        assert_eq!(ended, [[0; 16], [1; 16], [3; 16]]);
        assert!(book.sweep(NOW + IDLE_MS).is_empty());
        assert_eq!(book.sweep(NOW + IDLE_MS + 1), [[2; 16]]);
    }

    #[test]
    fn pages_remembered_of_a_session_are_bounded_and_go_with_it() {
        let mut book = Open::default();
        let token = book.open(session("lee", NOW), PLACE, &[7; 32]);
        let patient =
            |n: usize| PatientId(core::array::from_fn(|at| u8::try_from(n >> (8 * (at % 2)) & 255).unwrap()));
        for n in 0..LOOKED_MAX + 10 {
            assert!(book.begin_looking([1; 16], patient(n), NOW + n as u64));
        }
        assert_eq!(book.by_id[&[1; 16]].looked.len(), LOOKED_MAX);
        assert!(!book.has_looked([1; 16], patient(0)) && book.has_looked([1; 16], patient(LOOKED_MAX)));
        book.close(token.expose());
        assert!(!book.begin_looking([1; 16], patient(1), NOW), "no session, no page");
        assert!(book.by_id.is_empty());
    }

    #[test]
    fn the_sessions_of_one_person_are_listed_and_ended_and_nobody_else_s() {
        let mut book = Open::default();
        let other = PersonId([3; 32]);
        let make = |n: u8, person, now_ms| Session { id: [n; 16], person, ..session("lee", now_ms) };
        let lee = PersonId([2; 32]);
        let tokens = [(1, lee), (2, lee), (3, other)]
            .map(|(n, person)| book.open(make(n, person, NOW + u64::from(n)), PLACE, &[n; 32]));
        assert!(book.get(tokens[0].expose(), NOW + 500).is_some());
        let seen: Vec<_> =
            book.of(lee, NOW + 600).into_iter().map(|one| (one.id[0], one.since_ms, one.used_ms)).collect();
        assert_eq!(seen, [(2, NOW + 2, NOW + 2), (1, NOW + 1, NOW + 500)]);
        assert_eq!(book.end_of(lee, Some([3; 16])), 0, "not this person's");
        assert_eq!(book.end_of(lee, Some([2; 16])), 1);
        assert_eq!(book.end_of(lee, None), 1);
        assert!(book.of(lee, NOW + 600).is_empty() && book.get(tokens[2].expose(), NOW + 600).is_some());
        assert_eq!(book.sweep(NOW + 600).len(), 2, "those that were ended are told once");
    }
}
