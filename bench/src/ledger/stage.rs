//! Validators of one ledger, all in this process, on folders of their own, with real links over
//! loopback between them.

use super::work::{self, Work};
use crate::clock;
use anyhow::{Context, Result, ensure};
use ledger::pool::PoolError;
use ledger::{Config, EmbeddedChain, Keys, Peer};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;
use vitals::ledger::{Act, Ledger, Outcome};
use vitals::proof::genesis::GenesisDocument;

/// A wait that lasts longer ends the run.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often it is looked whether a load is final.
const LOOK: Duration = Duration::from_millis(2);
/// Transactions that wait at most while a load is submitted: whoever submits waits too.
const WINDOW: usize = 8 * 1024;
/// Submitted between two looks at the window.
const STRIDE: usize = 32;

pub(crate) struct Stage {
    folder: PathBuf,
    pub(crate) document: GenesisDocument,
    peers: Vec<Peer>,
    chains: Vec<Option<EmbeddedChain>>,
    runtime: Runtime,
}

/// What became of a load.
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) blocks: u64,
    /// CPU of the whole process, seconds.
    pub(crate) cpu_s: f64,
}

impl Stage {
    /// Founds a ledger and starts all its validators.
    pub(crate) fn open(folder: &Path, validators: usize, epoch_blocks: u64) -> Result<(Self, Work)> {
        // All at once, so that no port is given out twice.
        let sockets: Vec<TcpListener> = (0..validators)
            .map(|_| TcpListener::bind("127.0.0.1:0").context("a free port"))
            .collect::<Result<_>>()?;
        let document = ledger::genesis::document(work::founding(validators, epoch_blocks)?);
        let mut peers = Vec::new();
        for (at, socket) in sockets.iter().enumerate() {
            let key = ledger::validator_key(&work::validator(at)).context("a validator's key")?;
            peers.push(Peer { key, address: socket.local_addr()?.to_string() });
        }
        drop(sockets);
        let work = Work::on(&document)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let chains = (0..validators).map(|_| None).collect();
        let mut stage = Self { folder: folder.to_owned(), document, peers, chains, runtime };
        for at in 0..validators {
            stage.start(at)?;
        }
        Ok((stage, work))
    }

    pub(crate) fn start(&mut self, at: usize) -> Result<()> {
        let folder = self.folder_of(at);
        let config = if self.peers.len() == 1 {
            // Nobody to talk to, and the pace of the others.
            let mut config = Config::among_others(folder, self.peers[0].address.parse()?, Vec::new());
            config.agreement.listen = None;
            config
        } else {
            Config::among_others(folder, self.peers[at].address.parse()?, self.peers.clone())
        };
        let keys = Keys { validator: work::validator(at), sender: work::sender(at) };
        self.chains[at] = Some(EmbeddedChain::start(&config, &self.document, &keys)?);
        Ok(())
    }

    pub(crate) fn stop(&mut self, at: usize) {
        self.chains[at] = None;
    }

    pub(crate) fn folder_of(&self, at: usize) -> PathBuf {
        self.folder.join(at.to_string())
    }

    pub(crate) fn validators(&self) -> usize {
        self.chains.len()
    }

    pub(crate) fn chain(&self, at: usize) -> &EmbeddedChain {
        self.chains[at].as_ref().expect("asked for while it runs")
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = &EmbeddedChain> {
        self.chains.iter().flatten()
    }

    pub(crate) fn height(&self) -> u64 {
        self.chain(0).tip().height
    }

    /// Waits until `done` holds.
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = clock::instant();
        while !done(self) {
            ensure!(start.elapsed() < PATIENCE, "{what} takes too long");
            clock::pause(LOOK);
        }
        Ok(())
    }

    /// One act by a node itself: milliseconds until it is final there, and at the last of all.
    pub(crate) fn act(&self, at: usize, act: Act) -> Result<(f64, f64)> {
        let chain = self.chain(at);
        let mut tip = chain.watch_tip();
        let start = clock::instant();
        let id = chain.submit(act)?;
        let height = self.runtime.block_on(async {
            loop {
                match chain.outcome(id) {
                    Outcome::Done { height } => return Ok(height),
                    Outcome::Pending => tip.changed().await?,
                    other => anyhow::bail!("an act was not done: {other:?}"),
                }
            }
        })?;
        let here_ms = start.elapsed().as_secs_f64() * 1e3;
        for chain in self.living() {
            let mut tip = chain.watch_tip();
            self.runtime.block_on(tip.wait_for(|tip| tip.height >= height))?;
        }
        Ok((here_ms, start.elapsed().as_secs_f64() * 1e3))
    }

    /// A load, submitted through all living nodes at once: each sender's transactions in order through
    /// one node. Returns when all of it is committed at all of them.
    pub(crate) fn run(&self, load: &[Vec<u8>]) -> Result<Run> {
        let nodes: Vec<&EmbeddedChain> = self.living().collect();
        let before: Vec<u64> = nodes.iter().map(|chain| chain.stats().transactions).collect();
        let (height, count) = (self.height(), nodes.len());
        let cpu_s = clock::process_cpu_s(std::process::id())?;
        let start = clock::instant();
        std::thread::scope(|scope| {
            let submitting: Vec<_> = (nodes.iter().enumerate())
                .map(|(at, chain)| {
                    let turns = load.iter().enumerate();
                    let own = turns.filter(move |(turn, _)| turn % work::SENDERS % count == at);
                    let own: Vec<&[u8]> = own.map(|(_, raw)| raw.as_slice()).collect();
                    scope.spawn(move || submit(chain, &own))
                })
                .collect();
            for one in submitting {
                one.join().map_err(|_| anyhow::anyhow!("a submitter panicked"))??;
            }
            anyhow::Ok(())
        })?;
        let wanted = load.len() as u64;
        self.until("a load", |_| {
            nodes.iter().zip(&before).all(|(chain, before)| chain.stats().transactions - before >= wanted)
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_s = clock::process_cpu_s(std::process::id())? - cpu_s;
        Ok(Run { seconds, blocks: self.height() - height, cpu_s })
    }

    /// Every transaction of a load did what it should, on every node.
    pub(crate) fn succeeded(&self, load: &[Vec<u8>]) -> Result<()> {
        for chain in self.living() {
            for raw in load {
                let hash = vitals::proof::state::keccak256(&[raw]);
                let receipt = chain.machine().receipt(&hash)?.context("a transaction is not committed")?.1;
                ensure!(receipt.succeeded, "refused: {}", ledger::contracts::reason(&receipt.revert));
            }
        }
        Ok(())
    }

    /// Bytes on disk of all nodes: the state, and the journals of consensus.
    pub(crate) fn disk(&self) -> Result<(u64, u64)> {
        let (mut state, mut journals) = (0, 0);
        for at in 0..self.validators() {
            let folder = self.folder_of(at);
            let consensus = used(&folder.join("consensus"))?;
            journals += consensus;
            state += used(&folder)? - consensus;
        }
        Ok((state, journals))
    }
}

fn submit(chain: &EmbeddedChain, own: &[&[u8]]) -> Result<()> {
    let pool = chain.pool();
    for some in own.chunks(STRIDE) {
        while pool.waiting() >= WINDOW {
            clock::pause(LOOK);
        }
        for raw in some {
            loop {
                match pool.submit(*raw) {
                    Ok(_) => break,
                    Err(PoolError::Full | PoolError::SenderFull { .. } | PoolError::NonceTooFar { .. }) => {
                        clock::pause(LOOK);
                    }
                    Err(why) => return Err(why.into()),
                }
            }
        }
    }
    Ok(())
}

/// Bytes the files below a folder occupy.
fn used(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { used(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}
