//! A node that asks the others before it has a ledger of its own: over the links between validators.

use crate::{
    PrivateKey, PublicKey, RequestResponse, StartError,
    monotonic::MonotonicContext,
    network, request_response,
    validator::{self, Config},
};
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_macros::select;
use commonware_p2p::{AddressableManager as _, AddressableTrackedPeers};
use commonware_runtime::{Runner as _, Supervisor as _, tokio as runtime};
use commonware_utils::ordered::Map;
use std::{future::Future, sync::Arc};
use vitals::proof::{certificate::namespace, genesis::GenesisDocument};

/// Makes the requests of a node without a ledger to the configured peers, until `done`. Blocking: call it
/// outside async threads. The peers must know this node's key already.
///
/// # Errors
/// If the configuration is wrong, or the network's thread breaks.
pub fn fetch(
    config: &Config,
    document: &GenesisDocument,
    seed: &[u8; 32],
    requests: Arc<dyn RequestResponse>,
    done: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    let wrong = |why: &str| StartError::Config(why.to_owned());
    let me = PrivateKey::decode(Bytes::copy_from_slice(seed))
        .map_err(|_| wrong("the validator key is not an Ed25519 key"))?;
    let listen =
        config.listen.ok_or_else(|| wrong("`listen`, where the others reach this node, is missing"))?;
    if config.peers.is_empty() {
        return Err(wrong("it names no peer"));
    }
    validator::is_free(listen)?;
    let configured = validator::addresses(&config.peers)?;
    let names: Vec<PublicKey> = configured.iter().map(|(key, _)| key.clone()).collect();
    let space = namespace(document.hash());
    let runner = runtime::Config::new().with_worker_threads(1).with_storage_directory(config.folder.clone());
    let run = move || {
        runtime::Runner::new(runner).start(|context| async move {
            let context = MonotonicContext::new(context);
            let (mut oracle, links, _network) = network::listen(&context, me, &space, listen);
            let _ = oracle
                .track(0, AddressableTrackedPeers::new(Map::from_iter_dedup(configured), Map::default()));
            let asking = request_response::run(
                context.child("requests"),
                requests,
                || names.clone(),
                links.requests,
                oracle,
            );
            select! {
                _ = asking => {},
                _ = done => {},
            }
        });
    };
    // A thread of its own: the runtime must not be nested in another.
    let thread = std::thread::Builder::new().name(String::from("fetch")).spawn(run)?;
    thread.join().map_err(|_| StartError::Failed(String::from("its network panicked")))
}
