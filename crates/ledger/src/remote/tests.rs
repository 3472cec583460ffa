#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod oracle;

use super::*;
use crate::account::sign;
use crate::chain::tests::anvil::{Anvil, CHAIN_ID};
use crate::genesis::Founding;
use crate::machine::tests::{gateway, secret};
use crate::remote::rpc::{hex_bytes, hex_quantity};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;
use vitals::proof::genesis::Founder;

const SECRET: [u8; 32] = [6; 32];
const RECORD_KEY: [u8; 32] = [7; 32];

/// A deployment on a network of its own, and one account's way there, a step at a time.
struct Ward {
    inner: Inner,
    document: GenesisDocument,
    folder: TempDir,
    anvil: Anvil,
}

fn founding() -> Founding {
    Founding {
        chain_id: CHAIN_ID,
        name: String::from("ward"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: 1,
        committee: vec![seat_key(&RECORD_KEY)],
        operators: vec![OrgId::of(&RECORD_KEY)],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&SECRET).unwrap() }],
        salt: [8; 32],
    }
}

impl Ward {
    /// On a network that makes blocks only on demand.
    fn with(change: impl FnOnce(&mut Network)) -> Self {
        let anvil = Anvil::start();
        let deployed = deploy(&anvil.network(), &secret(3), founding()).unwrap();
        anvil.call("evm_setAutomine", json!([false]));
        let mut network = Network { first_block: deployed.first_block, ..anvil.network() };
        change(&mut network);
        let (folder, document) = (tempfile::tempdir().unwrap(), deployed.document);
        let inner = Inner::new(folder.path(), network, &document, &SECRET).unwrap();
        let ward = Self { inner, document, folder, anvil };
        ward.anvil.runtime.block_on(ward.inner.initial_sync(&ward.document)).unwrap();
        ward
    }

    fn mine(&self) {
        self.anvil.call("evm_mine", json!([]));
    }

    fn send(&self, round: u64) -> Result<(), RpcError> {
        self.anvil.runtime.block_on(self.inner.send(round))
    }

    fn follow(&self) -> Result<bool, RemoteError> {
        self.anvil.runtime.block_on(self.inner.follow())
    }

    fn outcome(&self, id: Hash) -> Outcome {
        self.inner.acts.lock().outcome(&id)
    }

    /// The same account, as another program would use it.
    fn behind_our_back(&self, nonce: u64, act: &Act) {
        let key = SecretKey::from_byte_array(&SECRET).unwrap();
        let call = self.inner.contracts.call(OrgId::of(&RECORD_KEY), act);
        let raw = sign(&key, CHAIN_ID, nonce, call);
        self.anvil.call("eth_sendRawTransaction", json!([hex_bytes(raw)]));
        self.mine();
    }
}

#[test]
fn only_a_private_way_is_taken() {
    let refused = |url: &str| match Network::new(url, 1337, 0).connect() {
        Err(RemoteError::Address(why)) => why,
        other => panic!("{url}: {other:?}"),
    };
    assert!(refused("https://127.0.0.1:8545").contains("TLS proxy on this machine"));
    assert!(refused("http://192.0.2.7:8545").contains("could forge its answers"));
    assert!(refused("http://ledger.example:8545").contains("could forge its answers"));
    assert!(refused("ledger").contains("no URL"));
    for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
        Network::new(url, 1337, 0).connect().unwrap();
    }
    let private = Network { private_way: true, ..Network::new("http://192.0.2.7:8545", 1337, 0) };
    private.connect().unwrap();
    let shown = format!("{:?}", Network { bearer: Some("token".into()), ..private });
    assert!(!shown.contains("token") && !shown.contains("192.0.2.7"), "{shown}");
}

#[test]
fn public_networks_are_refused_unless_forced() {
    let anvil = Anvil::with(8453, &[]);
    let network = Network { chain_id: 8453, ..anvil.network() };
    let document = crate::genesis::document(Founding { chain_id: 8453, ..founding() });
    let why = check(&network, &document, None).unwrap_err().to_string();
    assert!(why.contains("Base, a public network"), "{why}");
    let founding = Founding { chain_id: 8453, ..founding() };
    assert!(matches!(deploy(&network, &secret(3), founding.clone()), Err(RemoteError::Public { .. })));
    let forced = Network { public_allowed: true, ..network };
    let deployed = deploy(&forced, &secret(3), founding).unwrap();
    check(&forced, &deployed.document, None).unwrap();
    assert!(PUBLIC_CHAINS.is_sorted_by_key(|(id, _)| *id));
    for id in [1, 10, 56, 100, 137, 8453, 42_161, 11_155_111] {
        assert!(PUBLIC_CHAINS.iter().any(|(public, _)| *public == id), "{id}");
    }
}

#[test]
fn a_network_that_is_not_the_configured_one_is_named() {
    let anvil = Anvil::with(1337, &[]);
    let document = crate::genesis::document(founding());
    let other = check(&anvil.network(), &document, None).unwrap_err();
    assert!(matches!(other, RemoteError::OtherChain { configured: CHAIN_ID, found: 1337 }), "{other}");
    let network = Network { chain_id: 1337, ..anvil.network() };
    let other = check(&network, &document, None).unwrap_err();
    assert!(matches!(other, RemoteError::OtherChain { configured: 1337, found: CHAIN_ID }), "{other}");
    let document = crate::genesis::document(Founding { chain_id: 1337, ..founding() });
    let none = check(&network, &document, None).unwrap_err();
    assert!(matches!(none, RemoteError::NoContract { .. }), "{none}");
    drop(anvil);
    assert!(matches!(check(&network, &document, None), Err(RemoteError::Rpc(RpcError::Unreachable(_)))));
}

#[test]
fn code_is_compared_to_the_last_immutable() {
    let ward = Ward::with(|_| ());
    check(&ward.inner.network, &ward.document, None).unwrap();
    for contract in &ward.document.contracts {
        let at = hex_bytes(contract.address);
        let code = ward.anvil.call("eth_getCode", json!([at, "latest"]));
        let code = code.as_str().unwrap();
        // Another directory, or another genesis: nothing but an immutable differs.
        let directory = alloy_primitives::hex::encode(ward.inner.contracts.directory);
        let other = match code.rfind(&directory) {
            Some(place) => {
                let mut other = code.to_owned();
                other.replace_range(place..place + 2, if directory.starts_with("00") { "01" } else { "00" });
                other
            }
            None => format!("{code}00"),
        };
        ward.anvil.call("anvil_setCode", json!([at, other]));
        let why = check(&ward.inner.network, &ward.document, None).unwrap_err();
        let RemoteError::OtherCode { name, .. } = &why else { panic!("{why}") };
        assert_eq!(*name, contract.name);
        ward.anvil.call("anvil_setCode", json!([at, code]));
    }
    check(&ward.inner.network, &ward.document, None).unwrap();
}

#[test]
fn an_act_counts_when_it_has_its_confirmations() {
    let ward = Ward::with(|network| {
        network.confirmations = 2;
        network.first_block = 1;
    });
    let before = ward.inner.cache().tip.height;
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.send(0).unwrap();
    for _ in 0..2 {
        ward.mine();
        ward.follow().unwrap();
        assert_eq!(ward.outcome(id), Outcome::Pending);
        assert_eq!(ward.inner.cache().device(DeviceId::of(&[1; 32])).unwrap(), None);
    }
    ward.mine();
    ward.follow().unwrap();
    assert_eq!(ward.outcome(id), Outcome::Done { height: before + 3 });
    assert!(ward.inner.cache().device(DeviceId::of(&[1; 32])).unwrap().is_some());
}

#[test]
fn an_act_whose_place_another_program_took_is_refused_not_lost() {
    let ward = Ward::with(|_| ());
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.behind_our_back(0, &gateway(2));
    ward.send(0).unwrap();
    ward.follow().unwrap();
    let Outcome::Refused { reason } = ward.outcome(id) else { panic!("{:?}", ward.outcome(id)) };
    assert!(reason.contains("took its place (nonce 0)"), "{reason}");
    assert_eq!(ward.inner.cache().device(DeviceId::of(&[1; 32])).unwrap(), None);
    // The next act finds the next place.
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.send(1).unwrap();
    ward.mine();
    ward.follow().unwrap();
    assert!(matches!(ward.outcome(id), Outcome::Done { .. }));
}

#[test]
fn act_dropped_by_the_network_is_sent_again_and_done_once() {
    let ward = Ward::with(|_| ());
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.send(0).unwrap();
    ward.anvil.call("anvil_dropTransaction", json!([hex_bytes(id)]));
    ward.send(1).unwrap();
    ward.mine();
    ward.follow().unwrap();
    assert_eq!(ward.outcome(id), Outcome::Pending);
    ward.send(30).unwrap();
    // It may be sent once too often: the network knows it.
    ward.send(60).unwrap();
    ward.mine();
    ward.follow().unwrap();
    ward.send(90).unwrap();
    assert!(matches!(ward.outcome(id), Outcome::Done { .. }));
    assert_eq!(ward.inner.cache().nonce, 1);
}

#[test]
fn a_network_that_wants_fees_gets_them_only_if_configured() {
    let ward = Ward::with(|_| ());
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.anvil.call("anvil_setNextBlockBaseFeePerGas", json!(["0x3b9aca00"]));
    ward.mine();
    let why = ward.send(0).unwrap_err();
    assert!(matches!(why, RpcError::Refused { .. }), "{why}");
    ward.follow().unwrap();
    assert_eq!(ward.outcome(id), Outcome::Pending, "it waits for a free block");

    let ward = Ward::with(|network| (network.fee_wei_max, network.tip_wei) = (2_000_000_000, 1));
    ward.anvil.call("anvil_setBalance", json!([hex_bytes(ward.inner.address), "0xde0b6b3a7640000"]));
    ward.anvil.call("anvil_setNextBlockBaseFeePerGas", json!(["0x3b9aca00"]));
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.send(0).unwrap();
    ward.mine();
    ward.follow().unwrap();
    assert!(matches!(ward.outcome(id), Outcome::Done { .. }));
}

#[test]
fn a_network_that_replaces_a_final_block_is_no_longer_trusted() {
    let ward = Ward::with(|_| ());
    let snapshot = ward.anvil.call("evm_snapshot", json!([]));
    let id = ward.inner.submit(&gateway(1)).unwrap();
    ward.send(0).unwrap();
    ward.mine();
    ward.follow().unwrap();
    assert!(matches!(ward.outcome(id), Outcome::Done { .. }));
    ward.anvil.call("evm_revert", json!([snapshot]));
    ward.anvil.call("evm_increaseTime", json!([7]));
    ward.mine();
    ward.mine();
    let why = ward.follow().unwrap_err();
    assert!(matches!(why, RemoteError::Replaced { .. }), "{why}");
    assert!(why.to_string().contains("raise the confirmations"), "{why}");
}

#[test]
fn an_outbox_of_another_account_is_left_alone() {
    let ward = Ward::with(|_| ());
    ward.inner.submit(&gateway(1)).unwrap();
    let Ward { inner, document, folder, anvil } = ward;
    let network = inner.network.clone();
    drop(inner);
    let other = Inner::new(folder.path(), network.clone(), &document, &secret(4)).err().unwrap();
    assert!(matches!(other, RemoteError::OtherOutbox(CHAIN_ID)), "{other}");
    // Its own account finds it as it was.
    let inner = Inner::new(folder.path(), network, &document, &SECRET).unwrap();
    assert_eq!(inner.acts.lock().waiting().len(), 1);
    drop(anvil);
}

#[test]
fn unreachable_network_loses_no_act() {
    let ward = Ward::with(|_| ());
    let Ward { inner, document, folder, anvil } = ward;
    let network = Network { timeout: Duration::from_secs(2), ..inner.network.clone() };
    drop(inner);
    let chain = RemoteChain::start(folder.path(), network.clone(), &document, &SECRET).unwrap();
    assert_eq!(chain.status(), Status::Running);
    let id = chain.submit(gateway(1)).unwrap();
    drop(anvil);
    let mut status = chain.watch_status();
    runtime().unwrap().block_on(status.wait_for(|status| matches!(status, Status::Down(_)))).unwrap();
    assert!(matches!(chain.submit(gateway(2)), Err(LedgerError::Down(_))));
    assert_eq!(chain.outcome(id), Outcome::Pending);
    assert!(chain.organisation(OrgId::of(&RECORD_KEY)).unwrap().is_some(), "reads go on");
    drop(chain);
    let inner = Inner::new(folder.path(), network, &document, &SECRET).unwrap();
    assert_eq!(inner.acts.lock().waiting()[0].1.id, id);
}

#[test]
fn many_events_are_read_in_pieces() {
    let ward = Ward::with(|_| ());
    for key in 1..=7 {
        ward.inner.submit(&gateway(key)).unwrap();
        ward.send(0).unwrap();
        ward.mine();
    }
    let folder = tempfile::tempdir().unwrap();
    let network = Network { log_blocks: 2, ..ward.inner.network.clone() };
    let late = Inner::new(folder.path(), network, &ward.document, &SECRET).unwrap();
    ward.anvil.runtime.block_on(late.initial_sync(&ward.document)).unwrap();
    assert!((1..=7).all(|key| late.cache().device(DeviceId::of(&[key; 32])).unwrap().is_some()));
    assert_eq!(late.cache().nonce, 7);
    let head = late.cache().tip.height;
    assert_eq!(late.cache().events(head - 6, head).unwrap().len(), 7);
    let too_early = late.cache().events(0, head);
    assert!(matches!(too_early, Err(LedgerError::Refused(_))), "{too_early:?}");
}
