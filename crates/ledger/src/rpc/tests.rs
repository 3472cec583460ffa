#![allow(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod calls;
mod events;
mod reads;
mod sends;

use super::*;
use crate::account::address_of;
use crate::machine::Config;
use crate::machine::tests::{Ward, gateway, secret};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use secp256k1::{Message, SECP256K1, SecretKey};

/// Keeps a number and logs it. Without call data it gives the number back; with a zero it reverts
/// with 0x42; otherwise it keeps the word and emits it under topic 7.
const TALLY: &str = "36600c575f545f5260205ff35b5f3580156020578\
                     05f555f52600760205fa1005b60425f5360015ffd";
const ME: Caller = Caller([1; 16]);
const YOU: Caller = Caller([2; 16]);

/// A ledger, the port over it, and the first organisation's account.
pub(super) struct Scene {
    pub(super) ward: Ward,
    pub(super) backend: Backend,
    pub(super) now_ms: u64,
}

fn creation() -> Bytes {
    let mut code = hex::decode("6029600a5f3960295ff3").unwrap();
    code.extend(hex::decode(TALLY).unwrap());
    code.into()
}

fn word(number: u64) -> Bytes {
    B256::from(U256::from(number)).to_vec().into()
}

fn sender(org: u8) -> Address {
    address_of(&secret(org)).unwrap().into()
}

fn signature(org: u8, hash: B256) -> Signature {
    let key = SecretKey::from_byte_array(&secret(org)).unwrap();
    let signed = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(hash.0), &key);
    let (parity, bytes) = signed.serialize_compact();
    let (r, s) = bytes.split_at(32);
    Signature::from_scalars_and_parity(B256::from_slice(r), B256::from_slice(s), i32::from(parity) == 1)
}

fn tx(nonce: u64, to: TxKind, input: Bytes) -> TxEip1559 {
    TxEip1559 {
        chain_id: 84_001,
        nonce,
        gas_limit: 300_000,
        max_fee_per_gas: 7,
        max_priority_fee_per_gas: 1,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        input,
    }
}

fn sign(org: u8, tx: TxEip1559) -> Vec<u8> {
    let signature = signature(org, tx.signature_hash());
    TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718()
}

fn sign_legacy(org: u8, tx: TxLegacy) -> Vec<u8> {
    let signature = signature(org, tx.signature_hash());
    TxEnvelope::Legacy(tx.into_signed(signature)).encoded_2718()
}

impl Scene {
    fn new() -> Self {
        Self::keeping(Config::default())
    }

    /// Over a ledger that keeps so much.
    fn keeping(config: Config) -> Self {
        Self::over(Ward::keeping(2, config))
    }

    fn over(ward: Ward) -> Self {
        let backend = Backend::new(ward.machine.clone(), Pool::new(ward.machine.clone()));
        Self { ward, backend, now_ms: 1_000_000 }
    }

    /// With a tally deployed in block 1, holding nothing.
    fn with_tally() -> (Self, Address) {
        Self::new().tally()
    }

    fn tally(mut self) -> (Self, Address) {
        let scene = &mut self;
        let at = sender(0).create(0);
        scene.ward.block(&[sign(0, tx(0, TxKind::Create, creation()))]);
        assert_eq!(scene.ward.machine.view().code(at), hex::decode(TALLY).unwrap());
        (self, at)
    }

    /// A block in which the tally hears these numbers.
    fn tell(&mut self, tally: Address, numbers: &[u64]) {
        let nonce = self.ward.machine.view().nonce(sender(0));
        let txs: Vec<_> = (nonce..)
            .zip(numbers)
            .map(|(nonce, number)| sign(0, tx(nonce, TxKind::Call(tally), word(*number))))
            .collect();
        self.ward.block(&txs);
    }

    fn bytes(&self, caller: Caller, request: &[u8]) -> Vec<u8> {
        handle(&self.backend, caller, self.now_ms, request)
    }

    fn answer(&self, request: &Value) -> Value {
        serde_json::from_slice(&self.bytes(ME, request.to_string().as_bytes())).unwrap()
    }

    fn ask_as(&self, caller: Caller, method: &str, params: Value) -> Result<Value, (i64, String)> {
        let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer: Value =
            serde_json::from_slice(&self.bytes(caller, request.to_string().as_bytes())).unwrap();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => {
                Err((error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned()))
            }
        }
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.ask_as(ME, method, params).unwrap_or_else(|why| panic!("{method}: {why:?}"))
    }

    /// The code and message of a refusal.
    fn refused(&self, method: &str, params: Value) -> (i64, String) {
        match self.ask_as(ME, method, params.clone()) {
            Err(why) => why,
            Ok(result) => panic!("{method} {params}: {result}"),
        }
    }
}
