//! The organisation's account: signs acts as transactions with consecutive nonces, and keeps those that are
//! not final in a file, so that a restarted node sends them again.

use crate::contracts::{Contracts, gas_of};
use crate::machine::{Machine, TX_GAS_MAX};
use crate::outbox::{Outbox, read_outbox};
use crate::pool::{Pool, PoolError};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use durable::{Disk, Os};
use parking_lot::Mutex;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vitals::ids::OrgId;
use vitals::ledger::{Act, ActId, LedgerError};

#[cfg(test)]
mod tests;

/// Name of the outbox in the ledger's folder.
const FILE: &str = "outbox";

/// Why the account does not open.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The secret is zero or beyond the curve's order: create another.
    #[error("the account's secret is not a secp256k1 key")]
    NotAKey,
    /// The disk fails.
    #[error("the outbox cannot be read or written: {0}")]
    Outbox(#[from] io::Error),
}

/// The address of the account with this secp256k1 secret.
///
/// # Errors
/// If the secret is not a secp256k1 key.
pub fn address_of(secret: &[u8; 32]) -> Result<[u8; 20], AccountError> {
    Ok(address(&SecretKey::from_byte_array(secret).map_err(|_| AccountError::NotAKey)?).0.0)
}

fn address(key: &SecretKey) -> Address {
    let public = PublicKey::from_secret_key(SECP256K1, key).serialize_uncompressed();
    Address::from_raw_public_key(&public[1..])
}

/// The organisation's account on this ledger.
pub struct Account {
    key: SecretKey,
    address: Address,
    machine: Machine,
    pool: Pool,
    outbox: Mutex<Outbox>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Account {
    /// Opens the account with this secret and submits the transactions in its outbox in `dir` again.
    ///
    /// # Errors
    /// If the secret is not a key or the outbox cannot be used.
    pub fn open(secret: &[u8; 32], dir: &Path, machine: Machine, pool: Pool) -> Result<Self, AccountError> {
        Self::open_on(Arc::new(Os), secret, dir, machine, pool)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        secret: &[u8; 32],
        dir: &Path,
        machine: Machine,
        pool: Pool,
    ) -> Result<Self, AccountError> {
        let key = SecretKey::from_byte_array(secret).map_err(|_| AccountError::NotAKey)?;
        let path = dir.join(FILE);
        let mut waiting = Vec::new();
        for raw in read_outbox(&*disk, &path)? {
            // Transactions that are final by now or incomplete are dropped.
            if pool.submit(raw.clone()).is_ok() {
                waiting.push(raw);
            }
        }
        let outbox = Mutex::new(Outbox::write(disk, path, &waiting)?);
        Ok(Self { key, address: address(&key), machine, pool, outbox })
    }

    /// The account's address: the organisation's `sender`.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        self.address.0.0
    }

    /// Signs an act as the account's next transaction and submits it to the pool.
    ///
    /// # Errors
    /// `Refused` if this account sends for no active organisation, `Busy` if the pool is full, `Down`
    /// if the outbox cannot be written.
    pub fn submit(&self, act: &Act) -> Result<ActId, LedgerError> {
        let org = self.machine.view().sends_for(self.address).ok_or_else(|| {
            LedgerError::Refused(format!("{} is not the sender of an active organisation", self.address))
        })?;
        let contracts = self.machine.view().contracts();
        contracts.check_available(act).map_err(|why| LedgerError::Refused(why.to_owned()))?;
        let call = contracts.call(org, act);
        // Locked until the pool has the transaction, so that no nonce is used twice.
        let mut outbox = self.outbox.lock();
        let nonce = self.pool.next_nonce(self.address);
        let raw = sign(&self.key, self.machine.chain_id(), nonce, call);
        // It has its place in the pool, but goes into no block before the file has it: a caller who hears that it
        // was not accepted must be right.
        let id = self.pool.hold(raw.clone()).map_err(|error| match error {
            PoolError::Invalid(_) => LedgerError::Refused(error.to_string()),
            _ => LedgerError::Busy(error.to_string()),
        })?;
        if let Err(why) = outbox.push(&raw, || self.pool.accepted_of(self.address)) {
            self.pool.drop_held(&raw);
            return Err(LedgerError::Down(why.to_string()));
        }
        self.pool.release(&id);
        Ok(id)
    }
}

/// An act sent for `org`, signed as the transaction of this nonce, as [`Account::submit`] signs it: for
/// load tests that sign beforehand.
///
/// # Errors
/// If the secret is not a secp256k1 key.
pub fn transaction(
    secret: &[u8; 32],
    (contracts, chain_id): (&Contracts, u64),
    org: OrgId,
    nonce: u64,
    act: &Act,
) -> Result<Vec<u8>, AccountError> {
    let key = SecretKey::from_byte_array(secret).map_err(|_| AccountError::NotAKey)?;
    Ok(sign(&key, chain_id, nonce, contracts.call(org, act)))
}

/// An act's call, signed as the transaction of this nonce.
pub(crate) fn sign(key: &SecretKey, chain_id: u64, nonce: u64, (to, data): (Address, Vec<u8>)) -> Vec<u8> {
    signed(key, act_transaction(chain_id, nonce, (to, data)))
}

/// An act's call as an unsigned transaction without fees.
pub(crate) fn act_transaction(chain_id: u64, nonce: u64, (to, data): (Address, Vec<u8>)) -> TxEip1559 {
    let gas = gas_of(&data);
    TxEip1559 {
        chain_id,
        nonce,
        gas_limit: gas.min(TX_GAS_MAX),
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: Default::default(),
        input: data.into(),
    }
}

/// The signed transaction, encoded.
pub(crate) fn signed(key: &SecretKey, tx: TxEip1559) -> Vec<u8> {
    let digest = Message::from_digest(tx.signature_hash().0);
    let (parity, bytes) = SECP256K1.sign_ecdsa_recoverable(&digest, key).serialize_compact();
    let (r, s) = bytes.split_at(32);
    let odd = i32::from(parity) == 1;
    let signature = Signature::from_scalars_and_parity(B256::from_slice(r), B256::from_slice(s), odd);
    TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718()
}
