//! Read-only calls to contracts: does a policy agree?

use super::reads::{Call, Called};
use super::{Machine, TX_GAS_MAX, View};
use crate::contracts::bindings::Consents;
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_sol_types::SolCall;
use vitals::ids::{Class, GrantId};

impl Machine {
    /// The output of a read-only call as of the view's block; `None` if it reverts.
    pub(crate) fn query_contract(&self, view: &View, to: Address, data: Vec<u8>) -> Option<Bytes> {
        let call = Call { to: TxKind::Call(to), data: data.into(), gas: TX_GAS_MAX, ..Call::default() };
        match self.call(view, &call) {
            Ok(Called::Returned { output, .. }) => Some(output),
            _ => None,
        }
    }

    /// Does the consent's policy agree that a class is opened, as of the view's block? True without one.
    pub(crate) fn policy_agrees(&self, view: &View, grant: GrantId, class: Class) -> bool {
        let call = Consents::policyAgreesCall { id: B256::from(grant.0), class: class.code() };
        let answer = self.query_contract(view, self.contracts().consents, call.abi_encode());
        answer.is_some_and(|bytes| bytes.len() == 32 && bytes.last() == Some(&1))
    }
}
