//! Access without consent and policies, read from storage.

use super::{Contracts, array, number_word, slot_far_after};
use crate::machine::State;
use alloy_primitives::{Address, B256};
use vitals::break_glass::{BreakGlassEntry, POLICIES_MAX, Policy, Review, Verdict};
use vitals::ids::{GrantId, Hash, OrgId, PersonId};
use vitals::proof::contracts::{mapping_slot, packed, packed_u64, slot_after};
use vitals::proof::state::NotProven;

/// Slot of `Consents.policyOf`.
const POLICY_OF: u8 = 1;
/// Slot of `Consents.entries`.
const ENTRIES: u8 = 2;
/// Slot of `Consents.allEntries`.
const ALL_ENTRIES: u64 = 3;
/// Slot of `Policies.policies`.
const POLICIES: u8 = 0;
/// Slot of `Policies.all`.
const ALL_POLICIES: u64 = 2;

impl Contracts {
    /// The policy a consent is given under.
    pub(crate) fn policy_of(&self, state: &State, grant: GrantId) -> Option<[u8; 20]> {
        let word = state.word(&self.consents, &mapping_slot(&grant.0, POLICY_OF));
        (word != [0; 32]).then(|| packed(&word, 0))
    }

    /// An access without consent.
    pub(crate) fn break_glass_entry(
        &self,
        state: &State,
        id: &Hash,
    ) -> Result<Option<BreakGlassEntry>, NotProven> {
        let base = mapping_slot(id, ENTRIES);
        let word = |offset| state.word(&self.consents, &slot_after(&base, offset));
        let times = word(4);
        if times == [0; 32] {
            return Ok(None);
        }
        let second = PersonId(word(2));
        let review = match packed_u64(&times, 24) {
            0 => None,
            at_ms => {
                let [verdict] = packed(&word(7), 0);
                let verdict = Verdict::from_code(verdict).ok_or(NotProven::NotARecord)?;
                Some(Review { auditor: PersonId(word(5)), verdict, remark: word(6), at_ms })
            }
        };
        Ok(Some(BreakGlassEntry {
            patient: PersonId(word(0)),
            clinician: PersonId(word(1)),
            second: (second.0 != [0; 32]).then_some(second),
            reason: word(3),
            from_ms: packed_u64(&times, 0),
            until_ms: packed_u64(&times, 8),
            given_at_ms: packed_u64(&times, 16),
            review,
        }))
    }

    /// The newest `most` accesses without consent, newest first.
    pub(crate) fn break_glass_entries(
        &self,
        state: &State,
        most: u64,
    ) -> Result<Vec<(Hash, BreakGlassEntry)>, NotProven> {
        let (len, base) = array(state, &self.consents, &number_word(ALL_ENTRIES), u64::MAX)?;
        let ids = (len.saturating_sub(most)..len).rev();
        ids.map(|index| {
            let id = state.word(&self.consents, &slot_far_after(&base, index));
            Ok((id, self.break_glass_entry(state, &id)?.ok_or(NotProven::NotARecord)?))
        })
        .collect()
    }

    /// A policy of the registry.
    pub(crate) fn policy(&self, state: &State, contract: &[u8; 20]) -> Option<Policy> {
        let key = B256::left_padding_from(contract).0;
        let base = mapping_slot(&key, POLICIES);
        let word = |offset| state.word(&self.policies, &slot_after(&base, offset));
        let rest = word(2);
        (rest != [0; 32]).then(|| Policy {
            name: word(0),
            version: u32::from_be_bytes(packed(&word(3), 0)),
            org: OrgId(packed(&rest, 0)),
            added_at_ms: packed_u64(&rest, 16),
            withdrawn_at_ms: packed_u64(&rest, 24),
        })
    }

    /// Every policy there ever was, in order.
    pub(crate) fn policies(&self, state: &State) -> Result<Vec<(Address, Policy)>, NotProven> {
        let (len, base) = array(state, &self.policies, &number_word(ALL_POLICIES), POLICIES_MAX as u64)?;
        (0..len)
            .map(|index| {
                let contract = packed(&state.word(&self.policies, &slot_far_after(&base, index)), 0);
                let policy = self.policy(state, &contract).ok_or(NotProven::NotARecord)?;
                Ok((Address::from(contract), policy))
            })
            .collect()
    }
}
