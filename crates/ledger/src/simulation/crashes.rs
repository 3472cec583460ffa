//! Power cuts: the journals of every validator lose what was not synced, or keep any bytes of it, and
//! the state machine, whose commits are durable, stands where it stood. Then all start again.

use super::*;
use consensus_sim::{
    Probability,
    deterministic::{Checkpoint, FaultConfig, PartialWriteMode, Runner, WriteConfig},
    probability,
};
use std::{collections::BTreeMap, path::PathBuf};

/// A number that looks random (splitmix64).
pub(super) fn rng(seed: u64, at: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x1000).wrapping_add(at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What everybody has seen as final, over all lives.
#[derive(Default)]
pub(super) struct Final(BTreeMap<u64, Vec<u8>>);

impl Final {
    pub(super) fn check<'a>(
        &mut self,
        members: impl IntoIterator<Item = &'a Member>,
        seen: &[u64],
        step: &str,
    ) -> Vec<u64> {
        let mut heights = Vec::new();
        for (index, member) in members.into_iter().enumerate() {
            let height = member.machine.tip().height;
            let before = seen.get(index).copied().unwrap_or(0);
            assert!(height >= before, "{step}: validator {index} went from {before} back to {height}");
            for height in 1..=height {
                let header = member.machine.header(height).unwrap().unwrap();
                let first = self.0.entry(height).or_insert_with(|| header.clone());
                assert_eq!(*first, header, "{step}: two blocks at height {height}");
            }
            heights.push(height);
        }
        heights
    }
}

struct Scenario {
    seed: u64,
    validators: usize,
    folder: PathBuf,
    document: GenesisDocument,
    finals: Final,
    heights: Vec<u64>,
}

impl Scenario {
    /// One life of so many milliseconds; gives the disks as the power cut leaves them.
    fn live(&mut self, runner: Runner, life: u64, life_ms: u64) -> Checkpoint {
        let step = format!("seed {}, life {life}, {} validators", self.seed, self.validators);
        let (folder, document, validators) = (self.folder.clone(), self.document.clone(), self.validators);
        let (finals, seen) = (&mut self.finals, &self.heights);
        let (heights, checkpoint) = runner.start_and_recover(async |context| {
            let ward = TestCommittee::on(context, folder, document);
            ward.link(None, true).await;
            let mut members = Vec::new();
            for index in 0..validators {
                members.push(ward.boot(index, 0).await);
            }
            finals.check(&members, seen, &step);
            let mut anchored = 0;
            let mut log = MerkleLog::new();
            for _ in 0..life_ms / 300 {
                // What the ledger holds is what the organisation anchors on top of.
                let anchor = members[0].machine.view().anchor(OrgId::of(&RECORD_KEY));
                let size = anchor.map_or(0, |anchor| anchor.size);
                if size >= anchored {
                    while log.size() <= size {
                        log.push(log::leaf(&log.size().to_be_bytes()));
                    }
                    anchored = log.size();
                    let consistency =
                        if size == 0 { Vec::new() } else { log.consistency(size, anchored).unwrap() };
                    let act = Act::Anchor { size: anchored, root: log.root(), consistency };
                    // Refused while a transaction of an earlier life is on its way.
                    let _ = members[0].account.submit(&act);
                }
                ward.context.sleep(Duration::from_millis(300)).await;
            }
            ward.context.sleep(Duration::from_millis(life_ms % 300)).await;
            let heights = finals.check(&members, seen, &step);
            let accused = ward.net.blocked().await;
            assert!(accused.is_empty(), "{step}: somebody voted twice: {accused:?}");
            for (index, member) in members.into_iter().enumerate() {
                let fault = futures::FutureExt::now_or_never(member.task);
                assert!(fault.is_none(), "{step}: validator {index} gave up: {fault:?}");
            }
            heights
        });
        self.heights = heights;
        checkpoint
    }
}

/// Runs a scenario of power cuts; returns the height of the chain.
fn power_cuts(seed: u64, validators: usize, cuts: u64) -> u64 {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    // Nothing of what was not synced is left, or some or most of its bytes.
    let retention_rate = [0, 30, 90].map(|percent| Probability::new(percent, 100).unwrap())
        [usize::try_from(seed % 3).unwrap()];
    let mode = if seed.is_multiple_of(2) { PartialWriteMode::Subset } else { PartialWriteMode::Prefix };
    let write = WriteConfig { failure_rate: probability!(0.0), retention_rate, mode };
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_timeout(Some(Duration::from_secs(3600)))
        .with_storage_fault_config(FaultConfig::default().write(write));
    let mut scenario = Scenario {
        seed,
        validators,
        folder: memory.path().to_owned(),
        document: document_of(validators),
        finals: Final::default(),
        heights: Vec::new(),
    };
    let mut checkpoint = scenario.live(Runner::new(config), 0, 2_000 + rng(seed, 0) % 3_000);
    for cut in 1..=cuts {
        checkpoint = scenario.live(Runner::from(checkpoint), cut, 1 + rng(seed, cut) % 2_500);
    }
    let before = scenario.heights.iter().max().copied().unwrap_or(0);
    scenario.live(Runner::from(checkpoint), cuts + 1, 15_000);
    let after = scenario.heights.iter().min().copied().unwrap_or(0);
    assert!(after > before, "seed {seed}: the chain goes on: {before} -> {:?}", scenario.heights);
    after
}

/// How many stories: a few, or a twentieth of what the campaign asks for, for they take long.
fn seeds(few: u64) -> u64 {
    let asked = std::env::var("ACESO_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse::<u64>().ok());
    asked.map_or(few, |seeds| seeds.div_ceil(20))
}

#[test]
fn power_cuts_of_a_committee_of_one_cause_no_rollback() {
    let (seeds, cuts, mut blocks) = (seeds(6), 12, 0);
    for seed in 0..seeds {
        blocks += power_cuts(seed, 1, cuts);
    }
    println!(
        "{seeds} seeds, {} power cuts and starts, {blocks} blocks, none rolled back",
        seeds * (cuts + 1)
    );
}

#[test]
fn power_cuts_of_a_whole_committee_cause_no_rollback_and_no_double_vote() {
    let (seeds, cuts, mut blocks) = (seeds(3).div_ceil(2), 6, 0);
    for seed in 0..seeds {
        blocks += power_cuts(seed, 4, cuts);
    }
    println!(
        "{seeds} seeds, {} power cuts and starts of four, {blocks} blocks, none rolled back",
        seeds * (cuts + 1)
    );
}
