//! Holds what was promised against what is on the disk, with nothing running any more.

use super::witness::Seen;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use vault::Store;
use vitals::envelope::Envelope;
use vitals::ids::Hash;
use vitals::{Genesis, StreamId, log};

/// What came out.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) log_size: u64,
    pub(super) witness_stored: u64,
    pub(super) gateway_sealed: u64,
    pub(super) gateway_stored: u64,
    pub(super) gateway_proven: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) gaps: u64,
    pub(super) refused: u64,
    pub(super) evidence: u64,
    pub(super) heads: u64,
    pub(super) heads_wrong: u64,
    pub(super) problems: Vec<String>,
}

impl Verdict {
    fn unless(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(sentence());
        }
    }
}

/// Every leaf read back from the disk and linked to the one before it in its stream.
fn read_back(store: &Store, verdict: &mut Verdict) -> HashMap<Hash, (u64, Vec<u8>)> {
    let mut leaves = HashMap::new();
    let mut ends: HashMap<StreamId, (u64, Hash)> = HashMap::new();
    let mut places: HashSet<(StreamId, u64)> = HashSet::new();
    for index in 0..store.size() {
        let bytes = store.read_index(index).unwrap().unwrap();
        let envelope = Envelope::decode(&bytes).unwrap();
        let header = &envelope.header;
        verdict.unless(store.leaf(index) == Some(log::leaf(&envelope.header_bytes)), || {
            format!("leaf {index} is not the hash of what is stored")
        });
        verdict.doubled += u64::from(!places.insert((header.stream, header.seq)));
        let (next, prev) = ends.get(&header.stream).copied().unwrap_or((0, [0; 32]));
        verdict.gaps += u64::from(header.seq != next);
        verdict.unless(header.prev == prev || header.seq != next, || {
            format!("stream {} seq {} does not link to the one before", header.stream, header.seq)
        });
        ends.insert(header.stream, (header.seq + 1, envelope.hash()));
        verdict.doubled += u64::from(leaves.insert(envelope.hash(), (index, bytes)).is_some());
    }
    leaves
}

fn witnessed(store: &Store, seen: &Seen, leaves: &HashMap<Hash, (u64, Vec<u8>)>, verdict: &mut Verdict) {
    for held in &seen.held {
        let stored = leaves.get(&held.hash);
        verdict.witness_stored += u64::from(stored.is_some());
        let same = stored.is_some_and(|(_, bytes)| *bytes == held.bytes);
        let promised = held.acknowledged > 0 || held.receipted.is_some() || held.proven;
        verdict.lost += u64::from(promised && !same);
        let place = held.receipted.is_none_or(|index| stored.is_some_and(|(at, _)| *at == index));
        verdict.unless(place, || format!("{} seq {} is not where its receipt says", held.stream, held.seq));
    }
    for (size, root) in &seen.heads {
        verdict.heads += 1;
        verdict.heads_wrong += u64::from(store.root_at(*size) != Some(*root));
    }
    verdict.problems.extend(seen.problems.iter().cloned());
}

/// Judges a campaign by the folders it left behind, the gateway's and the node's last words, and what
/// the witnesses saw.
pub(super) fn judge(
    data: &Path,
    genesis: &str,
    gateway: &Value,
    node: &Value,
    seen: &[Seen],
    problems: Vec<String>,
) -> Verdict {
    let mut verdict = Verdict { problems, ..Verdict::default() };
    let genesis: Genesis = genesis.parse().unwrap();
    let store = Store::open(&data.join("node/records"), genesis).unwrap();
    verdict.log_size = store.size();
    let leaves = read_back(&store, &mut verdict);
    for seen in seen {
        witnessed(&store, seen, &leaves, &mut verdict);
    }
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let pending = number(&gateway["envelopes_pending"]);
    for (stream, sealed) in gateway["streams"].as_object().into_iter().flatten() {
        let stored = store.head(stream.parse().unwrap()).map_or(0, |head| head.count);
        verdict.gateway_sealed += number(sealed);
        verdict.gateway_stored += stored;
        verdict.unless(stored == number(sealed), || {
            format!("stream {stream}: {sealed} envelopes sealed by the gateway, {stored} stored")
        });
    }
    // A gateway forgets an envelope only after its proof was checked, or when it is kept aside.
    let aside = std::fs::read_dir(data.join("gateway/aside")).map_or(0, |files| files.count() as u64);
    verdict.gateway_proven = verdict.gateway_sealed.saturating_sub(pending + aside);
    verdict.refused = number(&node["envelopes_refused"]) + number(&gateway["envelopes_refused"]) + aside;
    verdict.evidence =
        store.streams().into_iter().map(|stream| store.evidence(stream).unwrap().len() as u64).sum();
    let Verdict { gateway_sealed, lost, doubled, gaps, refused, evidence, heads_wrong, .. } = verdict;
    verdict.unless(gateway_sealed > 0, || "the gateway sealed nothing".to_owned());
    verdict.unless(pending == 0, || format!("{pending} envelopes of the gateway were never proven"));
    for (count, what) in [
        (lost, "acknowledged envelopes are lost"),
        (doubled, "envelopes are stored twice"),
        (gaps, "sequence numbers are missing"),
        (refused, "envelopes were refused"),
        (evidence, "envelopes are kept as evidence of a second hand"),
        (heads_wrong, "signed heads are not heads of the final log"),
    ] {
        verdict.unless(count == 0, || format!("{count} {what}"));
    }
    // Counters die with their process; what went wrong stands in the logs.
    for name in ["node", "gateway", "boards"] {
        let log = std::fs::read_to_string(data.join(format!("logs/{name}.log"))).unwrap_or_default();
        let loud = log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked"));
        verdict.problems.extend(loud.map(|line| format!("{name}: {line}")));
    }
    verdict
}
