//! What a seed decides: the link_quality, who lies and how, and a few steps.

use super::{FOUNDERS, LinkQuality};
use consensus_sim::{
    Probability,
    deterministic::{FaultConfig, PartialWriteMode, WriteConfig},
    probability,
};
use std::{fmt, time::Duration};

/// Numbers that look random (splitmix64).
pub(super) struct SeededRng(u64);

impl SeededRng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// At least `least`, below `end`.
    pub(super) fn roll(&mut self, least: u64, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (z ^ (z >> 31)) % (end - least)
    }

    fn who(&mut self) -> usize {
        usize::try_from(self.roll(0, FOUNDERS as u64)).unwrap()
    }
}

/// How one validator lies, from the first moment to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misbehaviour {
    /// It runs twice; validators with these bits talk with the first, or the second, or both.
    Twins { first: u64, second: u64 },
    /// It signs what contradicts what it signed.
    Equivocation,
    /// It sends garbage of every kind.
    Garbage,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Quiet,
    DegradedLinks(LinkQuality),
    /// One stops where it stands and starts again.
    Crash(usize),
    /// All stop where they stand and start again.
    CrashAll,
    /// Those with these bits hear nobody else.
    Partition(u64),
    /// All lose power: what was not synced is gone, or half there.
    PowerCut,
    /// A validator is voted out, and follows on.
    Retire(usize),
    /// A validator loses its disk; its key is voted out and another one in.
    LoseDisk(usize),
    /// The Byzantine validator is voted out.
    Expel,
}

/// It lasts for a while.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) event: Event,
    pub(super) ms: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) epoch_blocks: u64,
    pub(super) link_quality: LinkQuality,
    pub(super) byzantine: Option<(usize, Misbehaviour)>,
    pub(super) steps: Vec<Step>,
    pub(super) kept_percent: u64,
    pub(super) in_order: bool,
}

fn link_quality(rng: &mut SeededRng, lost_percent: u64, latency_ms: u64) -> LinkQuality {
    LinkQuality {
        latency: Duration::from_millis(rng.roll(2, latency_ms)),
        jitter: Duration::from_millis(rng.roll(0, latency_ms / 2)),
        delivery_rate: Probability::new(100 - rng.roll(0, lost_percent), 100).unwrap(),
    }
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let rng = &mut SeededRng::new(seed);
        let byzantine = (rng.roll(0, 5) < 2).then(|| {
            let who = rng.who();
            let misbehaviour = match rng.roll(0, 4) {
                0 => Misbehaviour::Equivocation,
                1 => Misbehaviour::Garbage,
                _ => {
                    let first = rng.roll(0, 1 << FOUNDERS);
                    // Every peer hears at least one twin.
                    Misbehaviour::Twins {
                        first,
                        second: (rng.roll(0, 1 << FOUNDERS) | !first) & ((1 << FOUNDERS) - 1),
                    }
                }
            };
            (who, misbehaviour)
        });
        let mut steps: Vec<Step> = (0..rng.roll(2, 5))
            .map(|_| {
                let event = match rng.roll(0, 12) {
                    0 => Event::Quiet,
                    1 | 2 => Event::DegradedLinks(link_quality(rng, 30, 200)),
                    3..=5 => Event::Crash(rng.who()),
                    6 => Event::CrashAll,
                    7..=9 => Event::Partition(rng.roll(1, (1 << FOUNDERS) - 1)),
                    _ => Event::PowerCut,
                };
                Step { event, ms: rng.roll(500, 5000) }
            })
            .collect();
        if rng.roll(0, 5) < 2 {
            let who = rng.who();
            let event = match (&byzantine, rng.roll(0, 2)) {
                (Some(_), _) => Event::Expel,
                (None, 0) => Event::Retire(who),
                (None, _) => Event::LoseDisk(who),
            };
            let at = usize::try_from(rng.roll(0, steps.len() as u64 + 1)).unwrap();
            steps.insert(at, Step { event, ms: rng.roll(500, 5000) });
        }
        Self {
            seed,
            epoch_blocks: rng.roll(6, 24),
            link_quality: link_quality(rng, 6, 60),
            byzantine,
            steps,
            kept_percent: [0, 30, 90][usize::try_from(rng.roll(0, 3)).unwrap()],
            in_order: rng.roll(0, 2) == 0,
        }
    }

    pub(super) fn disks(&self) -> FaultConfig {
        let retention_rate = Probability::new(self.kept_percent, 100).unwrap();
        let mode = if self.in_order { PartialWriteMode::Prefix } else { PartialWriteMode::Subset };
        FaultConfig::default().write(WriteConfig { failure_rate: probability!(0.0), retention_rate, mode })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, epoch_blocks, link_quality, kept_percent, .. } = self;
        writeln!(f, "seed {seed}: {FOUNDERS} validators, epochs of {epoch_blocks} blocks, {link_quality:?}")?;
        let order = if self.in_order { "from the front" } else { "anywhere" };
        writeln!(f, "  a power cut keeps {kept_percent} % of what was not synced, {order}")?;
        match &self.byzantine {
            Some((who, misbehaviour)) => writeln!(f, "  validator {who} lies: {misbehaviour:?}")?,
            None => writeln!(f, "  nobody lies")?,
        }
        for Step { event, ms } in &self.steps {
            writeln!(f, "  {ms:>5} ms {event:?}")?;
        }
        Ok(())
    }
}
