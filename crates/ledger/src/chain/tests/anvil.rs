//! An Ethereum network of one machine, for as long as a test runs.

use crate::remote::Network;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where `scripts/install-test-tools.sh` puts it.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests-chain/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
);
/// Its chain id, the same as that of our own chain in the tests.
pub(crate) const CHAIN_ID: u64 = 84_001;

/// A running anvil. Dropping it ends it.
pub(crate) struct Anvil {
    process: Child,
    pub(crate) url: String,
    client: reqwest::Client,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Anvil {
    /// A network that makes a block of every transaction at once.
    pub(crate) fn start() -> Self {
        Self::with(CHAIN_ID, &[])
    }

    /// A network of this chain id, with these further options.
    pub(crate) fn with(chain_id: u64, options: &[&str]) -> Self {
        let chain_id = chain_id.to_string();
        let mut process = Command::new(PROGRAM)
            .args(["--port", "0", "--chain-id", &chain_id, "--hardfork", "osaka", "--accounts", "1"])
            .args(["--block-base-fee-per-gas", "0", "--disable-min-priority-fee", "--order", "fifo"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|why| panic!("anvil does not start ({why}): run scripts/install-test-tools.sh"));
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "anvil ended before it listened");
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // It writes a line for every call: somebody has to read them.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, url, client, runtime }
    }

    /// This network in a configuration that waits for nothing.
    pub(crate) fn network(&self) -> Network {
        Network { poll: Duration::from_millis(5), ..Network::new(&self.url, CHAIN_ID, 0) }
    }

    /// Calls any method.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let answer = self.runtime.block_on(async { request.send().await.unwrap().bytes().await.unwrap() });
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
