//! The organisations of one story, and the life between two power cuts.

use super::*;
use consensus_sim::{Halves, KINDS};
use plan::Dice;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use vitals::governance::Motion;

/// How often organisations act and the witness looks.
const TICK_MS: u64 = 400;
/// The validator that comes after a lost disk.
const NEWCOMER: usize = FOUNDERS;

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

fn record_key(org: usize) -> [u8; 32] {
    [0x20 + small(org); 32]
}

fn sender(org: usize) -> [u8; 32] {
    [0x10 + small(org); 32]
}

fn validator(index: usize) -> [u8; 32] {
    public_key(&validator_seed(index)).unwrap()
}

fn endpoint(index: usize) -> String {
    format!("127.0.0.1:{}", 1000 + index)
}

/// What of a node is in memory.
struct Running {
    replica: Arc<Replica>,
    machine: Machine,
    pool: Pool,
    account: Account,
    task: consensus_sim::Handle<Fault>,
}

/// An honest organisation's node.
struct Seat {
    /// Its validator.
    index: usize,
    org: usize,
    lives: u32,
    running: Option<Running>,
    /// Sent, and not seen settled; with whether it may be refused.
    waiting: Option<(Hash, bool)>,
    log: MerkleLog,
    /// It lost its disk: what it sent may be lost, and its account is not used any more.
    silent: bool,
}

/// Everything that outlives a power cut.
pub(super) struct World {
    plan: Plan,
    folder: PathBuf,
    document: GenesisDocument,
    seats: Vec<Seat>,
    witness: Witness,
    /// What the organisations want to be decided.
    motions: Vec<Motion>,
    /// Validators in the committee once all of that acts.
    committee: BTreeSet<usize>,
    garbage: Dice,
    pub(super) told: Told,
}

impl World {
    pub(super) fn found(plan: Plan, folder: &Path) -> Self {
        let document = crate::genesis::document(Founding {
            chain_id: 84_001,
            name: String::from("simulation"),
            time_ms: 0,
            epoch_blocks: plan.epoch_blocks,
            committee: (0..FOUNDERS).map(validator).collect(),
            operators: (0..FOUNDERS).map(|org| OrgId::of(&record_key(org))).collect(),
            founders: (0..FOUNDERS)
                .map(|org| Founder { record_key: record_key(org), sender: address_of(&sender(org)).unwrap() })
                .collect(),
            salt: [8; 32],
        });
        let liar = plan.liar.as_ref().map(|(who, _)| *who);
        let seat = |index| Seat {
            index,
            org: index,
            lives: 0,
            running: None,
            waiting: None,
            log: MerkleLog::new(),
            silent: false,
        };
        let seats = (0..FOUNDERS).filter(|index| Some(*index) != liar).map(seat).collect();
        let apart = folder.join("witness");
        std::fs::create_dir_all(&apart).unwrap();
        let genesis = Machine::open(&apart, &document).unwrap().genesis_header().clone();
        Self {
            witness: Witness::new(&document, &genesis),
            garbage: Dice::new(!plan.seed),
            plan,
            folder: folder.to_owned(),
            document,
            seats,
            motions: Vec::new(),
            committee: (0..FOUNDERS).collect(),
            told: Told::default(),
        }
    }

    fn config(&self, folder: PathBuf) -> Config {
        let mut config = Config::new(folder);
        config.heartbeat = Duration::from_millis(500);
        config.leader_timeout = Duration::from_millis(1200);
        config.traitors_survived = (FOUNDERS - 1) / 3;
        config.peers = (0..FOUNDERS)
            .map(|index| consensus::Peer { key: validator(index), address: endpoint(index) })
            .collect();
        config
    }

    /// State machine, pool and account in a folder.
    fn node(&self, folder: &Path, org: usize) -> (Machine, Pool, Account) {
        std::fs::create_dir_all(folder).unwrap();
        let machine = Machine::open(folder, &self.document).unwrap();
        let pool = Pool::new(machine.clone());
        let account = Account::open(&sender(org), folder, machine.clone(), pool.clone()).unwrap();
        (machine, pool, account)
    }
}

/// One life: a network, a clock, and whoever runs.
pub(super) struct Stage<'a> {
    context: deterministic::Context,
    net: Net,
    world: &'a mut World,
    twins: Vec<consensus_sim::Handle<Fault>>,
    seized: Option<consensus_sim::Seized>,
}

impl<'a> Stage<'a> {
    pub(super) fn open(context: &deterministic::Context, world: &'a mut World) -> Self {
        use consensus_sim::Supervisor as _;
        let net = Net::new(context);
        Self { context: context.child("stage"), net, world, twins: Vec::new(), seized: None }
    }

    /// Plays the scenes; the last life heals and checks that everything came to its end.
    pub(super) async fn live(mut self, scenes: &[Scene], last: bool) -> Result<(), Violation> {
        let from = self.context.current();
        self.weather(self.world.plan.weather).await;
        for at in 0..self.world.seats.len() {
            self.boot(at).await?;
        }
        self.lie().await;
        for scene in scenes {
            self.play(scene).await?;
        }
        let ended = if last { self.heal().await } else { Ok(()) };
        for seat in &mut self.world.seats {
            seat.running = None;
        }
        let lasted = self.context.current().duration_since(from).unwrap_or_default();
        self.world.told.simulated_ms += u64::try_from(lasted.as_millis()).unwrap();
        ended
    }

    async fn boot(&mut self, at: usize) -> Result<(), Violation> {
        let (index, org) = (self.world.seats[at].index, self.world.seats[at].org);
        let folder = self.world.folder.join(index.to_string());
        let (machine, pool, account) = self.world.node(&folder, org);
        let boundaries = Boundaries::open(&folder, &self.world.document).unwrap();
        let replica = Arc::new(Replica::new(machine.clone(), pool.clone()).keeping(boundaries));
        self.world.witness.look(index, &machine, true)?;
        let partition = format!("v{index}-");
        let disk = (partition.as_str(), self.world.seats[at].lives);
        let config = self.world.config(folder);
        let seed = validator_seed(index);
        let task = self.net.start(&config, &self.world.document, replica.clone(), &seed, disk).await;
        let task = task.map_err(|why| format!("validator {index} does not start: {why}"))?;
        let seat = &mut self.world.seats[at];
        seat.lives += 1;
        seat.running = Some(Running { replica, machine, pool, account, task });
        Ok(())
    }

    fn crash(&mut self, at: usize) {
        if let Some(running) = self.world.seats[at].running.take() {
            running.task.abort();
        }
    }

    /// The liar starts lying.
    async fn lie(&mut self) {
        let Some((who, lie)) = self.world.plan.liar.clone() else { return };
        let (seed, document) = (validator_seed(who), self.world.document.clone());
        match lie {
            Lie::Perjury => self.net.perjure(&document, &seed).await,
            Lie::Garbage => self.seized = Some(self.net.seize(&seed).await),
            Lie::Twins { first, second } => {
                let names = |bits: u64| {
                    let peers = (0..FOUNDERS).filter(|at| *at != who && bits >> at & 1 == 1);
                    peers.map(|at| name(&validator_seed(at))).collect()
                };
                self.twins(who, &Halves { first: names(first), second: names(second) }).await;
            }
        }
    }

    /// Starts a validator twice.
    pub(super) async fn twins(&mut self, who: usize, halves: &Halves) {
        let half = |which: &str| {
            let folder = self.world.folder.join(format!("twin-{who}-{which}"));
            let (machine, pool, account) = self.world.node(&folder, who);
            if machine.tip().height == 0 {
                // Two transactions of one nonce, each told to others.
                let root = vitals::ids::sha256(&[which.as_bytes()]);
                account.submit(&Act::Anchor { size: 1, root, consistency: Vec::new() }).unwrap();
            }
            let replica: Arc<dyn consensus::StateMachine> = Arc::new(Replica::new(machine, pool));
            (replica, self.world.config(folder), format!("twin-{who}-{which}-"))
        };
        let both = (half("first"), half("second"));
        let seed = validator_seed(who);
        self.twins.extend(self.net.start_twins(&self.world.document, &seed, 0, both, halves).await.unwrap());
    }

    /// Two of four lie, and each of the two honest ones hears another half of them: more than any
    /// agreement survives.
    pub(super) async fn live_among_two_liars(mut self) -> Result<(), Violation> {
        self.weather(self.world.plan.weather).await;
        self.link(|i, j| i + j == 1, None).await;
        self.world.seats.truncate(2);
        self.boot(0).await?;
        self.boot(1).await?;
        for who in [2, 3] {
            let one = |honest: usize| BTreeSet::from([name(&validator_seed(honest))]);
            self.twins(who, &Halves { first: one(0), second: one(1) }).await;
        }
        let ended = self.pass(HEAL_MS_MAX).await;
        self.world.seats.clear();
        ended
    }

    /// Links everybody to everybody.
    async fn weather(&self, weather: Weather) {
        self.link(|_, _| true, Some(weather)).await;
    }

    async fn link(&self, which: impl Fn(usize, usize) -> bool, weather: Option<Weather>) {
        for i in 0..=NEWCOMER {
            for j in (0..=NEWCOMER).filter(|j| i != *j && which(i, *j)) {
                let (from, to) = (name(&validator_seed(i)), name(&validator_seed(j)));
                match weather {
                    Some(weather) => self.net.link(&from, &to, weather).await,
                    None => self.net.cut(&from, &to).await,
                }
            }
        }
    }

    async fn play(&mut self, scene: &Scene) -> Result<(), Violation> {
        let ms = scene.ms;
        match scene.event {
            Event::Calm => self.pass(ms).await,
            Event::Storm(weather) => {
                self.weather(weather).await;
                self.pass(ms).await?;
                self.weather(self.world.plan.weather).await;
                Ok(())
            }
            Event::Crash(who) => {
                let Some(at) = self.world.seats.iter().position(|seat| seat.index == who) else {
                    return self.pass(ms).await;
                };
                self.crash(at);
                self.pass(ms).await?;
                self.boot(at).await
            }
            Event::CrashAll => {
                let all = 0..self.world.seats.len();
                all.clone().for_each(|at| self.crash(at));
                self.pass(ms).await?;
                for at in all {
                    self.boot(at).await?;
                }
                self.pass(TICK_MS).await
            }
            Event::Partition(side) => {
                let across = |i: usize, j: usize| (side >> i & 1) != (side >> j & 1);
                self.link(across, None).await;
                self.pass(ms).await?;
                self.weather(self.world.plan.weather).await;
                Ok(())
            }
            // The runtime takes care of the rest.
            Event::PowerCut => self.pass(ms).await,
            Event::Retire(who) => {
                self.vote_out(who);
                self.pass(ms).await
            }
            Event::Expel => {
                if let Some((who, _)) = self.world.plan.liar {
                    self.vote_out(who);
                }
                self.pass(ms).await
            }
            Event::Wipe(who) => self.wipe(who, ms).await,
        }
    }

    fn vote_out(&mut self, who: usize) {
        self.world.motions.push(Motion::RemoveValidator { key: validator(who) });
        self.world.committee.remove(&who);
    }

    async fn wipe(&mut self, who: usize, ms: u64) -> Result<(), Violation> {
        let at = self.world.seats.iter().position(|seat| seat.index == who).ok_or("nobody to wipe")?;
        self.crash(at);
        self.pass(TICK_MS).await?;
        std::fs::remove_dir_all(self.world.folder.join(who.to_string())).unwrap();
        self.world.witness.forget(who);
        let seat = &mut self.world.seats[at];
        (seat.index, seat.silent, seat.waiting) = (NEWCOMER, true, None);
        self.vote_out(who);
        let org = OrgId::of(&record_key(self.world.seats[at].org));
        let motion = Motion::AddValidator { key: validator(NEWCOMER), org, endpoint: endpoint(NEWCOMER) };
        self.world.motions.push(motion);
        self.world.committee.insert(NEWCOMER);
        self.pass(ms).await?;
        self.boot(at).await
    }

    /// Time passes; organisations act, and the witness looks.
    async fn pass(&mut self, ms: u64) -> Result<(), Violation> {
        let mut left = ms;
        while left > 0 {
            let step = left.min(TICK_MS);
            self.context.sleep(Duration::from_millis(step)).await;
            left -= step;
            self.look().await?;
            for at in 0..self.world.seats.len() {
                self.act(at)?;
            }
            self.babble();
        }
        Ok(())
    }

    /// Garbage of every kind, some of it for the running epochs.
    fn babble(&mut self) {
        let Some(seized) = &mut self.seized else { return };
        let dice = &mut self.world.garbage;
        let epoch = self.world.witness.height() / self.world.plan.epoch_blocks;
        for kind in 0..KINDS.len() {
            let mut message: Vec<u8> =
                (0..dice.roll(0, 200)).map(|_| u8::try_from(dice.roll(0, 256)).unwrap()).collect();
            if dice.roll(0, 2) == 0 {
                message.insert(0, u8::try_from(epoch & 0x7f).unwrap());
            }
            seized.send(kind, &message);
        }
    }

    /// One organisation's next transaction, if its last one is settled.
    fn act(&mut self, at: usize) -> Result<(), Violation> {
        let World { seats, motions, .. } = &mut *self.world;
        let proposer = seats.iter().position(|seat| seat.running.is_some() && !seat.silent);
        let seat = &mut seats[at];
        let Some(running) = seat.running.as_ref().filter(|_| !seat.silent) else { return Ok(()) };
        if let Some((id, refusable)) = seat.waiting {
            match running.pool.outcome(&id).unwrap() {
                Outcome::Pending => return Ok(()),
                Outcome::Done { .. } => {}
                Outcome::Refused { .. } if refusable => {}
                other => {
                    return Err(format!("the transaction of organisation {} is lost: {other:?}", seat.org));
                }
            }
            seat.waiting = None;
        }
        let me = OrgId::of(&record_key(seat.org));
        let view = running.machine.view();
        let stays = |v: &vitals::governance::Validator| v.org == me && v.until_epoch.is_none();
        let seated = view.validators().unwrap().iter().any(stays);
        let proposals = view.proposals(8).unwrap();
        let decided = |motion: &Motion| proposals.iter().any(|p| p.motion == *motion && p.accepted.is_some());
        let motion = motions.iter().find(|motion| !decided(motion)).filter(|_| seated);
        let open = motion.map(|motion| proposals.iter().find(|proposal| proposal.motion == *motion));
        let (act, refusable) = match (open, motion) {
            (Some(None), Some(motion)) if proposer == Some(at) => (Act::Propose(motion.clone()), true),
            (Some(Some(open)), _) if !open.votes.contains(&me) => (Act::Vote { proposal: open.id }, true),
            _ => {
                let before = view.anchor(me).map_or(0, |anchor| anchor.size);
                while seat.log.size() <= before {
                    seat.log.push(log::leaf(&seat.log.size().to_be_bytes()));
                }
                let size = seat.log.size();
                let consistency =
                    if before == 0 { Vec::new() } else { seat.log.consistency(before, size).unwrap() };
                (Act::Anchor { size, root: seat.log.root(), consistency }, false)
            }
        };
        let id = running.account.submit(&act).map_err(|why| format!("organisation {}: {why}", seat.org))?;
        seat.waiting = Some((id, refusable));
        Ok(())
    }

    /// The witness looks at everybody.
    async fn look(&mut self) -> Result<(), Violation> {
        let World { seats, witness, told, plan, .. } = &mut *self.world;
        let liar = plan.liar.as_ref().map(|(who, _)| *who);
        let convicted = liar.map(validator);
        let mut evidence = 0;
        for seat in seats.iter_mut() {
            let Some(running) = &mut seat.running else { continue };
            if let Some(fault) = futures::FutureExt::now_or_never(&mut running.task) {
                return Err(format!("validator {} gave up: {fault:?}", seat.index));
            }
            witness.look(seat.index, &running.machine, false)?;
            witness.check_proof(seat.index, &running.replica)?;
            evidence += witness.check_evidence(seat.index, &running.replica, convicted)?;
        }
        (told.blocks, told.transactions) = (witness.height(), witness.transactions);
        (told.certificates, told.evidence) = (witness.certificates, told.evidence.max(evidence));
        let liar = liar.map(|who| name(&validator_seed(who)));
        let blocked = self.net.blocked().await;
        match blocked.iter().find(|(from, to)| liar.as_ref() != Some(from) && liar.as_ref() != Some(to)) {
            Some(pair) => Err(format!("an honest validator refuses to talk to another: {pair:?}")),
            None => Ok(()),
        }
    }

    /// Nothing more goes wrong: within a bound everybody agrees on everything, and the committee is as
    /// voted.
    async fn heal(&mut self) -> Result<(), Violation> {
        let goal = self.world.witness.height() + 4;
        let mut took = 0;
        let settled = |world: &World| {
            world.seats.iter().all(|seat| {
                let Some(running) = &seat.running else { return false };
                running.machine.tip().height >= goal
            })
        };
        let mut sent: Option<Vec<Option<Hash>>> = None;
        loop {
            self.pass(TICK_MS).await?;
            took += TICK_MS;
            // Whatever waited when it healed must be final everywhere.
            let waiting: Vec<Option<Hash>> =
                self.world.seats.iter().map(|seat| seat.waiting.map(|(id, _)| id)).collect();
            let first = sent.get_or_insert_with(|| waiting.clone());
            let still = first.iter().zip(&waiting).any(|(then, now)| then.is_some() && then == now);
            if settled(self.world) && !still {
                break;
            }
            if took > HEAL_MS_MAX {
                let heights = self.heights();
                return Err(format!(
                    "not healed after {took} ms: goal {goal}, heights {heights:?}, waiting {still}"
                ));
            }
        }
        self.world.told.healed_ms = took;
        let wanted: BTreeSet<[u8; 32]> = self.world.committee.iter().map(|index| validator(*index)).collect();
        while !self.world.witness.newest_committee().iter().eq(wanted.iter()) {
            if took > HEAL_MS_MAX + CHANGE_MS_MAX {
                return Err(format!(
                    "the committee is not as voted after {took} ms, heights {:?}",
                    self.heights()
                ));
            }
            self.pass(TICK_MS).await?;
            took += TICK_MS;
        }
        // The new committee makes blocks.
        let goal = self.world.witness.height() + self.world.plan.epoch_blocks;
        let limit = took + HEAL_MS_MAX;
        while self.heights().iter().any(|height| height.is_none_or(|height| height < goal)) {
            if took > limit {
                return Err(format!("no blocks after the change: goal {goal}, heights {:?}", self.heights()));
            }
            self.pass(TICK_MS).await?;
            took += TICK_MS;
        }
        self.check_dropped().await
    }

    fn heights(&self) -> Vec<Option<u64>> {
        let height = |seat: &Seat| seat.running.as_ref().map(|running| running.machine.tip().height);
        self.world.seats.iter().map(height).collect()
    }

    /// Whoever sends garbage is dropped by everybody.
    async fn check_dropped(&mut self) -> Result<(), Violation> {
        let Some((who, Lie::Garbage)) = self.world.plan.liar else { return Ok(()) };
        let (liar, blocked) = (name(&validator_seed(who)), self.net.blocked().await);
        for seat in &self.world.seats {
            if !blocked.contains(&(name(&validator_seed(seat.index)), liar.clone())) {
                return Err(format!("validator {} goes on listening to garbage", seat.index));
            }
        }
        Ok(())
    }
}
