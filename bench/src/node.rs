//! A real `aceso node` in a process of its own, with patients and paired gateways.

use crate::bedside::Gateway;
use crate::clock;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How many gateways are paired at the same time.
const PAIRING_AT_ONCE: usize = 8;
const PASSWORD: &str = "bench-bench-bench-bench";

/// A running node.
pub(crate) struct Node {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    folder: PathBuf,
    pub(crate) mqtt: String,
    pub(crate) genesis: String,
    pub(crate) record_key: [u8; 32],
}

impl Node {
    /// Starts a node in `folder`, founding it if it is new.
    pub(crate) fn start(binary: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("passphrase"), format!("{PASSWORD}\n"))?;
        let config = folder.join("node.toml");
        std::fs::write(
            &config,
            format!(
                "data_dir = {:?}\npassphrase_file = {:?}\nname = \"Bench\"\n",
                folder.join("node"),
                folder.join("passphrase")
            ),
        )?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("node.log"))?;
        let mut child = Command::new(binary)
            .args(["node", "--config"])
            .arg(&config)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("the child's output is a pipe")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let ready = line.strip_prefix("READY ").context("the node did not start; see its log")?;
        let ready: Value = serde_json::from_str(ready)?;
        let field = |name: &str| -> Result<String> {
            Ok(ready[name].as_str().with_context(|| format!("the node did not say its {name}"))?.to_owned())
        };
        let mut record_key = [0; 32];
        hex::decode_to_slice(field("record_key")?, &mut record_key)?;
        let (mqtt, genesis) = (field("mqtt")?, field("genesis")?);
        Ok(Self { child, _stdout: stdout, folder: folder.to_owned(), mqtt, genesis, record_key })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the node one thing through its operator API.
    pub(crate) fn ask(&self, request: &Value) -> Result<Value> {
        ask(&self.folder, request)
    }

    pub(crate) fn sign_in(&self) -> Result<String> {
        let said = self.ask(&json!({"do": "sign_in", "login": "admin", "password": PASSWORD}))?;
        Ok(said["token"].as_str().context("a token")?.to_owned())
    }

    /// Makes the patients and pairs the gateways, each with one of them in turn.
    pub(crate) fn furnish(&self, patients: usize, gateways: &mut [Gateway]) -> Result<()> {
        let first =
            json!({"do": "first_administrator", "login": "admin", "name": "Admin", "password": PASSWORD});
        self.ask(&first)?;
        let token = self.sign_in()?;
        let folder = &self.folder;
        let numbers: Vec<usize> = (0..patients).collect();
        let made = in_parallel(&numbers, |number| {
            let request = json!({"do": "patient", "token": token, "login": format!("p{number}"),
                "name": format!("Patient {number}"), "bed": number.to_string(), "password": PASSWORD});
            let said = ask(folder, &request)?;
            Ok(said["patient"].as_str().context("a patient's id")?.to_owned())
        })?;
        let mut turn = made.iter().cycle();
        let requests: Vec<(String, Vec<String>)> = gateways
            .iter()
            .map(|gateway| {
                let assigned = turn.by_ref().take(gateway.sensors.len()).cloned().collect();
                Ok((hex::encode(gateway.request()?), assigned))
            })
            .collect::<Result<_>>()?;
        let answers = in_parallel(&requests, |(request, patients)| {
            let said = ask(
                folder,
                &json!({"do": "pair", "token": token, "request": request, "patients": patients}),
            )?;
            Ok(hex::decode(said["answer"].as_str().context("an answer")?)?)
        })?;
        for (gateway, answer) in gateways.iter_mut().zip(answers) {
            gateway.accept(&answer, |_, _, _| Ok((0, [0; 32])))?;
        }
        Ok(())
    }

    /// Stops the node and waits for its end.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let began = clock::instant();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > Duration::from_secs(20) {
                bail!("the node did not stop in time");
            }
            clock::pause(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(folder: &Path, request: &Value) -> Result<Value> {
    let mut stream = UnixStream::connect(folder.join("node/control.sock"))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let mut said: Value = serde_json::from_str(&line)?;
    match said.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(said["ok"].take()),
    }
}

/// Does something for each, a few at a time, in order.
fn in_parallel<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let share = items.len().div_ceil(PAIRING_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let act = &act;
        let workers: Vec<_> = items
            .chunks(share)
            .map(|some| scope.spawn(move || some.iter().map(act).collect::<Result<Vec<R>>>()))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        Ok(all)
    })
}
