//! The real processes of a ward, started again whenever they are killed, and the hands that kill them.

use crate::support::program;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a role may take to say READY, on a machine that does other things too.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "real processes are killed by the machine's clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// One role's process as it stands.
#[derive(Default)]
struct State {
    child: Option<Child>,
    /// Counts the starts.
    generation: u64,
    started: Option<Instant>,
    ready: Option<Value>,
    done: Option<Value>,
    /// Told to stop: its end is no fault.
    stopping: bool,
    ended: bool,
    fault: Option<String>,
    kills: u64,
    kills_before_ready: u64,
    start_up_ms: Vec<f64>,
    starts: u64,
}

/// One role: its program's arguments, and the process that runs now.
pub(crate) struct Role {
    name: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

/// What a campaign did to one role.
#[derive(Debug, Clone)]
pub(super) struct Suffered {
    pub(super) kills: u64,
    pub(super) kills_before_ready: u64,
    pub(super) starts: u64,
    pub(super) start_up_ms: Vec<f64>,
}

impl Role {
    /// Starts the role and keeps it up until [`Role::stop`].
    pub(crate) fn keep_up(name: &'static str, arguments: &[&str], log: PathBuf) -> Arc<Self> {
        let role = Arc::new(Self {
            name,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            log,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let keeper = role.clone();
        std::thread::spawn(move || keeper.run());
        role
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn run(&self) {
        loop {
            let log: File = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
            let started = now();
            let mut child = Command::new(program(&self.arguments))
                .args(&self.arguments)
                .env("ACESO_CHILD", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(log)
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            {
                let mut state = self.state();
                state.child = Some(child);
                state.generation += 1;
                state.starts += 1;
                state.started = Some(started);
                state.ready = None;
            }
            self.changed.notify_all();
            for line in lines.map_while(Result::ok) {
                let mut state = self.state();
                if let Some(json) = line.strip_prefix("READY ") {
                    state.ready = serde_json::from_str(json).ok();
                    state.start_up_ms.push(started.elapsed().as_secs_f64() * 1e3);
                } else if let Some(json) = line.strip_prefix("DONE ") {
                    state.done = serde_json::from_str(json).ok();
                }
                drop(state);
                self.changed.notify_all();
            }
            // Its output has ended: so has it, or it is about to.
            let mut state = self.state();
            let status = state.child.as_mut().unwrap().wait().unwrap();
            let killed = status.signal() == Some(9);
            if state.stopping || !killed {
                if !(state.stopping && status.success()) {
                    state.fault = Some(format!("the {} ended on its own with {status}", self.name));
                }
                state.ended = true;
                drop(state);
                self.changed.notify_all();
                return;
            }
        }
    }

    fn until(&self, within: Duration, what: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.state();
        self.changed.wait_while_for(&mut state, |state| !what(state) && !state.ended, within);
        state
    }

    /// What the role said when it became ready, the latest time.
    pub(crate) fn ready(&self) -> Result<Value, String> {
        let state = self.until(READY_WITHIN, |state| state.ready.is_some());
        match (&state.ready, &state.fault) {
            (_, Some(fault)) => Err(fault.clone()),
            (Some(ready), None) => Ok(ready.clone()),
            (None, None) => Err(format!("the {} was not ready within {READY_WITHIN:?}", self.name)),
        }
    }

    /// Kills whatever runs now, and says which start that was.
    fn kill(&self) -> u64 {
        let mut state = self.state();
        let (ready, generation) = (state.ready.is_some(), state.generation);
        if state.ended || state.stopping {
            return generation;
        }
        let Some(child) = state.child.as_mut() else { return generation };
        // A child that was killed and not yet replaced cannot be killed again.
        if child.try_wait().is_ok_and(|status| status.is_none()) && child.kill().is_ok() {
            state.kills += 1;
            state.kills_before_ready += u64::from(!ready);
        }
        generation
    }

    /// Kills it and starts it no more.
    pub(crate) fn kill_for_good(&self) {
        {
            let mut state = self.state();
            state.stopping = true;
            state.child.as_mut().unwrap().kill().unwrap();
        }
        drop(self.until(READY_WITHIN, |_| false));
    }

    fn kills(&self) -> u64 {
        self.state().kills
    }

    /// Waits `delay` from the moment the process after `generation` was started, ready or not.
    fn starting(&self, generation: u64, delay: Duration) {
        let started = self.until(READY_WITHIN, |state| state.generation > generation).started;
        let left = started.map_or(Duration::ZERO, |started| delay.saturating_sub(started.elapsed()));
        drop(self.until(left, |_| false));
    }

    /// Waits `delay` from now, or until the role ends for good.
    fn pause(&self, delay: Duration) {
        drop(self.until(delay, |_| false));
    }

    /// Asks the role to stop in order and gives its last word.
    pub(crate) fn stop(&self, within: Duration) -> Result<Value, String> {
        {
            let mut state = self.state();
            state.stopping = true;
            let id = state.child.as_ref().map(Child::id);
            if let Some(pid) = id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            }
        }
        let state = self.until(within, |_| false);
        match (&state.fault, &state.done) {
            (Some(fault), _) => Err(fault.clone()),
            (None, Some(done)) if state.ended => Ok(done.clone()),
            _ => Err(format!("the {} did not stop within {within:?}", self.name)),
        }
    }

    pub(super) fn suffered(&self) -> Suffered {
        let state = self.state();
        Suffered {
            kills: state.kills,
            kills_before_ready: state.kills_before_ready,
            starts: state.starts,
            start_up_ms: state.start_up_ms.clone(),
        }
    }

    fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }
}

/// The three roles of a ward.
pub(super) struct Roles {
    pub(super) boards: Arc<Role>,
    pub(super) node: Arc<Role>,
    pub(super) gateway: Arc<Role>,
}

/// When and how to kill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Kills of each role.
    pub(super) kills: u64,
    /// Longest life of a process after READY.
    pub(super) life_max: Duration,
}

impl Plan {
    /// Of ten kills of the node two take the gateway along, and one takes everything.
    fn takes_gateway(kill: u64) -> bool {
        matches!(kill % 10, 3 | 6 | 8)
    }

    fn takes_all(kill: u64) -> bool {
        kill % 10 == 8
    }

    /// Kills of the gateway that are still to come together with the node's.
    fn together_after(&self, kills: u64) -> u64 {
        (kills + 1..=self.kills).filter(|kill| Self::takes_gateway(*kill)).count() as u64
    }
}

/// A start-up is hit within this time of the spawn: somewhat more than it takes.
const NODE_START: Duration = Duration::from_millis(400);
const GATEWAY_START: Duration = Duration::from_millis(12);

/// What happened together, besides the kills of one role alone.
#[derive(Debug, Default)]
pub(super) struct Together {
    pub(super) both: AtomicU64,
    pub(super) all: AtomicU64,
}

impl Roles {
    /// Kills node and gateway, `plan.kills` times each, and tells `progress` now and then.
    pub(super) fn kill_by(&self, plan: Plan, progress: &(dyn Fn(u64, u64) + Sync)) -> Together {
        let together = Together::default();
        std::thread::scope(|scope| {
            scope.spawn(|| self.kill_gateway(plan));
            self.kill_node(plan, &together, progress);
        });
        together
    }

    fn kill_node(&self, plan: Plan, together: &Together, progress: &(dyn Fn(u64, u64) + Sync)) {
        let mut rng = StdRng::seed_from_u64(plan.seed);
        let node = &self.node;
        let mut killed = 0;
        while node.kills() < plan.kills && node.fault().is_none() {
            let start = rng.random_bool(0.25);
            let (starting, living) = (random(&mut rng, NODE_START), random(&mut rng, plan.life_max));
            if start && node.kills() > 0 {
                node.starting(killed, starting);
            } else {
                if node.ready().is_err() {
                    return;
                }
                node.pause(living);
            }
            killed = node.kill();
            if Plan::takes_gateway(node.kills()) && self.gateway.kills() < plan.kills {
                self.gateway.kill();
                if Plan::takes_all(node.kills()) {
                    self.boards.kill();
                    together.all.fetch_add(1, Ordering::Relaxed);
                } else {
                    together.both.fetch_add(1, Ordering::Relaxed);
                }
            }
            progress(node.kills(), self.gateway.kills());
        }
    }

    fn kill_gateway(&self, plan: Plan) {
        let mut rng = StdRng::seed_from_u64(plan.seed ^ 0x9e37_79b9);
        let gateway = &self.gateway;
        let mut killed = 0;
        while gateway.kills() + plan.together_after(self.node.kills()) < plan.kills
            && gateway.fault().is_none()
            && self.node.fault().is_none()
        {
            let start = rng.random_bool(0.25);
            let (starting, living) = (random(&mut rng, GATEWAY_START), random(&mut rng, plan.life_max));
            if start && gateway.kills() > 0 {
                gateway.starting(killed, starting);
            } else {
                if gateway.ready().is_err() {
                    return;
                }
                gateway.pause(living);
            }
            killed = gateway.kill();
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        [&self.boards, &self.node, &self.gateway].into_iter().filter_map(|role| role.fault()).collect()
    }
}

fn random(rng: &mut StdRng, below: Duration) -> Duration {
    below.mul_f64(rng.random_range(0.0..1.0))
}
