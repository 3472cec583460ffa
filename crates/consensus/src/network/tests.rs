#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{keys::key, monotonic::MonotonicContext, public_key};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_macros::select;
use commonware_runtime::{Clock as _, Runner as _, tokio as runtime};
use std::net::Ipv4Addr;

/// A port that nobody listens on now.
fn free() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn validators_whose_clocks_are_a_day_apart_talk_to_each_other() {
    let seeds = [[1; 32], [2; 32]];
    let addresses = [free(), free()];
    let folder = tempfile::tempdir().unwrap();
    let config = runtime::Config::new().with_worker_threads(1).with_storage_directory(folder.path());
    runtime::Runner::new(config).start(|context| async move {
        let names = seeds.map(|seed| key(&public_key(&seed).unwrap()).unwrap());
        let peers = Map::from_iter_dedup(names.iter().cloned().zip(addresses.map(Address::Symmetric)));
        let day = Duration::from_secs(86_400);
        let mut links = Vec::new();
        for (at, seed) in seeds.iter().enumerate() {
            let context = context.child("peer").with_attribute("at", at);
            let context = MonotonicContext::ahead_by(context, day * u32::try_from(at).unwrap());
            let me = PrivateKey::decode(Bytes::copy_from_slice(seed)).unwrap();
            let (mut oracle, channels, network) = listen(&context, me, b"clocks", addresses[at]);
            let _ = oracle.track(0, AddressableTrackedPeers::new(peers.clone(), Map::default()));
            links.push((oracle, channels, network, context));
        }
        let (_, mut theirs, ..) = links.pop().unwrap();
        let (_, ours, .., clock) = links.pop().unwrap();
        let mut sender = ours.gossip.0;
        let deadline = clock.current() + Duration::from_secs(30);
        loop {
            if let Ok(checked) = sender.check(Recipients::One(names[1].clone())) {
                checked.send(Bytes::from_static(b"heart"), true);
            }
            select! {
                message = theirs.gossip.1.recv() => {
                    assert_eq!(message.unwrap().0, names[0]);
                    return;
                },
                _ = clock.sleep(Duration::from_millis(100)) => {
                    assert!(clock.current() < deadline, "they never connected");
                },
            }
        }
    });
}
