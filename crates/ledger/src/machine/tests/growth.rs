//! How much the state file of an idle ledger grows, computed from some thousand blocks of it.

use super::keeping::idle;
use super::*;

/// Bytes of the file that hold something.
fn used_bytes(machine: &Machine) -> u64 {
    let tx = machine.0.store.database().begin_write().unwrap();
    let stats = tx.stats().unwrap();
    stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes()
}

#[test]
fn an_idle_state_file_grows_by_less_than_600_megabytes_in_its_first_year_and_less_later() {
    const YEAR_MS: u64 = 365 * 86_400_000;
    const WINDOW: u64 = 600;
    let config = Config { keep_bodies: Some(256), keep_headers: Some(WINDOW), ..Config::default() };
    let mut ward = Ward::keeping(1, config);
    ward.done(0, &gateway(1));
    idle(&mut ward, 200);
    let early = used_bytes(&ward.machine);
    idle(&mut ward, WINDOW - 200);
    // Until here nothing was removed: what a block costs while its header is kept.
    let block = (used_bytes(&ward.machine) - early) / (WINDOW - 200);
    idle(&mut ward, WINDOW);
    let full = used_bytes(&ward.machine);
    idle(&mut ward, 1_500);
    // From here on as much is removed as is added, but the headers of fifteen epochs' ends.
    let grown = used_bytes(&ward.machine).saturating_sub(full);
    assert!(grown < 15 * 1_024, "{grown} bytes of 1,500 blocks stay");
    // With its place by digest, in pages that are two thirds full.
    let last = ward.machine.header(99).unwrap().unwrap();
    let epoch = (last.len() as u64 + 8 + 40) * 3 / 2;
    for (who, heartbeat_ms) in [("alone", 2_000), ("among others", 500)] {
        let blocks = YEAR_MS / heartbeat_ms;
        let window = block * consensus::KEEP_BLOCKS.min(blocks);
        let ends = blocks / consensus::EPOCH_BLOCKS * epoch;
        println!(
            "state file of an idle ledger {who}, a block each {heartbeat_ms} ms: {block} B a block for the latest {}, \
             and {epoch} B an epoch for ever: {} MB after a year, {} MB more after each later one; with everything \
             kept {} MB a year",
            consensus::KEEP_BLOCKS,
            (window + ends) / 1_000_000,
            ends / 1_000_000,
            block * blocks / 1_000_000,
        );
        assert!(block > 100 && window + ends < 600_000_000, "{who}: {} bytes", window + ends);
    }
}
