//! The registry of roles beyond the first five, found through the address book.
//!
//! The address book is a use of the directory: an organisation admitted by vote under
//! [`address_book_key`] names the address of a contract (docs/decisions/148).

use super::bindings::Roles;
use super::{Contracts, number_word};
use crate::machine::State;
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolConstructor;
use std::sync::LazyLock;
use vitals::ids::{OrgId, PersonId};
use vitals::ledger::Act;
use vitals::proof::contracts::{
    ROLES, ROLES_VERSION, Word, address_book_key, id_word, mapping_slot, organisation_slots, packed,
    slot_after,
};
use vitals::proof::state::keccak256;

/// Slot of `Roles.directory`.
const DIRECTORY: u8 = 0;
/// Slot of `Roles.roles`.
const DEFINED: u8 = 1;
/// Slot of `Roles.assignments`.
const ASSIGNMENTS: u8 = 2;

/// Hash of the registry's code. It has no immutables, so the code is the same on every ledger.
static CODE_HASH: LazyLock<B256> = LazyLock::new(|| alloy_primitives::keccak256(&Roles::DEPLOYED_BYTECODE));

/// The address-book entry of the registry, as an organisation of the directory.
#[must_use]
pub fn entry() -> OrgId {
    OrgId::of(&address_book_key(ROLES, ROLES_VERSION))
}

/// Creation code of the registry for a ledger with these contracts. An organisation deploys it with a
/// transaction of its account, and proposes its address under [`address_book_key`].
#[must_use]
pub fn creation(contracts: &Contracts) -> Vec<u8> {
    let arguments = Roles::constructorCall { directory_: contracts.directory }.abi_encode();
    [Roles::BYTECODE.as_ref(), &arguments].concat()
}

impl Contracts {
    /// The same, with the contracts that the address book of this state holds.
    #[must_use]
    pub(crate) fn with_address_book(self, state: &State) -> Self {
        Self { roles: self.find_roles(state), ..self }
    }

    /// The registry of roles, if the address book holds one with this build's code for this directory.
    fn find_roles(&self, state: &State) -> Option<Address> {
        let [_, sender_slot] = organisation_slots(entry());
        let address = Address::from(packed::<20>(&state.word(&self.directory, &sender_slot), 0));
        let account = state.account(&address).filter(|_| !address.is_zero())?;
        let directory = packed::<20>(&state.word(&address, &number_word(u64::from(DIRECTORY))), 0);
        (account.code_hash == *CODE_HASH && directory == self.directory).then_some(address)
    }

    /// The code of a person's role: the one the home organisation assigned, if its base is the role the person
    /// was enrolled under, else that. It never changes once the person is enrolled.
    pub(super) fn effective_role(&self, state: &State, org: OrgId, person: PersonId, base: u8) -> u8 {
        let Some(roles) = self.find_roles(state) else { return base };
        let of_org = mapping_slot(&id_word(&org.0), ASSIGNMENTS);
        let [role] = packed(&state.word(&roles, &keccak256(&[&person.0, &of_org])), 8);
        let definition = slot_after(&mapping_slot(&role_word(role), DEFINED), 1);
        let [of_role] = packed(&state.word(&roles, &definition), 8);
        if role != 0 && of_role == base { role } else { base }
    }

    /// Why an act cannot be sent: the contract it is for is not on this ledger.
    ///
    /// # Errors
    /// The reason, for the sender.
    pub(crate) fn check_available(&self, act: &Act) -> Result<(), &'static str> {
        match act {
            Act::SupportRole { .. } | Act::AssignRole { .. } if self.roles.is_none() => {
                Err("this ledger has no registry of roles: deploy it and have its address admitted by vote")
            }
            _ => Ok(()),
        }
    }
}

fn role_word(role: u8) -> Word {
    number_word(u64::from(role))
}
