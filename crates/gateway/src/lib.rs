//! The bedside gateway: reads boards, alarms at the bed, seals what was measured, keeps it in a
//! journal until the home organisation has proven it recorded, and forgets it then.
//!
//! An envelope goes through four states: *sent* (or waiting to be), *receipted* (the node signed that
//! it is durable and in its log), *proven* (the log's head is in a finalized ledger state, checked
//! here from the pinned genesis), *forgotten*. Only the gateway's own check moves it on.
//!
//! Two threads: the *bedside* owns the monitors and drives LCD and buzzer; the *recorder* owns sealers,
//! journal and the session with the node ([`link::Uplink`] is all it knows of the transport). Between them is
//! a bounded queue. The recorder may wait for its disk for minutes; the bedside never waits. Serial lines and the
//! connection to the node are tokio tasks around the two.

mod bedside;
mod commands;
mod config;
mod counters;
mod files;
mod input;
pub mod journal;
pub mod keys;
mod ledger_witness;
mod monitored_patient;
mod node_connection;
mod outbox;
mod quarantine;
mod recorder;
mod recorder_queue;
mod sealers;
mod serial_line;
mod tasks;
#[cfg(test)]
mod tests;
pub mod third_party_sealer;
mod verifier;

pub use config::{CONFIG_TOML, ClockTrust, Config};
pub use counters::{Counters, Latency, Summary};
pub use keys::{KeyError, Paired, accept, first_boot, first_boot_every};
pub use third_party_sealer::ThirdPartySealer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds since 1970, asked whenever a time is needed.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Fills a buffer with random bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
pub use link::Stop;

/// Why a gateway cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is wrong: correct the file.
    #[error("configuration: {0}")]
    Config(String),
    /// Another gateway runs in this folder.
    #[error("another gateway uses {0}; stop it first")]
    InUse(PathBuf),
    /// The folder cannot be used: repair the disk or its permissions.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys are missing or damaged.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The journal is damaged: nothing is sealed until a technician has looked.
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] link::tls::TlsError),
    /// A part of the gateway ended unexpectedly.
    #[error("the gateway's {0} ended unexpectedly")]
    Ended(&'static str),
}

/// A gateway with its keys read and its journal open, not running yet.
pub struct Gateway {
    config: Config,
    counters: Arc<Counters>,
    bedside: bedside::Bedside,
    recorder: recorder::Recorder,
    connection: node_connection::NodeConnection,
    _lock: durable::FolderLock,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

/// Takes the folder for this process, for as long as the lock is held.
fn lock(dir: &Path) -> Result<durable::FolderLock, GatewayError> {
    durable::FolderLock::take(dir).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => GatewayError::InUse(dir.to_owned()),
        _ => GatewayError::Io { path: dir.to_owned(), source },
    })
}

impl Gateway {
    /// Opens the data folder: takes its lock, reads keys and pairing, opens the journal and cuts a
    /// torn tail. Everything that was not proven will be sent again.
    pub fn open(config: Config, clock: Clock, entropy: Entropy) -> Result<Self, GatewayError> {
        Self::open_on(Arc::new(durable::Os), config, clock, entropy)
    }

    /// [`Self::open`] on any disk.
    pub(crate) fn open_on(
        disk: Arc<dyn durable::Disk>,
        config: Config,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, GatewayError> {
        config.check().map_err(GatewayError::Config)?;
        let lock = lock(&config.data_dir)?;
        let paired = keys::load(&config.data_dir, config.boards.len())?;
        let (certificate, key) = link::tls::self_signed(&paired.gateway_seed)?;
        let tls = Arc::new(link::tls::client_config(certificate, key, paired.record_key)?);
        let connection = node_connection::NodeConnection {
            address: config.node.clone(),
            tls,
            gateway: paired.gateway,
            entropy: entropy.clone(),
        };
        let counters = Arc::new(Counters::default());
        let queue = Arc::new(recorder_queue::RecorderQueue::new(clock(), counters.clone()));
        let recorder = recorder::Recorder::open(
            &config,
            paired,
            disk,
            clock.clone(),
            &entropy,
            counters.clone(),
            queue.clone(),
        )?;
        let bedside =
            bedside::Bedside::new(&config, recorder.ordered(), queue, clock.clone(), counters.clone());
        Ok(Self { config, counters, bedside, recorder, connection, _lock: lock })
    }

    /// The live counters.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Runs until `stop`. Then the boards are read no more, and if `drain` is given, what is sealed is
    /// brought home first, for at most that long. Gives the final figures.
    pub async fn run(self, stop: Stop, drain: Option<Duration>) -> Result<Summary, GatewayError> {
        let Self { config, counters, bedside, recorder, connection, _lock } = self;
        tasks::run(bedside, recorder, connection, &config.boards, config.baud, stop, drain).await?;
        Ok(counters.summary())
    }
}

/// [`Gateway::open`] and [`Gateway::run`] in one.
pub async fn run(
    config: Config,
    clock: Clock,
    entropy: Entropy,
    drain: Option<Duration>,
    stop: Stop,
) -> Result<Summary, GatewayError> {
    Gateway::open(config, clock, entropy)?.run(stop, drain).await
}
