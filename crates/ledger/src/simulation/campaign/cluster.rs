//! The organisations of one scenario, and one run between two power cuts.

use super::*;
use consensus_sim::{CHANNELS, TwinPeers};
use scenario::{Node, Running, endpoint, record_key, validator};
use std::collections::BTreeSet;
use vitals::governance::Motion;

/// How often organisations act and the invariants are checked.
const TICK_MS: u64 = 400;
/// The validator that comes after a lost disk.
const NEWCOMER: usize = FOUNDERS;

/// One run between two power cuts: a network, a clock, and the running nodes.
pub(super) struct Cluster<'a> {
    context: deterministic::Context,
    net: SimulatedNetwork,
    scenario: &'a mut Scenario,
    twins: Vec<consensus_sim::Handle<Fault>>,
    compromised: Option<consensus_sim::CompromisedKey>,
}

impl<'a> Cluster<'a> {
    pub(super) fn open(context: &deterministic::Context, scenario: &'a mut Scenario) -> Self {
        use consensus_sim::Supervisor as _;
        let net = SimulatedNetwork::new(context);
        Self { context: context.child("cluster"), net, scenario, twins: Vec::new(), compromised: None }
    }

    /// Plays the steps; the last life heals and checks that everything came to its end.
    pub(super) async fn run(mut self, steps: &[Step], last: bool) -> Result<(), Violation> {
        let from = self.context.current();
        self.link_quality(self.scenario.plan.link_quality).await;
        for at in 0..self.scenario.nodes.len() {
            self.boot(at).await?;
        }
        self.start_misbehaviour().await;
        for step in steps {
            self.apply(step).await?;
        }
        let ended = if last { self.settle().await } else { Ok(()) };
        for node in &mut self.scenario.nodes {
            node.running = None;
        }
        let lasted = self.context.current().duration_since(from).unwrap_or_default();
        self.scenario.result.simulated_ms += u64::try_from(lasted.as_millis()).unwrap();
        ended
    }

    async fn boot(&mut self, at: usize) -> Result<(), Violation> {
        let (index, org) = (self.scenario.nodes[at].index, self.scenario.nodes[at].org);
        let folder = self.scenario.folder.join(index.to_string());
        let (machine, pool, account) = self.scenario.open_node(&folder, org);
        let committee_changes = CommitteeChanges::open(&folder, &self.scenario.document).unwrap();
        let replica =
            Arc::new(Replica::new(machine.clone(), pool.clone()).with_committee_changes(committee_changes));
        self.scenario.checker.check(index, &machine, true)?;
        let partition = format!("v{index}-");
        let disk = (partition.as_str(), self.scenario.nodes[at].starts);
        let config = self.scenario.config(folder);
        let seed = validator_seed(index);
        let task = self.net.start(&config, &self.scenario.document, replica.clone(), &seed, disk).await;
        let (task, _) = task.map_err(|why| format!("validator {index} does not start: {why}"))?;
        let node = &mut self.scenario.nodes[at];
        node.starts += 1;
        node.running = Some(Running { replica, machine, pool, account, task });
        Ok(())
    }

    fn crash(&mut self, at: usize) {
        if let Some(running) = self.scenario.nodes[at].running.take() {
            running.task.abort();
        }
    }

    /// Starts the Byzantine validator.
    async fn start_misbehaviour(&mut self) {
        let Some((who, misbehaviour)) = self.scenario.plan.byzantine.clone() else { return };
        let (seed, document) = (validator_seed(who), self.scenario.document.clone());
        match misbehaviour {
            Misbehaviour::Equivocation => self.net.equivocate(&document, &seed).await,
            Misbehaviour::Garbage => self.compromised = Some(self.net.compromise_key(&seed).await),
            Misbehaviour::Twins { first, second } => {
                let names = |bits: u64| {
                    let peers = (0..FOUNDERS).filter(|at| *at != who && bits >> at & 1 == 1);
                    peers.map(|at| name(&validator_seed(at))).collect()
                };
                self.twins(who, &TwinPeers { first: names(first), second: names(second) }).await;
            }
        }
    }

    /// Starts a validator twice.
    pub(super) async fn twins(&mut self, who: usize, peers: &TwinPeers) {
        let half = |which: &str| {
            let folder = self.scenario.folder.join(format!("twin-{who}-{which}"));
            let (machine, pool, account) = self.scenario.open_node(&folder, who);
            if machine.tip().height == 0 {
                // Two transactions of one nonce, each shown to other peers.
                let root = vitals::ids::sha256(&[which.as_bytes()]);
                account.submit(&Act::Anchor { size: 1, root, consistency: Vec::new() }).unwrap();
            }
            let replica: Arc<dyn consensus::StateMachine> = Arc::new(Replica::new(machine, pool));
            (replica, self.scenario.config(folder), format!("twin-{who}-{which}-"))
        };
        let both = (half("first"), half("second"));
        let seed = validator_seed(who);
        self.twins
            .extend(self.net.start_twins(&self.scenario.document, &seed, 0, both, peers).await.unwrap());
    }

    /// Two of four misbehaviour, and each of the two honest ones receives from another half of them: more than any
    /// agreement survives.
    pub(super) async fn run_with_two_byzantine(mut self) -> Result<(), Violation> {
        self.link_quality(self.scenario.plan.link_quality).await;
        self.link(|i, j| i + j == 1, None).await;
        self.scenario.nodes.truncate(2);
        self.boot(0).await?;
        self.boot(1).await?;
        for who in [2, 3] {
            let one = |honest: usize| BTreeSet::from([name(&validator_seed(honest))]);
            self.twins(who, &TwinPeers { first: one(0), second: one(1) }).await;
        }
        let ended = self.pass(HEAL_MS_MAX).await;
        self.scenario.nodes.clear();
        ended
    }

    /// Links everybody to everybody.
    async fn link_quality(&self, link_quality: LinkQuality) {
        self.link(|_, _| true, Some(link_quality)).await;
    }

    async fn link(&self, which: impl Fn(usize, usize) -> bool, link_quality: Option<LinkQuality>) {
        for i in 0..=NEWCOMER {
            for j in (0..=NEWCOMER).filter(|j| i != *j && which(i, *j)) {
                let (from, to) = (name(&validator_seed(i)), name(&validator_seed(j)));
                match link_quality {
                    Some(link_quality) => self.net.link(&from, &to, link_quality).await,
                    None => self.net.cut(&from, &to).await,
                }
            }
        }
    }

    async fn apply(&mut self, step: &Step) -> Result<(), Violation> {
        let ms = step.ms;
        match step.event {
            Event::Quiet => self.pass(ms).await,
            Event::DegradedLinks(link_quality) => {
                self.link_quality(link_quality).await;
                self.pass(ms).await?;
                self.link_quality(self.scenario.plan.link_quality).await;
                Ok(())
            }
            Event::Crash(who) => {
                let Some(at) = self.scenario.nodes.iter().position(|node| node.index == who) else {
                    return self.pass(ms).await;
                };
                self.crash(at);
                self.pass(ms).await?;
                self.boot(at).await
            }
            Event::CrashAll => {
                let all = 0..self.scenario.nodes.len();
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
                self.link_quality(self.scenario.plan.link_quality).await;
                Ok(())
            }
            // The runtime takes care of the rest.
            Event::PowerCut => self.pass(ms).await,
            Event::Retire(who) => {
                self.vote_out(who);
                self.pass(ms).await
            }
            Event::Expel => {
                if let Some((who, _)) = self.scenario.plan.byzantine {
                    self.vote_out(who);
                }
                self.pass(ms).await
            }
            Event::LoseDisk(who) => self.lose_disk(who, ms).await,
        }
    }

    fn vote_out(&mut self, who: usize) {
        self.scenario.motions.push(Motion::RemoveValidator { key: validator(who) });
        self.scenario.committee.remove(&who);
    }

    async fn lose_disk(&mut self, who: usize, ms: u64) -> Result<(), Violation> {
        let at =
            self.scenario.nodes.iter().position(|node| node.index == who).ok_or("nobody to lose_disk")?;
        self.crash(at);
        self.pass(TICK_MS).await?;
        std::fs::remove_dir_all(self.scenario.folder.join(who.to_string())).unwrap();
        self.scenario.checker.forget(who);
        let node = &mut self.scenario.nodes[at];
        (node.index, node.lost_disk, node.waiting) = (NEWCOMER, true, None);
        self.vote_out(who);
        let org = OrgId::of(&record_key(self.scenario.nodes[at].org));
        let motion = Motion::AddValidator { key: validator(NEWCOMER), org, endpoint: endpoint(NEWCOMER) };
        self.scenario.motions.push(motion);
        self.scenario.committee.insert(NEWCOMER);
        self.pass(ms).await?;
        self.boot(at).await
    }

    /// Time passes; organisations act, and the invariants are checked.
    async fn pass(&mut self, ms: u64) -> Result<(), Violation> {
        let mut left = ms;
        while left > 0 {
            let step = left.min(TICK_MS);
            self.context.sleep(Duration::from_millis(step)).await;
            left -= step;
            self.check().await?;
            for at in 0..self.scenario.nodes.len() {
                self.act(at)?;
            }
            self.send_garbage();
        }
        Ok(())
    }

    /// Garbage of every kind, some of it for the running epochs.
    fn send_garbage(&mut self) {
        let Some(compromised) = &mut self.compromised else { return };
        let rng = &mut self.scenario.garbage;
        let epoch = self.scenario.checker.height() / self.scenario.plan.epoch_blocks;
        for kind in 0..CHANNELS.len() {
            let mut message: Vec<u8> =
                (0..rng.roll(0, 200)).map(|_| u8::try_from(rng.roll(0, 256)).unwrap()).collect();
            if rng.roll(0, 2) == 0 {
                message.insert(0, u8::try_from(epoch & 0x7f).unwrap());
            }
            compromised.send(kind, &message);
        }
    }

    /// One organisation's next transaction, if its last one is settled.
    fn act(&mut self, at: usize) -> Result<(), Violation> {
        let Scenario { nodes, motions, .. } = &mut *self.scenario;
        let proposer = nodes.iter().position(|node| node.running.is_some() && !node.lost_disk);
        let node = &mut nodes[at];
        let Some(running) = node.running.as_ref().filter(|_| !node.lost_disk) else { return Ok(()) };
        if let Some((id, refusable)) = node.waiting {
            match running.pool.outcome(&id).unwrap() {
                Outcome::Pending => return Ok(()),
                Outcome::Done { .. } => {}
                Outcome::Refused { .. } if refusable => {}
                other => {
                    return Err(format!("the transaction of organisation {} is lost: {other:?}", node.org));
                }
            }
            node.waiting = None;
        }
        let me = OrgId::of(&record_key(node.org));
        let view = running.machine.view();
        let stays = |v: &vitals::governance::Validator| v.org == me && v.until_epoch.is_none();
        let votes = view.validators().unwrap().iter().any(stays);
        let proposals = view.proposals(8).unwrap();
        let decided = |motion: &Motion| proposals.iter().any(|p| p.motion == *motion && p.accepted.is_some());
        let motion = motions.iter().find(|motion| !decided(motion)).filter(|_| votes);
        let open = motion.map(|motion| proposals.iter().find(|proposal| proposal.motion == *motion));
        let (act, refusable) = match (open, motion) {
            (Some(None), Some(motion)) if proposer == Some(at) => (Act::Propose(motion.clone()), true),
            (Some(Some(open)), _) if !open.votes.contains(&me) => (Act::Vote { proposal: open.id }, true),
            _ => {
                let before = view.anchor(me).map_or(0, |anchor| anchor.size);
                while node.log.size() <= before {
                    node.log.push(log::leaf(&node.log.size().to_be_bytes()));
                }
                let size = node.log.size();
                let consistency =
                    if before == 0 { Vec::new() } else { node.log.consistency(before, size).unwrap() };
                (Act::Anchor { size, root: node.log.root(), consistency }, false)
            }
        };
        let id = running.account.submit(&act).map_err(|why| format!("organisation {}: {why}", node.org))?;
        node.waiting = Some((id, refusable));
        Ok(())
    }

    /// Checks the invariants of every running node.
    async fn check(&mut self) -> Result<(), Violation> {
        let Scenario { nodes, checker, result, plan, .. } = &mut *self.scenario;
        let byzantine = plan.byzantine.as_ref().map(|(who, _)| *who);
        let convicted = byzantine.map(validator);
        let mut evidence = 0;
        for node in nodes.iter_mut() {
            let Some(running) = &mut node.running else { continue };
            if let Some(fault) = futures::FutureExt::now_or_never(&mut running.task) {
                return Err(format!("validator {} gave up: {fault:?}", node.index));
            }
            checker.check(node.index, &running.machine, false)?;
            checker.check_proof(node.index, &running.replica)?;
            evidence += checker.check_evidence(node.index, &running.replica, convicted)?;
        }
        (result.blocks, result.transactions) = (checker.height(), checker.transactions);
        (result.certificates, result.evidence) = (checker.certificates, result.evidence.max(evidence));
        let byzantine = byzantine.map(|who| name(&validator_seed(who)));
        let blocked = self.net.blocked().await;
        match blocked
            .iter()
            .find(|(from, to)| byzantine.as_ref() != Some(from) && byzantine.as_ref() != Some(to))
        {
            Some(pair) => Err(format!("an honest validator refuses to talk to another: {pair:?}")),
            None => Ok(()),
        }
    }

    /// Nothing more goes wrong: within a bound everybody agrees on everything, and the committee is as
    /// voted.
    async fn settle(&mut self) -> Result<(), Violation> {
        let goal = self.scenario.checker.height() + 4;
        let mut took = 0;
        let settled = |scenario: &Scenario| {
            scenario.nodes.iter().all(|node| {
                let Some(running) = &node.running else { return false };
                running.machine.tip().height >= goal
            })
        };
        let mut sent: Option<Vec<Option<Hash>>> = None;
        loop {
            self.pass(TICK_MS).await?;
            took += TICK_MS;
            // Whatever waited when it healed must be final everywhere.
            let waiting: Vec<Option<Hash>> =
                self.scenario.nodes.iter().map(|node| node.waiting.map(|(id, _)| id)).collect();
            let first = sent.get_or_insert_with(|| waiting.clone());
            let still = first.iter().zip(&waiting).any(|(then, now)| then.is_some() && then == now);
            if settled(self.scenario) && !still {
                break;
            }
            if took > HEAL_MS_MAX {
                let heights = self.heights();
                return Err(format!(
                    "not healed after {took} ms: goal {goal}, heights {heights:?}, waiting {still}"
                ));
            }
        }
        self.scenario.result.healed_ms = took;
        let wanted: BTreeSet<[u8; 32]> =
            self.scenario.committee.iter().map(|index| validator(*index)).collect();
        while !self.scenario.checker.newest_committee().iter().eq(wanted.iter()) {
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
        let goal = self.scenario.checker.height() + self.scenario.plan.epoch_blocks;
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
        let height = |node: &Node| node.running.as_ref().map(|running| running.machine.tip().height);
        self.scenario.nodes.iter().map(height).collect()
    }

    /// Every node drops a peer that sends garbage.
    async fn check_dropped(&mut self) -> Result<(), Violation> {
        let Some((who, Misbehaviour::Garbage)) = self.scenario.plan.byzantine else { return Ok(()) };
        let (byzantine, blocked) = (name(&validator_seed(who)), self.net.blocked().await);
        for node in &self.scenario.nodes {
            if !blocked.contains(&(name(&validator_seed(node.index)), byzantine.clone())) {
                return Err(format!("validator {} goes on listening to garbage", node.index));
            }
        }
        Ok(())
    }
}
