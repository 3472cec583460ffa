//! What people use instead: mosquitto, a careful subscriber in Python, PostgreSQL with `fsync` on.
//! Both servers are Debian's, started here on a free port and a socket in a temporary folder.

use crate::bedside::{self, Gateway};
use crate::generator::{self, Line, Pace};
use crate::{Scale, clock};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Rows of one commit, at most, when batched.
pub(crate) const BATCH_ROWS: usize = 500;
const CONNECTIONS: usize = 64;
const WINDOW: usize = 16;
const DATABASE_USER: &str = "bench";

/// Envelopes a second into PostgreSQL.
pub(crate) struct Peers {
    pub(crate) row_by_row: f64,
    pub(crate) batched: f64,
}

/// A child that ends with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            // PostgreSQL stops at once and in order on SIGINT; the others simply end.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.0.wait();
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let mut places = vec![PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")];
    for version in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        places.push(version.path().join("bin"));
    }
    let found = places.into_iter().map(|place| place.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not installed: run scripts/install-bench-tools.sh"))
}

fn python() -> Result<PathBuf> {
    let folder = match (std::env::var_os("ACESO_BENCH_PYTHON"), std::env::var_os("HOME")) {
        (Some(named), _) => PathBuf::from(named),
        (None, Some(home)) => PathBuf::from(home).join(".cache/aceso/bench-python"),
        (None, None) => bail!("neither ACESO_BENCH_PYTHON nor HOME is set"),
    };
    let python = folder.join("bin/python");
    anyhow::ensure!(python.is_file(), "{}: run scripts/install-bench-tools.sh", python.display());
    Ok(python)
}

/// PostgreSQL refuses root: then its own user runs it.
fn as_database_user(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

struct Postgres {
    _server: Owned,
    dsn: String,
}

impl Postgres {
    fn start(folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        std::fs::create_dir_all(folder)?;
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").arg("postgres:postgres").arg(folder).status()?;
            anyhow::ensure!(given.success(), "giving the database its folder");
        }
        let made = as_database_user(&program("initdb")?)
            .args(["--username", DATABASE_USER, "--auth=trust", "--encoding=UTF8", "--pgdata"])
            .arg(&data)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        anyhow::ensure!(made.success(), "initdb failed");
        let server = as_database_user(&program("postgres")?)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on", "-k"])
            .arg(folder)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Owned(server);
        let began = clock::instant();
        let ready = || {
            let mut ask = Command::new(program("pg_isready").ok()?);
            let asked = ask.arg("-q").arg("-h").arg(folder).status().ok()?;
            asked.success().then_some(())
        };
        while ready().is_none() {
            anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "PostgreSQL did not start");
            clock::pause(Duration::from_millis(50));
        }
        let dsn = format!("host={} user={DATABASE_USER} dbname=postgres", folder.display());
        Ok(Self { _server: server, dsn })
    }
}

fn mosquitto(folder: &Path) -> Result<(Owned, u16)> {
    std::fs::create_dir_all(folder)?;
    // Free now, and most likely still in a moment.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type none\n"
    );
    std::fs::write(&config, text)?;
    let server = Command::new(program("mosquitto")?)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let server = Owned(server);
    let began = clock::instant();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "mosquitto did not start");
        clock::pause(Duration::from_millis(20));
    }
    Ok((server, port))
}

async fn connect(port: u16) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        lines.push(Line::broker(&format!("127.0.0.1:{port}"), &format!("d/{number:032x}/e")).await?);
    }
    Ok(lines)
}

/// Time from the first publish to the last commit, as a rate.
fn rate(port: u16, dsn: &str, rows: usize, envelopes: Vec<Vec<Vec<u8>>>) -> Result<f64> {
    let count: usize = envelopes.iter().map(Vec::len).sum();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer/subscriber.py");
    let subscriber = Command::new(python()?)
        .arg(script)
        .args([port.to_string(), dsn.to_owned(), rows.to_string(), count.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut subscriber = Owned(subscriber);
    let stdout = subscriber.0.stdout.take().context("its output is a pipe")?;
    let mut words = BufReader::new(stdout).lines();
    let mut wait = |word: &str| match words.next() {
        Some(Ok(said)) if said == word => Ok(()),
        said => Err(anyhow::anyhow!("the subscriber said {said:?} instead of {word}")),
    };
    wait("READY")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut lines = runtime.block_on(connect(port))?;
    let packets =
        lines.iter_mut().zip(envelopes).map(|(line, own)| line.packets(own)).collect::<Result<Vec<_>>>()?;
    let began = clock::instant();
    let (_lines, seen) = runtime.block_on(generator::run(lines, packets, Pace::Window(WINDOW)))?;
    anyhow::ensure!(seen.acknowledged == count, "the broker took {} of {count}", seen.acknowledged);
    wait("DONE")?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    subscriber.0.wait()?;
    Ok(rate)
}

/// Measures both ways of committing, with the same envelopes as admission.
pub(crate) fn measure(folder: &Path, gateways: &mut [Gateway], scale: Scale) -> Result<Peers> {
    let postgres = Postgres::start(&folder.join("postgres"))?;
    let (_broker, port) = mosquitto(&folder.join("mosquitto"))?;
    let gateways = &mut gateways[..CONNECTIONS];
    let (few, many) = if scale.quick { (1_024, 8_192) } else { (3_072, 32_768) };
    let mut measured = |rows: usize, count: usize| -> Result<f64> {
        let mut rates = Vec::new();
        for _ in 0..scale.runs {
            let envelopes = bedside::seal_all(gateways, count / CONNECTIONS)?;
            rates.push(rate(port, &postgres.dsn, rows, envelopes)?);
        }
        Ok(clock::median(&mut rates))
    };
    Ok(Peers { row_by_row: measured(1, few)?, batched: measured(BATCH_ROWS, many)? })
}
