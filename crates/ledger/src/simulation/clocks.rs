//! Wrong clocks: machines' clocks are set by up to a day, or drift, on some validators or all; some of those start
//! again meanwhile. No seed splits the ledger, a wrong clock is named within two seconds, and blocks follow within
//! five seconds of the clocks being right.
//!
//! `make sim` tries 200 seeds; `ACESO_CLOCK_SEED=n` tells one.

use super::crashes::{Final, rng};
use super::*;
use consensus_sim::SimulatedClock;
use vitals::clock_fault::{ClockFaults, OTHERS_SEEN_MS_MAX};
use vitals::held_clock::STEP_MS_MIN;
use vitals::proof::header::BlockHeader;

const TICK_MS: u64 = 250;
/// A wrong clock is named within this time.
const NAMED_WITHIN_MS: u64 = 2_000;
/// Blocks are made again within this time of the clocks being right.
const BLOCKS_WITHIN_MS: u64 = 5_000;
/// The ledger's time is right again within this time of the clocks being right.
const RIGHT_WITHIN_MS: u64 = 30_000;
/// A step that lasts this long is believed here, so that seeds live past it.
const BELIEVED_AFTER_MS: u64 = 15_000;
/// Steps: three seconds, half a minute, a minute and a half, an hour, a day.
const STEPS_MS: [i64; 5] = [3_000, 30_000, 90_000, 3_600_000, 86_400_000];

/// More blocks of one time than are needed to take it back.
const STILL_BLOCKS_AT_LEAST: u64 = 10;

/// Seeds that once had no blocks in time.
const FOUND: [u64; 11] = [13, 18, 24, 36, 37, 56, 61, 110, 143, 169, 347];

/// Numbers of one seed.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.thrown += 1;
        rng(self.seed, self.thrown) % end
    }

    fn signed(&mut self, size: i64) -> i64 {
        if self.below(2) == 0 { size } else { -size }
    }
}

/// What happens to one clock.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    by_ms: i64,
    drift_ms_per_s: i64,
}

/// A time in which some clocks are wrong.
#[derive(Debug)]
struct Episode {
    wrong: Vec<Option<Wrong>>,
    /// A validator that starts again while the clocks are wrong.
    restarts: Option<usize>,
    lasts_ms: u64,
}

impl Episode {
    fn draw(dice: &mut Dice, validators: usize) -> Self {
        let drift = dice.below(4) == 0;
        // All of them in half of the episodes: by the same step, as a bad time server would, or each by its own.
        let (all, same) = (dice.below(2) == 0, dice.below(2) == 0);
        let one = |dice: &mut Dice| match drift {
            true => {
                let size = 100 + i64::try_from(dice.below(900)).unwrap();
                Wrong { by_ms: 0, drift_ms_per_s: dice.signed(size) }
            }
            false => {
                let size = STEPS_MS[usize::try_from(dice.below(5)).unwrap()];
                Wrong { by_ms: dice.signed(size), drift_ms_per_s: 0 }
            }
        };
        let first = one(dice);
        let mut wrong: Vec<Option<Wrong>> = (0..validators)
            .map(|_| (all || dice.below(2) == 0).then(|| if same { first } else { one(dice) }))
            .collect();
        let least = usize::try_from(dice.below(validators as u64)).unwrap();
        wrong[least].get_or_insert(first);
        let restarts = (dice.below(3) == 0).then(|| usize::try_from(dice.below(validators as u64)).unwrap());
        Self { wrong, restarts, lasts_ms: 1_000 + dice.below(30_000) }
    }
}

/// One node and its clock.
struct Node {
    member: Member,
    clock: SimulatedClock,
    /// Since when its clock was wrong, on the true clock, and whether it was set while it ran.
    wrong_since_ms: Option<u64>,
    starts: u32,
    started_wrong: bool,
}

impl Node {
    fn faults(&self) -> ClockFaults {
        let (step, now_ms) = (self.clock.step(), consensus::NodeClock::now_ms(&self.clock));
        let others = self.member.peer_statuses.clocks_ahead_ms(now_ms.saturating_sub(OTHERS_SEEN_MS_MAX));
        ClockFaults::of(step, now_ms, self.member.machine.tip().time_ms, others)
    }
}

struct Story {
    seed: u64,
    ward: TestCommittee,
    nodes: Vec<Node>,
    finals: Final,
    heights: Vec<u64>,
    anchoring: Anchoring,
    /// A validator has started with a wrong clock, which it took for the right one.
    misled: bool,
    /// The longest time that a wrong clock was not named, and the longest time to the next block.
    worst_ms: (u64, u64),
}

impl Story {
    async fn begin(seed: u64, context: deterministic::Context, folder: std::path::PathBuf, n: usize) -> Self {
        let mut document = document_of(n);
        document.time_ms = SimulatedClock::new(&context, 0).true_ms();
        let mut ward = TestCommittee::on(context, folder, document);
        // Both forms of the engine's archive.
        ward.keep_blocks = ward.keep_blocks.filter(|_| seed.is_multiple_of(2));
        ward.link(None, true).await;
        let (finals, anchoring) = (Final::default(), Anchoring::default());
        let (nodes, heights, worst_ms) = (Vec::new(), Vec::new(), (0, 0));
        let mut story = Self { seed, ward, nodes, finals, heights, anchoring, misled: false, worst_ms };
        for index in 0..n {
            let node = story.start(index, 0, 0).await;
            story.nodes.push(node);
        }
        story
    }

    async fn start(&self, index: usize, off_ms: i64, starts: u32) -> Node {
        let clock = SimulatedClock::new(&self.ward.context, off_ms).believing_after(BELIEVED_AFTER_MS);
        let member = self.ward.boot_with(index, starts, Some(Arc::new(clock.clone()))).await;
        Node { member, clock, wrong_since_ms: None, starts, started_wrong: off_ms != 0 }
    }

    /// Time passes: one block per height, and every wrong clock is named in time.
    async fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(TICK_MS) {
            self.ward.context.sleep(Duration::from_millis(TICK_MS)).await;
            tracing::debug!(ms = self.nodes[0].clock.true_ms(), "Time");
            let step = format!("clock seed {}", self.seed);
            let members = self.nodes.iter().map(|node| &node.member);
            self.heights = self.finals.check(members, &self.heights, &step);
            for (index, node) in self.nodes.iter_mut().enumerate() {
                let fault = futures::FutureExt::now_or_never(&mut node.member.task);
                assert!(fault.is_none(), "{step}: validator {index} gave up: {fault:?}");
                let (off_ms, true_ms) = (node.clock.off_ms(), node.clock.true_ms());
                let wrong = off_ms.unsigned_abs() > STEP_MS_MIN && !node.started_wrong;
                if !wrong {
                    node.wrong_since_ms = None;
                    continue;
                }
                let since_ms = *node.wrong_since_ms.get_or_insert(true_ms);
                if node.faults().node.is_none() {
                    let unnamed_ms = true_ms - since_ms;
                    self.worst_ms.0 = self.worst_ms.0.max(unnamed_ms);
                    assert!(
                        unnamed_ms < NAMED_WITHIN_MS,
                        "{step}: the clock of validator {index} is {off_ms} ms off and nobody says so"
                    );
                }
            }
        }
    }

    fn heights(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.member.machine.tip().height).collect()
    }

    async fn live(&mut self, episode: &Episode) {
        for (node, wrong) in self.nodes.iter().zip(&episode.wrong) {
            if let Some(Wrong { by_ms, drift_ms_per_s }) = wrong {
                node.clock.set(*by_ms, *drift_ms_per_s);
            }
        }
        self.pass(episode.lasts_ms / 2).await;
        if let Some(index) = episode.restarts {
            let node = &self.nodes[index];
            let (off_ms, starts) = (node.clock.off_ms(), node.starts + 1);
            node.member.task.abort();
            self.ward.context.sleep(Duration::from_millis(TICK_MS)).await;
            // Its files are free once nothing of it is left.
            let node = self.nodes.remove(index);
            drop(node);
            let node = self.start(index, off_ms, starts).await;
            self.misled |= node.started_wrong;
            self.nodes.insert(index, node);
        }
        self.pass(episode.lasts_ms / 2).await;

        for node in &self.nodes {
            node.clock.set(0, 0);
        }
        let before = self.heights();
        let mut waited_ms = 0;
        while self.heights().iter().zip(&before).any(|(now, before)| now <= before) {
            assert!(
                waited_ms < BLOCKS_WITHIN_MS,
                "clock seed {}: no blocks {waited_ms} ms after the clocks are right: {before:?}, {episode:?}",
                self.seed
            );
            self.pass(TICK_MS).await;
            waited_ms += TICK_MS;
        }
        self.worst_ms.1 = self.worst_ms.1.max(waited_ms);
        self.anchoring.next_of(&self.nodes[0].member);
    }

    /// The ledger's time is the true one again, every node's too, and nothing is named any more.
    async fn settle(&mut self) {
        if self.misled {
            return self.pass(RIGHT_WITHIN_MS).await;
        }
        let mut waited_ms = 0;
        loop {
            let wrong: Vec<String> = (0..self.nodes.len())
                .filter_map(|index| {
                    let node = &self.nodes[index];
                    let (now_ms, true_ms) = (consensus::NodeClock::now_ms(&node.clock), node.clock.true_ms());
                    let tip_ms = node.member.machine.tip().time_ms;
                    let right = now_ms.abs_diff(true_ms) <= STEP_MS_MIN && tip_ms.abs_diff(true_ms) <= 5_000;
                    let named = !node.faults().is_empty();
                    (!right || named).then(|| {
                        format!("{index}: {now_ms}, tip {tip_ms}, true {true_ms}, {}", node.faults())
                    })
                })
                .collect();
            if wrong.is_empty() {
                return;
            }
            assert!(waited_ms < RIGHT_WITHIN_MS + BELIEVED_AFTER_MS, "clock seed {}: {wrong:?}", self.seed);
            self.pass(TICK_MS).await;
            waited_ms += TICK_MS;
        }
    }
}

/// Tells one seed; the longest time to a name and to a block, and the blocks made.
fn tell(seed: u64) -> (u64, u64, u64) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().to_owned();
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(3600)));
    deterministic::Runner::new(config).start(|context| async move {
        let mut dice = Dice { seed, thrown: 0 };
        let n = [1, 2, 4][usize::try_from(dice.below(3)).unwrap()];
        let mut story = Story::begin(seed, context, path, n).await;
        story.pass(3_000).await;
        for _ in 0..1 + dice.below(3) {
            let episode = Episode::draw(&mut dice, n);
            story.live(&episode).await;
            story.settle().await;
        }
        (story.worst_ms.0, story.worst_ms.1, story.heights().iter().max().copied().unwrap())
    })
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

#[test]
fn wrong_clocks_split_nothing_are_named_and_stop_no_ledger_once_they_are_right() {
    let one = from_env("ACESO_CLOCK_SEED");
    if one.is_some() {
        // RUST_LOG=debug shows what the engine did.
        let log = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(log).without_time().with_ansi(false).try_init();
    }
    let seeds: Vec<u64> = match (one, from_env("ACESO_CLOCK_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..count).collect(),
        (None, None) => (0..6).chain(FOUND).collect(),
    };
    let (mut named_ms, mut blocks_ms, mut blocks) = (0, 0, 0);
    let count = seeds.len();
    for seed in seeds {
        let (named, waited, made) = tell(seed);
        (named_ms, blocks_ms, blocks) = (named_ms.max(named), blocks_ms.max(waited), blocks + made);
    }
    println!(
        "{count} clock seeds, {blocks} blocks: no fork; a wrong clock named within {named_ms} ms, blocks within \
         {blocks_ms} ms of the clocks being right"
    );
}

/// A story of one step on some of the clocks.
fn step_of(validators: usize, off_ms: &[i64], lasts_ms: u64) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let wrong = |by_ms: &i64| (*by_ms != 0).then_some(Wrong { by_ms: *by_ms, drift_ms_per_s: 0 });
    let episode = Episode { wrong: off_ms.iter().map(wrong).collect(), restarts: None, lasts_ms };
    deterministic::Runner::seeded(1).start(|context| async move {
        let mut story = Story::begin(1, context, path, validators).await;
        story.pass(3_000).await;
        let before = story.heights().iter().min().copied().unwrap();
        story.live(&episode).await;
        let meanwhile = story.heights().iter().min().copied().unwrap() - before;
        story.settle().await;
        (meanwhile, story.worst_ms.1)
    })
}

#[test]
fn both_clocks_of_two_validators_are_set_back_or_ahead_and_blocks_go_on() {
    // The steps of the field report; before, no block came for a minute, or ever.
    for (off_ms, lasts_ms) in [(-30_000, 55_000), (-90_000, 150_000), (3_600_000, 8_000)] {
        let (meanwhile, _) = step_of(2, &[off_ms, off_ms], lasts_ms);
        assert!(meanwhile >= lasts_ms / 1_000, "{off_ms} ms for {lasts_ms} ms: {meanwhile} blocks");
    }
}

#[test]
fn a_single_validator_a_day_ahead_for_six_seconds_keeps_no_time_of_tomorrow() {
    let (meanwhile, _) = step_of(1, &[86_400_000], 6_000);
    assert!(meanwhile >= 6, "{meanwhile}");
}

/// The ledger follows a step of an hour, which is believed after 15 s here, and has to come back.
fn followed_and_back(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    deterministic::Runner::seeded(seed).start(|context| async move {
        let mut story = Story::begin(seed, context, path, 2).await;
        let hour = || Some(Wrong { by_ms: 3_600_000, drift_ms_per_s: 0 });
        for node in &story.nodes {
            node.clock.set(3_600_000, 0);
        }
        story.pass(BELIEVED_AFTER_MS + 5_000).await;
        let tip = story.nodes[0].member.machine.tip();
        let ahead_ms = tip.time_ms.saturating_sub(story.nodes[0].clock.true_ms());
        assert!(ahead_ms > 3_590_000, "seed {seed}: the ledger followed: {ahead_ms}");
        let episode = Episode { wrong: vec![hour(), hour()], restarts: None, lasts_ms: 0 };
        story.live(&episode).await;
        let named = story.nodes[0].faults().ledger.is_some();
        assert!(named, "seed {seed}: the ledger is in the future, and it is named");
        story.settle().await;
        let header = story.nodes[0].member.machine.header(tip.height).unwrap().unwrap();
        let time_ms = BlockHeader::decode(&header).unwrap().time_ms;
        assert_eq!(time_ms, tip.time_ms, "seed {seed}: no block was taken back");
    });
}

#[test]
fn a_time_in_the_future_goes_back_once_no_clock_has_reached_it() {
    let seeds = from_env("ACESO_CLOCK_SEEDS").unwrap_or(4);
    (1..=seeds.min(40)).for_each(followed_and_back);
}

/// A validator starts again with a clock that is wrong by `off_ms`, the others' being right. The blocks made in the
/// `for_ms` after it, and the ledger's time before and after, less the true one.
fn restarted_wrong(validators: usize, off_ms: i64, for_ms: u64) -> (u64, [i64; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    deterministic::Runner::seeded(1).start(|context| async move {
        let mut story = Story::begin(1, context, path, validators).await;
        story.pass(3_000).await;
        let off = |story: &Story| {
            let (tip_ms, true_ms) =
                (story.nodes[0].member.machine.tip().time_ms, story.nodes[0].clock.true_ms());
            i64::try_from(tip_ms).unwrap() - i64::try_from(true_ms).unwrap()
        };
        let before_ms = off(&story);
        let node = story.nodes.remove(0);
        node.member.task.abort();
        story.ward.context.sleep(Duration::from_millis(TICK_MS)).await;
        drop(node);
        let node = story.start(0, off_ms, 1).await;
        story.nodes.insert(0, node);
        story.pass(2_000).await;
        let height = story.heights().iter().min().copied().unwrap();
        story.pass(for_ms).await;
        (story.heights().iter().min().copied().unwrap() - height, [before_ms, off(&story)])
    })
}

#[test]
fn a_validator_that_starts_an_hour_ahead_does_not_stop_the_ledger() {
    for validators in [2, 4] {
        let (blocks, _) = restarted_wrong(validators, 3_600_000, 20_000);
        assert!(blocks >= 10, "{validators} validators: {blocks} blocks in 20 s");
    }
}

#[test]
fn a_validator_that_starts_an_hour_behind_takes_no_time_back() {
    let (blocks, [before_ms, after_ms]) = restarted_wrong(1, -3_600_000, 20_000);
    assert!(blocks > STILL_BLOCKS_AT_LEAST, "{blocks} blocks, long enough to be taken back");
    // It stands still until the clock has reached it.
    assert!(after_ms >= before_ms - 25_000, "{before_ms} ms before, {after_ms} ms after");
}
