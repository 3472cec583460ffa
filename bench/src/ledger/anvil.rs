//! The same acts on anvil: one process, no agreement, no disk.

use super::work::{self, CHAIN_ID, Kind, Work};
use super::{Figures, note};
use crate::clock;
use anyhow::{Context, Result, ensure};
use ledger::remote::{Network, deploy};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where `scripts/install-test-tools.sh` puts it.
const PROGRAM: &str = "tests-chain/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
/// Transactions in one JSON batch.
pub(crate) const BATCH: usize = 100;
/// Gas of a block. More than half of it used raises the fee of the next one above nothing (EIP-1559), and
/// anvil then drops what waits: so there is always room, and what bounds it is its own speed.
const BLOCK_GAS: &str = "1000000000000";

/// Where it is, if it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let named = std::env::var_os("ACESO_ANVIL").map(PathBuf::from);
    named.or_else(|| Some(root.join(PROGRAM))).filter(|program| program.is_file())
}

/// A load that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(120);

const NUDGE: Duration = Duration::from_millis(100);

/// A running anvil. Dropping it ends it.
struct Anvil {
    process: Child,
    address: String,
    connection: BufReader<TcpStream>,
}

impl Anvil {
    fn start(program: &PathBuf) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["--port", "0", "--chain-id", &CHAIN_ID.to_string(), "--hardfork", "osaka"])
            .args(["--block-base-fee-per-gas", "0", "--disable-min-priority-fee", "--order", "fifo"])
            .args(["--accounts", "1", "--gas-limit", BLOCK_GAS])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("its output")?);
        let address = loop {
            let mut line = String::new();
            ensure!(lines.read_line(&mut line)? > 0, "anvil ended before it listened");
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                break address.to_owned();
            }
        };
        // It writes a line for every call: somebody has to read them.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let connection = BufReader::new(TcpStream::connect(&address)?);
        connection.get_ref().set_nodelay(true)?;
        Ok(Self { process, address, connection })
    }

    /// One HTTP request on the open connection.
    fn post(&mut self, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let socket = self.connection.get_mut();
        write!(
            socket,
            "POST / HTTP/1.1\r\nhost: anvil\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.connection.read_line(&mut line)? > 0, "anvil hung up");
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.connection.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Sends all of these in batches, and waits until the last one is in a block. Seconds.
    fn run(&mut self, load: &[Vec<u8>]) -> Result<f64> {
        let call = |id: usize, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let start = clock::instant();
        let mut last = Value::Null;
        for some in load.chunks(BATCH) {
            let calls = some.iter().enumerate().map(|(id, raw)| {
                call(id, "eth_sendRawTransaction", json!([format!("0x{}", hex::encode(raw))]))
            });
            let mut answers = self.post(&calls.collect())?;
            for answer in answers.as_array_mut().context("a batch is answered by a batch")? {
                ensure!(answer.get("error").is_none(), "anvil refused: {answer}");
                last = answer["result"].take();
            }
        }
        let mut mined = start.elapsed();
        while start.elapsed() < PATIENCE {
            let receipt = self.post(&call(0, "eth_getTransactionReceipt", json!([last])))?;
            if let Some(status) = receipt["result"].get("status") {
                ensure!(status == "0x1", "a transaction failed on anvil: {receipt}");
                return Ok(start.elapsed().as_secs_f64());
            }
            clock::pause(Duration::from_millis(2));
            // It makes a block when something comes: what did not fit into the last one is asked for, but
            // seldom, for its clock goes on a second with every block.
            if start.elapsed() - mined > NUDGE {
                self.post(&call(0, "evm_mine", json!([])))?;
                mined = start.elapsed();
            }
        }
        let waiting = self.post(&call(0, "txpool_status", json!([])))?;
        anyhow::bail!("anvil does not finish: {waiting}")
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Transactions a second, by kind.
pub(crate) fn measure(program: &PathBuf, counts: [usize; 3]) -> Result<Figures> {
    let mut anvil = Anvil::start(program)?;
    let url = format!("http://{}", anvil.address);
    let network = Network { poll: Duration::from_millis(5), ..Network::new(url, CHAIN_ID, 0) };
    let deployed = deploy(&network, &work::validator(99), work::founding(1, ledger::EPOCH_BLOCKS)?)?;
    let mut work = Work::on(&deployed.document)?;
    anvil.run(&work.opening()?)?;
    let mut figures = Figures::new();
    for (kind, count) in Kind::ALL.into_iter().zip(counts) {
        let load = work.load(kind, count)?;
        note(&mut figures, kind.name(), count as f64 / anvil.run(&load)?);
    }
    Ok(figures)
}
