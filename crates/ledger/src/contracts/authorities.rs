//! Validators, committees, proposals and organisations, read from storage.

use super::{Contracts, array, bytes_at, number_word, slot_far_after};
use crate::machine::State;
use vitals::governance::{
    Acceptance, ENDPOINT_BYTES_MAX, Motion, ORGANISATIONS_MAX, Proposal, VALIDATORS_STAYING_MAX, Validator,
};
use vitals::ids::OrgId;
use vitals::proof::contracts::{Word, mapping_slot, packed, packed_u64, slot_after};
use vitals::proof::state::NotProven;

/// Slot of `Directory.all`.
const ALL: u8 = 3;
/// Slot of `Authorities.validators`.
const VALIDATORS: u8 = 0;
/// Slot of `Authorities.endpoints`.
const ENDPOINTS: u8 = 2;
/// Slot of the counters: organisations seated, validators staying, proposals.
const COUNTERS: u8 = 4;
/// Slot of `Authorities.proposals`.
const PROPOSALS: u8 = 5;
/// More entries are damage: all that stay could leave and be replaced several times before they are dropped.
const ENTRIES_MAX: u64 = 64 * VALIDATORS_STAYING_MAX as u64;

fn slot(number: u8) -> Word {
    number_word(u64::from(number))
}

impl Contracts {
    /// Every validator that stays, is to come, or left not long ago, ascending by key.
    pub(crate) fn validators(&self, state: &State) -> Result<Vec<Validator>, NotProven> {
        let (len, base) = array(state, &self.authorities, &slot(VALIDATORS), ENTRIES_MAX)?;
        let mut validators = Vec::new();
        for index in 0..len {
            let key = state.word(&self.authorities, &slot_far_after(&base, 2 * index));
            let rest = state.word(&self.authorities, &slot_far_after(&base, 2 * index + 1));
            let until = packed_u64(&rest, 24);
            let at = mapping_slot(&key, ENDPOINTS);
            let endpoint = bytes_at(state, &self.authorities, &at, ENDPOINT_BYTES_MAX)?;
            validators.push(Validator {
                key,
                org: OrgId(packed(&rest, 0)),
                from_epoch: packed_u64(&rest, 16),
                until_epoch: (until != 0).then_some(until),
                endpoint: String::from_utf8(endpoint).map_err(|_| NotProven::NotARecord)?,
            });
        }
        validators.sort_unstable_by_key(|validator| validator.key);
        Ok(validators)
    }

    /// The keys of an epoch's committee, ascending. After any block of epoch e the committees of e and e + 1
    /// are settled; that of e + 2 once e is over.
    pub(crate) fn committee(&self, state: &State, epoch: u64) -> Result<Vec<Word>, NotProven> {
        let (len, base) = array(state, &self.authorities, &slot(VALIDATORS), ENTRIES_MAX)?;
        let mut keys = Vec::new();
        for index in 0..len {
            let rest = state.word(&self.authorities, &slot_far_after(&base, 2 * index + 1));
            let (from, until) = (packed_u64(&rest, 16), packed_u64(&rest, 24));
            if from <= epoch && (until == 0 || epoch < until) {
                keys.push(state.word(&self.authorities, &slot_far_after(&base, 2 * index)));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// How many proposals there ever were.
    #[must_use]
    pub(crate) fn proposal_count(&self, state: &State) -> u64 {
        packed_u64(&state.word(&self.authorities, &slot(COUNTERS)), 16)
    }

    /// The newest `most` proposals, newest first.
    pub(crate) fn proposals(&self, state: &State, most: u64) -> Result<Vec<Proposal>, NotProven> {
        let count = self.proposal_count(state);
        let ids = (count.saturating_sub(most) + 1..=count).rev();
        ids.map(|id| self.proposal(state, id)?.ok_or(NotProven::NotARecord)).collect()
    }

    /// A proposal with its votes.
    pub(crate) fn proposal(&self, state: &State, id: u64) -> Result<Option<Proposal>, NotProven> {
        let base = mapping_slot(&number_word(id), PROPOSALS);
        let word = |offset| state.word(&self.authorities, &slot_after(&base, offset));
        let (key, organisations, head, accepted) = (word(0), word(2), word(3), word(4));
        let [kind] = packed(&head, 28);
        if kind == 0 {
            return Ok(None);
        }
        let org = OrgId(packed(&organisations, 0));
        let endpoint = || {
            let bytes = bytes_at(state, &self.authorities, &slot_after(&base, 5), ENDPOINT_BYTES_MAX)?;
            String::from_utf8(bytes).map_err(|_| NotProven::NotARecord)
        };
        let motion = match kind {
            1 => Motion::AddValidator { key, org, endpoint: endpoint()? },
            2 => Motion::RemoveValidator { key },
            3 => Motion::ReplaceKey { old: word(1), new: key, endpoint: endpoint()? },
            4 => Motion::AdmitOrganisation { record_key: key, sender: packed(&head, 0) },
            5 => Motion::RemoveOrganisation { org },
            _ => return Err(NotProven::NotARecord),
        };
        let at = slot_after(&base, 6);
        let (votes, from) = array(state, &self.authorities, &at, ORGANISATIONS_MAX as u64)?;
        // Two votes share a slot.
        let vote = |index: u64| {
            let pair = state.word(&self.authorities, &slot_far_after(&from, index / 2));
            OrgId(if index.is_multiple_of(2) { packed(&pair, 0) } else { packed(&pair, 16) })
        };
        let at_ms = packed_u64(&accepted, 0);
        Ok(Some(Proposal {
            id,
            motion,
            proposer: OrgId(packed(&organisations, 16)),
            proposed_at_ms: packed_u64(&head, 20),
            votes: (0..votes).map(vote).collect(),
            accepted: (at_ms != 0).then(|| Acceptance { at_ms, acts_from_epoch: packed_u64(&accepted, 8) }),
        }))
    }

    /// Every organisation there ever was, in order of admission, without the entries of the address book.
    pub(crate) fn organisations(&self, state: &State) -> Result<Vec<OrgId>, NotProven> {
        let (len, base) = array(state, &self.directory, &slot(ALL), ORGANISATIONS_MAX as u64)?;
        let id = |index: u64| {
            let pair = state.word(&self.directory, &slot_far_after(&base, index / 2));
            OrgId(if index.is_multiple_of(2) { packed(&pair, 0) } else { packed(&pair, 16) })
        };
        Ok((0..len).map(id).filter(|org| *org != super::roles::entry()).collect())
    }
}
