//! Warns while the ledger makes no blocks, and names the validators that are missing.

use crate::config::PeerConfig;
use host::clock;
use ledger::EmbeddedChain;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use vitals::ledger::Ledger as _;
use vitals::proof::certificate::quorum;

/// A ledger without a new block for so long is stalled.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// A validator heard within this time counts as connected, milliseconds.
const HEARD_WITHIN_MS: u64 = 10_000;
/// How long a connection to a silent validator is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Warns while the ledger stands still, until the runtime ends.
pub(super) fn watch(chain: &Arc<EmbeddedChain>, me: [u8; 32], epoch_blocks: u64, peers: Vec<PeerConfig>) {
    let (chain, mut tip) = (chain.clone(), chain.watch_tip());
    tokio::spawn(async move {
        let mut waiting = false;
        loop {
            match tokio::time::timeout(STALLED_AFTER, tip.changed()).await {
                Ok(Ok(())) if waiting => {
                    waiting = false;
                    tracing::info!(height = chain.tip().height, "The ledger moves again");
                }
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    waiting = true;
                    warn(&chain, me, epoch_blocks, &peers).await;
                }
            }
        }
    });
}

/// Logs which validators are missing, and whether anything answers at their addresses.
async fn warn(chain: &EmbeddedChain, me: [u8; 32], epoch_blocks: u64, peers: &[PeerConfig]) {
    let view = chain.view();
    let height = chain.tip().height;
    if let Some(sentence) = chain.left_behind() {
        tracing::warn!(height, "No new block after height {height}: {sentence}");
        return;
    }
    let Ok(committee) = view.committee((height + 1) / epoch_blocks) else { return };
    let mut addresses: BTreeMap<[u8; 32], String> = view
        .validators()
        .map(|all| all.into_iter().map(|one| (one.key, one.endpoint)).collect())
        .unwrap_or_default();
    addresses.extend(peers.iter().map(|peer| (peer.key, peer.address.clone())));
    let (now_ms, seen) = (clock::now_ms(), chain.peer_statuses().all());
    let heard = |key: &[u8; 32]| {
        *key == me || seen.get(key).is_some_and(|seen| now_ms.abs_diff(seen.heard_at_ms) < HEARD_WITHIN_MS)
    };
    let mut answering = BTreeSet::new();
    for key in committee.iter().filter(|key| !heard(key)) {
        let Some(address) = addresses.get(key) else { continue };
        // A validator of another ledger takes the connection and fails the handshake.
        let asked =
            tokio::time::timeout(CONNECT_WITHIN, tokio::net::TcpStream::connect(address.as_str())).await;
        if matches!(asked, Ok(Ok(_))) {
            answering.insert(*key);
        }
    }
    let sentence = missing_validators(&committee, heard, &addresses, &answering);
    tracing::warn!(height, "No new block after height {height}: {sentence}");
}

/// How many validators are connected, and which are not, as a sentence.
fn missing_validators(
    committee: &[[u8; 32]],
    heard: impl Fn(&[u8; 32]) -> bool,
    addresses: &BTreeMap<[u8; 32], String>,
    answering: &BTreeSet<[u8; 32]>,
) -> String {
    let (there, missing): (Vec<_>, Vec<_>) = committee.iter().partition(|key| heard(key));
    let missing: Vec<String> = missing
        .iter()
        .map(|key| {
            let address = addresses.get(*key).filter(|address| !address.is_empty());
            let short = hex::encode(&key[..4]);
            match address {
                Some(address) if answering.contains(*key) => format!(
                    "{short} at {address}, where somebody answers who is not this validator of this ledger, or has \
                     dropped this node: compare genesis and keys"
                ),
                Some(address) => format!("{short} at {address}"),
                None => format!("{short}, whose address is unknown"),
            }
        })
        .collect();
    let (here, all, needed) = (there.len(), committee.len(), quorum(committee.len()));
    if missing.is_empty() {
        return format!("all {all} validators are heard; they do not agree yet");
    }
    let missing = missing.join("; ");
    if here >= needed {
        format!("{here} of {all} validators are heard, {needed} are enough; not heard: {missing}")
    } else {
        format!(
            "waiting for validators: {here} of {all} are heard, {needed} are needed; not heard: {missing}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_are_named_with_their_address() {
        let committee: Vec<[u8; 32]> = (1..=4).map(|n| [n; 32]).collect();
        let addresses = BTreeMap::from([([3; 32], "north.example:9700".to_owned())]);
        let none = BTreeSet::new();
        let said = missing_validators(&committee, |key| key[0] < 3, &addresses, &none);
        assert_eq!(
            said,
            "waiting for validators: 2 of 4 are heard, 3 are needed; not heard: 03030303 at north.example:9700; \
             04040404, whose address is unknown"
        );
        assert!(missing_validators(&committee, |key| key[0] < 4, &addresses, &none).contains("3 are enough"));
        assert!(
            missing_validators(&committee, |_| true, &addresses, &none)
                .contains("all 4 validators are heard")
        );
        let other = missing_validators(&committee, |key| key[0] < 3, &addresses, &BTreeSet::from([[3; 32]]));
        assert!(
            other.contains("03030303 at north.example:9700, where somebody answers who is not this"),
            "{other}"
        );
    }
}
