//! A whole set-up in miniature: boards, gateway, node and people, each in its own process, for demos
//! and tests.

use crate::child::{self, Role};
use crate::control::{self, Request, StaffRole};
use crate::report::{Kill, Report};
use crate::{cli, clock};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Most patients of a ward on one machine.
const PATIENTS_MAX: usize = 64;
/// How long the gateway may take to bring home what it has sealed.
const DRAIN_WITHIN: Duration = Duration::from_secs(45);
/// How long a node or the boards may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// A consent of the ward lasts this long.
const CONSENT_DAYS: u64 = 30;

/// Options of `aceso ward`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Patients, each with a board.
    #[arg(long, default_value_t = 3)]
    patients: usize,
    /// Stop after this time (for example 30s); without it, run until Ctrl-C.
    #[arg(long, value_parser = cli::duration)]
    duration: Option<Duration>,
    /// A pulse recording (CSV) for the first patient's board.
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Write the report of the run to this file (JSON).
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write a bundle for `aceso verify` to this file.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Data folder; a temporary one when a duration is given and this is not.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Seed of the virtual patients.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the boards that pass in one second, to replay a long recording quickly.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    speed: u32,
    /// Timed events at the last patient's board, for example "at 8 s: tachycardia for 20 s".
    #[arg(long)]
    script: Option<String>,
    /// Kill node or gateway (SIGKILL) this many times at random moments and start it again.
    #[arg(long, default_value_t = 0, requires = "duration")]
    kills: usize,
    /// File with one patient's name a line, instead of the demo names.
    #[arg(long)]
    names: Option<PathBuf>,
}

/// A login of the ward, kept so that the next start can show it again.
#[derive(Clone, Serialize, Deserialize)]
struct Login {
    role: String,
    login: String,
    password: String,
}

/// What the ward remembers between starts.
#[derive(Serialize, Deserialize)]
struct Memory {
    patients: usize,
    logins: Vec<Login>,
    paired: bool,
}

impl Memory {
    fn login(&self, login: &str) -> Result<&Login> {
        self.logins
            .iter()
            .find(|entry| entry.login == login)
            .with_context(|| format!("this ward has no login {login}"))
    }

    async fn sign_in(&self, socket: &Path, login: &str) -> Result<String> {
        let account = self.login(login)?;
        let (login, password) = (account.login.clone(), account.password.clone());
        let said = control::ask(socket, &Request::SignIn { login, password }).await?;
        Ok(said["token"].as_str().context("the node gives a token")?.to_owned())
    }
}

/// Runs the ward.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    anyhow::ensure!(
        (1..=PATIENTS_MAX).contains(&options.patients),
        "--patients {} is outside 1 to {PATIENTS_MAX}",
        options.patients
    );
    if let Some(recording) = &options.recording {
        anyhow::ensure!(recording.is_file(), "the recording {} does not exist", recording.display());
    }
    let temporary;
    let data = match &options.data {
        Some(data) => data.clone(),
        None if options.duration.is_some() => {
            temporary = Temporary::new()?;
            temporary.0.clone()
        }
        None => PathBuf::from("ward-data"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(ward(&options, &data))
}

/// A folder that goes when the run ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self> {
        let name = format!("aceso-ward-{}", hex::encode(clock::random::<6>()));
        let folder = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[allow(clippy::print_stdout, reason = "a ward tells its user how it comes up")]
fn tell(sentence: &str) {
    println!("{sentence}");
}

/// Where everything of a ward lies.
struct Places {
    data: PathBuf,
}

impl Places {
    fn node(&self) -> PathBuf {
        self.data.join("node")
    }
    fn gateway(&self) -> PathBuf {
        self.data.join("gateway")
    }
    fn boards(&self) -> PathBuf {
        self.data.join("boards")
    }
    fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }
    fn memory(&self) -> PathBuf {
        self.data.join("ward.json")
    }
    fn node_config(&self) -> PathBuf {
        self.data.join("node.toml")
    }
    fn gateway_config(&self) -> PathBuf {
        self.data.join("gateway.toml")
    }
    fn socket(&self) -> PathBuf {
        self.node().join("control.sock")
    }
}

/// The node as it said it is.
struct NodeReady {
    web: String,
    mqtt: String,
    genesis: String,
    record_key: String,
}

impl NodeReady {
    fn read(ready: &Value) -> Result<Self> {
        let field = |name: &str| {
            Ok::<_, anyhow::Error>(
                ready[name].as_str().with_context(|| format!("the node did not say its {name}"))?.to_owned(),
            )
        };
        Ok(Self {
            web: field("web")?,
            mqtt: field("mqtt")?,
            genesis: field("genesis")?,
            record_key: field("record_key")?,
        })
    }
}

async fn ward(options: &Options, data: &Path) -> Result<ExitCode> {
    let started = clock::instant();
    std::fs::create_dir_all(data).with_context(|| format!("making the data folder {}", data.display()))?;
    let places = Places { data: data.canonicalize()? };
    for folder in [places.node(), places.gateway(), places.boards(), places.data.join("logs")] {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::set_permissions(&places.data, std::fs::Permissions::from_mode(0o700))?;
    let _lock = lock(&places.data)?;
    let mut memory = remember(&places, options)?;
    tell(&format!("Data folder: {}", places.data.display()));

    let boards = start_boards(&places, options, memory.patients).await?;
    tell(&format!("Boards:      {} virtual boards on pseudo-terminals", memory.patients));
    if let Some(recording) = &options.recording {
        tell(&format!("             board 0 replays {}", recording.display()));
    }
    let (node_role, ready) = start_node(&places).await?;
    tell(&format!("Ledger:      started, genesis {}", ready.genesis));
    if !memory.paired {
        people(&places, &memory, options, &ready).await?;
        memory.paired = true;
        save(&places.memory(), &serde_json::to_vec_pretty(&memory)?)?;
    }
    let gateway_role = start_gateway(&places, &boards.1, &ready).await?;
    tell("Gateway:     connected boards, journal open");
    tell("");
    tell(&format!("Open http://{}/", ready.web));
    for login in &memory.logins {
        tell(&format!("  {:<14} login {:<12} password {}", login.role, login.login, login.password));
    }
    tell("");
    tell(&match options.duration {
        Some(duration) => format!("Running for {} s …", duration.as_secs_f64()),
        None => "Ctrl-C stops the ward; run again to go on from its data folder.".to_owned(),
    });

    let mut running = Running { boards: boards.0, node: node_role, gateway: gateway_role };
    let kills = live(options, &places, &mut running).await?;
    let Running { boards: boards_role, node: node_role, gateway: gateway_role } = running;
    tell("Stopping: boards first, then the gateway once everything it sealed is proven, then the node");
    boards_role.stop(STOP_WITHIN).await?;
    let gateway = serde_json::from_value(gateway_role.stop(DRAIN_WITHIN).await?)
        .context("reading the gateway's figures")?;
    let node = serde_json::from_value(control::ask(&places.socket(), &Request::Report).await?)
        .context("reading the node's figures")?;
    if let Some(file) = &options.bundle {
        let file = std::path::absolute(file)?;
        let token = memory.sign_in(&places.socket(), "admin").await?;
        control::ask(&places.socket(), &Request::Bundle { token, file: file.clone() }).await?;
        tell(&format!("Bundle:      {}", file.display()));
    }
    node_role.stop(STOP_WITHIN).await?;
    let mut report = Report {
        genesis: ready.genesis,
        seconds: clock::instant().duration_since(started).as_secs_f64(),
        patients: memory.patients,
        complete: false,
        problems: Vec::new(),
        kills,
        gateway,
        node,
    };
    report.judge();
    finish(options, &report)
}

fn finish(options: &Options, report: &Report) -> Result<ExitCode> {
    let json = serde_json::to_string_pretty(report)?;
    if let Some(file) = &options.report {
        std::fs::write(file, format!("{json}\n")).with_context(|| format!("writing {}", file.display()))?;
    }
    if options.duration.is_some() {
        tell(&json);
        tell(&format!("Check a bundle with: aceso verify BUNDLE --genesis {}", report.genesis));
    }
    for problem in &report.problems {
        tell(&format!("Not complete: {problem}"));
    }
    // A ward stopped by hand may have nothing to prove yet; only a timed run is judged.
    Ok(if report.complete || options.duration.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ward's children.
struct Running {
    boards: Role,
    node: Role,
    gateway: Role,
}

/// Lets the ward live until its time is over or it is told to stop, killing on purpose when asked.
async fn live(options: &Options, places: &Places, running: &mut Running) -> Result<Vec<Kill>> {
    let began = clock::instant();
    let mut kills = Vec::new();
    for (after, of_node) in schedule(options) {
        if !wait(Some(after.saturating_sub(clock::instant().duration_since(began))), places, running).await? {
            return Ok(kills);
        }
        let after_s = clock::instant().duration_since(began).as_secs_f64();
        let killed = clock::instant();
        let role = if of_node {
            running.node.kill().await?;
            running.node = start_node(places).await?.0;
            "node"
        } else {
            running.gateway.kill().await?;
            running.gateway = restart_gateway(places).await?;
            "gateway"
        };
        let ready_again_ms =
            u64::try_from(clock::instant().duration_since(killed).as_millis()).unwrap_or(u64::MAX);
        tell(&format!("Killed the {role} after {after_s:.1} s; ready again in {ready_again_ms} ms"));
        kills.push(Kill { after_s, role, ready_again_ms });
    }
    let rest =
        options.duration.map(|duration| duration.saturating_sub(clock::instant().duration_since(began)));
    wait(rest, places, running).await?;
    Ok(kills)
}

/// When to kill whom: moments in the middle of the run, drawn from the seed; true means the node.
fn schedule(options: &Options) -> Vec<(Duration, bool)> {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    let Some(duration) = options.duration else { return Vec::new() };
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut kills: Vec<_> =
        (0..options.kills).map(|n| (duration.mul_f64(rng.random_range(0.1..0.85)), n % 2 == 0)).collect();
    kills.sort();
    kills
}

/// True when the time is over, false when told to stop; an error when a child ends on its own.
async fn wait(time: Option<Duration>, places: &Places, running: &mut Running) -> Result<bool> {
    let time = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        () = time => return Ok(true),
        () = child::told_to_stop() => return Ok(false),
        status = running.boards.ended() => ("boards", status?),
        status = running.node.ended() => ("node", status?),
        status = running.gateway.ended() => ("gateway", status?),
    };
    anyhow::bail!("the {} ended on its own with {}; see {}", ended.0, ended.1, places.log(ended.0).display())
}

fn lock(data: &Path) -> Result<std::fs::File> {
    let file = std::fs::File::create(data.join("ward.lock"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| anyhow::anyhow!("another ward is running in {}", data.display()))?;
    Ok(file)
}

/// Reads what an earlier start remembered, or draws passwords for a new ward.
fn remember(places: &Places, options: &Options) -> Result<Memory> {
    let held = match std::fs::read(places.memory()) {
        Ok(bytes) => Some(bytes),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            // A new passphrase over the old one would close the vault for good.
            anyhow::ensure!(
                !places.node().join("vault").exists(),
                "{} is gone but the ward's records are still there: put it back, or `make ward-clean` forgets this ward",
                places.memory().display()
            );
            None
        }
        Err(why) => return Err(why).with_context(|| format!("reading {}", places.memory().display())),
    };
    if let Some(bytes) = held {
        let memory: Memory = serde_json::from_slice(&bytes).with_context(|| {
            format!("reading {}; `make ward-clean` forgets this ward", places.memory().display())
        })?;
        if memory.paired && memory.patients != options.patients {
            tell(&format!(
                "This ward has {} patients already; --patients is used only at its first start",
                memory.patients
            ));
        }
        if memory.paired {
            return Ok(memory);
        }
        // The first start did not get through: nothing was recorded yet, so begin anew.
        std::fs::remove_dir_all(places.node())?;
        std::fs::remove_dir_all(places.gateway())?;
        std::fs::create_dir_all(places.node())?;
        std::fs::create_dir_all(places.gateway())?;
    }
    let login = |role: &str, login: String| Login { role: role.to_owned(), login, password: password() };
    let mut logins = vec![login("doctor", "doctor".to_owned()), login("administrator", "admin".to_owned())];
    logins.extend((1..=options.patients).map(|n| login("patient", format!("patient-{n}"))));
    let memory = Memory { patients: options.patients, logins, paired: false };
    save(&places.memory(), &serde_json::to_vec_pretty(&memory)?)?;
    save(&places.data.join("passphrase"), format!("{}\n", password()).as_bytes())?;
    let node = format!(
        "data_dir = {:?}\npassphrase_file = {:?}\nname = \"Demo Hospital\"\n",
        places.node(),
        places.data.join("passphrase")
    );
    save(&places.node_config(), node.as_bytes())?;
    Ok(memory)
}

/// Sixteen letters and digits that cannot be mistaken for one another: 80 bits.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567892";
    let letters: Vec<u8> = clock::random::<16>().iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<&str> = letters.chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("-")
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    // Under another name first: a crash leaves the old file or the new one.
    let draft = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

async fn start_boards(places: &Places, options: &Options, patients: usize) -> Result<(Role, Vec<PathBuf>)> {
    let (folder, count, seed) =
        (places.boards().display().to_string(), patients.to_string(), options.seed.to_string());
    let speed = options.speed.to_string();
    let mut arguments =
        vec!["simulate", "--dir", &folder, "--boards", &count, "--seed", &seed, "--speed", &speed];
    if let Some(script) = &options.script {
        arguments.extend(["--script", script]);
    }
    let recording = options.recording.as_ref().map(|path| path.display().to_string());
    if let Some(recording) = &recording {
        arguments.extend(["--recording", recording]);
    }
    let (role, ready) = Role::start("boards", &arguments, &places.log("boards")).await?;
    let paths = ready["boards"]
        .as_array()
        .context("the boards did not say where they are")?
        .iter()
        .filter_map(|path| path.as_str().map(PathBuf::from))
        .collect();
    Ok((role, paths))
}

async fn start_node(places: &Places) -> Result<(Role, NodeReady)> {
    let config = places.node_config().display().to_string();
    let (role, ready) = Role::start("node", &["node", "--config", &config], &places.log("node")).await?;
    Ok((role, NodeReady::read(&ready)?))
}

async fn start_gateway(places: &Places, boards: &[PathBuf], ready: &NodeReady) -> Result<Role> {
    let config = format!(
        "data_dir = {:?}\nnode = {:?}\nboards = {:?}\n",
        places.gateway(),
        ready.mqtt,
        boards.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    );
    save(&places.gateway_config(), config.as_bytes())?;
    restart_gateway(places).await
}

async fn restart_gateway(places: &Places) -> Result<Role> {
    let config = places.gateway_config().display().to_string();
    let (role, _) =
        Role::start("gateway", &["gateway", "--config", &config, "--drain"], &places.log("gateway")).await?;
    Ok(role)
}

const DEMO_NAMES: [&str; 6] =
    ["Amira Demo", "Bo Sample", "Cleo Example", "Dana Test", "Emil Demo", "Fay Sample"];

fn names(options: &Options, patients: usize) -> Result<Vec<String>> {
    let given = match &options.names {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("reading {}", file.display()))?
            .lines()
            .map(str::to_owned)
            .collect(),
        None => Vec::new(),
    };
    Ok((0..patients)
        .map(|n| match given.get(n) {
            Some(name) => name.clone(),
            None => {
                DEMO_NAMES.get(n).map_or_else(|| format!("Patient {} Demo", n + 1), |name| (*name).to_owned())
            }
        })
        .collect())
}

/// Registers people, gives the doctor the patients' consents, and pairs the gateway.
async fn people(places: &Places, memory: &Memory, options: &Options, ready: &NodeReady) -> Result<()> {
    let socket = places.socket();
    let ask = |request: Request| {
        let socket = socket.clone();
        async move { control::ask(&socket, &request).await }
    };
    let staff = memory.login("admin")?;
    let (login, password) = (staff.login.clone(), staff.password.clone());
    ask(Request::FirstAdministrator { login, name: "Ada Demo".to_owned(), password }).await?;
    let token = memory.sign_in(&socket, "admin").await?;
    let doctor = memory.login("doctor")?;
    ask(Request::Staff {
        token: token.clone(),
        login: doctor.login.clone(),
        name: "Dr Lee Demo".to_owned(),
        password: doctor.password.clone(),
        role: StaffRole::Clinician,
    })
    .await?;
    let mut patients = Vec::new();
    for (n, name) in names(options, memory.patients)?.into_iter().enumerate() {
        let account = memory.login(&format!("patient-{}", n + 1))?;
        let (login, password) = (account.login.clone(), account.password.clone());
        let bed = format!("Bed {:02}", n + 1);
        let made = ask(Request::Patient { token: token.clone(), login, name, bed, password }).await?;
        patients.push(made["patient"].as_str().context("the node names the new patient")?.to_owned());
    }
    tell(&format!("People:      1 doctor, 1 administrator, {} patients registered", patients.len()));
    let request = gateway::first_boot(&places.gateway(), patients.len(), &mut clock::entropy)?;
    let answer =
        ask(Request::Pair { token, request: hex::encode(request.encode()), patients: patients.clone() })
            .await?;
    let answer = hex::decode(answer["answer"].as_str().context("the node answers the pairing")?)?;
    let record_key: [u8; 32] =
        hex::decode(&ready.record_key)?.try_into().ok().context("a record key of 32 bytes")?;
    gateway::accept(&places.gateway(), &answer, Some(record_key))?;
    tell(&format!("Devices:     1 gateway and {} sensors paired", patients.len()));
    for n in 1..=memory.patients {
        let token = memory.sign_in(&socket, &format!("patient-{n}")).await?;
        ask(Request::Grant { token, to: "doctor".to_owned(), days: CONSENT_DAYS }).await?;
    }
    tell(
        "Consents:    each patient lets the doctor see vitals, environment and alarms (keys kept by the vault)",
    );
    Ok(())
}
