//! Accounts, storage, proofs, and calls that change nothing.

use super::budget;
use super::errors::RpcRefusal;
use super::params::{BlockSelector, Params, address, call, list, slot};
use super::{Session, render};
use crate::machine::{Call, Called, StoreError, TX_GAS_MAX, View};
use alloy_primitives::{U256, hex};
use serde_json::{Value, json};

/// Most gas of a call that is tried or estimated: as much as a transaction may have.
pub const CALL_GAS_MAX: u64 = TX_GAS_MAX;
/// Most slots of one proof.
pub const PROOF_SLOTS_MAX: usize = 256;
/// An estimate is at most one part in so many above what is needed.
const ESTIMATE_PART: u64 = 64;
/// Gas a called contract gets on top when value comes along.
const STIPEND: u64 = 2_300;

impl Session<'_> {
    /// The state after the block a parameter names.
    fn view(&self, params: &Params<'_>, position: usize) -> Result<View, RpcRefusal> {
        let machine = &self.backend.machine;
        let at = params.block(position)?;
        let height = match at {
            BlockSelector::Tip | BlockSelector::Pending => return Ok(machine.view()),
            BlockSelector::Height(_) | BlockSelector::Digest(_) => self.backend.height(at)?,
        };
        let height = height.ok_or_else(|| RpcRefusal::not_found("there is no such block"))?;
        match machine.view_at(height) {
            Err(why @ StoreError::NotKept { .. }) => Err(RpcRefusal::not_found(why.to_string())),
            other => Ok(other?),
        }
    }

    pub(super) fn balance(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let who = params.most(2)?.get(0, "address", address)?;
        let account = self.view(&params, 1)?.account(who);
        Ok(render::large(account.map_or(U256::ZERO, |account| account.balance)))
    }

    pub(super) fn transaction_count(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let who = params.most(2)?.get(0, "address", address)?;
        if params.block(1)? == BlockSelector::Pending {
            return Ok(render::quantity(self.backend.pool.next_nonce(who)));
        }
        Ok(render::quantity(self.view(&params, 1)?.nonce(who)))
    }

    pub(super) fn code(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let who = params.most(2)?.get(0, "address", address)?;
        let code = self.view(&params, 1)?.code(who);
        self.work.bytes(2 * code.len())?;
        Ok(render::bytes(&code))
    }

    pub(super) fn storage_at(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let who = params.most(3)?.get(0, "address", address)?;
        let slot = params.get(1, "slot", slot)?;
        Ok(render::bytes(&self.view(&params, 2)?.word(who, &slot.0)))
    }

    pub(super) fn proof(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let who = params.most(3)?.get(0, "address", address)?;
        let keys = params.get(1, "slots", |value| {
            list(value, PROOF_SLOTS_MAX, |value| slot(value).map(|slot| (value, slot)))
        })?;
        let view = self.view(&params, 2)?;
        self.work.spend(budget::PROOF * (1 + keys.len() as u64))?;
        let slots: Vec<[u8; 32]> = keys.iter().map(|(_, slot)| slot.0).collect();
        let proof = view.prove_slots(who, &slots);
        let lengths = proof.slots.iter().flat_map(|slot| &slot.nodes).chain(&proof.nodes).map(Vec::len);
        self.work.bytes(512 + 300 * slots.len() + lengths.map(|length| 2 * length + 8).sum::<usize>())?;
        let nodes = |nodes: &[Vec<u8>]| nodes.iter().map(|node| render::bytes(node)).collect::<Vec<_>>();
        let mut storage = Vec::with_capacity(keys.len());
        for ((key, slot), proven) in keys.iter().zip(&proof.slots) {
            let value = U256::from_be_bytes(view.word(who, &slot.0));
            // The key as it was asked for: clients look it up so.
            storage.push(json!({
                "key": key,
                "value": render::large(value),
                "proof": nodes(&proven.nodes),
            }));
        }
        let account = view.account(who).unwrap_or_default();
        Ok(json!({
            "address": render::bytes(who.as_slice()),
            "balance": render::large(account.balance),
            "nonce": render::quantity(account.nonce),
            "codeHash": render::bytes(account.code_hash.as_slice()),
            "storageHash": render::bytes(account.storage_root.as_slice()),
            "accountProof": nodes(&proof.nodes),
            "storageProof": storage,
        }))
    }

    fn run(&mut self, view: &View, call: &Call) -> Result<Called, RpcRefusal> {
        self.work.any()?;
        let called = self.backend.machine.call(view, call).map_err(RpcRefusal::impossible)?;
        self.work.spent(match &called {
            Called::Returned { spent, .. } => *spent,
            Called::Reverted { gas, .. } | Called::Halted { gas, .. } => *gas,
        });
        Ok(called)
    }

    fn read_call(&self, params: &Params<'_>) -> Result<(Call, View), RpcRefusal> {
        let chain_id = self.backend.machine.chain_id();
        let call = params.get(0, "call", |value| call(value, chain_id, CALL_GAS_MAX))?;
        Ok((call, self.view(params, 1)?))
    }

    pub(super) fn try_call(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (call, view) = self.read_call(&params.most(2)?)?;
        match self.run(&view, &call)? {
            Called::Returned { output, .. } => {
                self.work.bytes(2 * output.len())?;
                Ok(json!(hex::encode_prefixed(output)))
            }
            Called::Reverted { output, .. } => Err(self.reverted(&output)?),
            Called::Halted { why, .. } => Err(fails(why)),
        }
    }

    fn reverted(&mut self, output: &[u8]) -> Result<RpcRefusal, RpcRefusal> {
        self.work.bytes(4 * output.len())?;
        Ok(RpcRefusal::reverted(output))
    }

    pub(super) fn estimate(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (mut call, view) = self.read_call(&params.most(2)?)?;
        let most = call.gas;
        let (used, spent) = match self.run(&view, &call)? {
            Called::Returned { gas, spent, .. } => (gas, spent),
            Called::Reverted { output, .. } => return Err(self.reverted(&output)?),
            Called::Halted { out_of_gas: true, .. } => {
                return Err(RpcRefusal::impossible(format!("gas required exceeds allowance ({most})")));
            }
            Called::Halted { why, .. } => return Err(fails(why)),
        };
        // Enough, and too little: what it used may not do, for contracts keep a part back from those they
        // call, and some gas comes back only in the end.
        let (mut enough, mut short) = (most, used.saturating_sub(1));
        for guess in [spent, (spent + STIPEND).saturating_mul(64) / 63] {
            if guess > short && guess < enough {
                call.gas = guess;
                match self.run(&view, &call)? {
                    Called::Returned { .. } => enough = guess,
                    _ => short = guess,
                }
            }
        }
        while enough - short > 1 && enough - short > enough / ESTIMATE_PART && enough != spent {
            call.gas = short + (enough - short) / 2;
            match self.run(&view, &call)? {
                Called::Returned { .. } => enough = call.gas,
                _ => short = call.gas,
            }
        }
        Ok(render::quantity(enough))
    }
}

/// A call that stopped, in the words clients look for, where they look for any.
fn fails(why: &str) -> RpcRefusal {
    RpcRefusal::impossible(match why {
        "insufficient balance for transfer" => {
            "insufficient funds for transfer: nobody has a balance on this ledger"
        }
        why => why,
    })
}
