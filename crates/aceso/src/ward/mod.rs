//! A whole set-up in miniature: boards, gateways, nodes and people, each in its own process, for demos
//! and tests. One organisation by default; several share one ledger.

mod agreement;
mod consortium;
mod finish;
mod heights;
mod hospital;
mod kill;
mod people;
mod places;
mod running;
mod story;

use crate::child::{self, Role};
use crate::control::Request;
use crate::{cli, clock};
use anyhow::{Context, Result};
use consortium::Plan;
use heights::Heights;
use hospital::Hospital;
use kill::Victims;
use people::Memory;
use places::{House, Places, Temporary};
use running::Running;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use story::Story;

/// Most patients of a ward on one machine.
const PATIENTS_MAX: usize = 64;
/// Most organisations of a ward on one machine.
const NODES_MAX: usize = 7;
/// Patients when nothing is said.
const PATIENTS: usize = 3;

/// Options of `aceso ward`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Organisations, each with a node and a gateway of its own; several share one ledger.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Patients, each with a board; they are spread over the organisations [default: 3, or one each].
    #[arg(long)]
    patients: Option<usize>,
    /// Stop after this time (for example 30s); without it, run until Ctrl-C.
    #[arg(long, value_parser = cli::duration)]
    duration: Option<Duration>,
    /// A pulse recording (CSV) for the first patient's board.
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Write the report of the run to this file (JSON).
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write a bundle for `aceso verify` to this file; other organisations' beside it (`.2`, `.3`).
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
    /// Kill one node, or all of them together (SIGKILL), in the middle of the run and start again.
    #[arg(long, requires = "duration")]
    kill: Option<Victims>,
    /// Let a scripted story happen while readings flow; the run lasts at least until it is told.
    #[arg(long, requires = "duration", conflicts_with = "kill")]
    story: Option<Story>,
    /// Blocks in an epoch of the ledger, at the ward's first start: authorities change only between epochs.
    #[arg(long)]
    epoch_blocks: Option<u64>,
    /// File with one patient's name a line, instead of the demo names.
    #[arg(long)]
    names: Option<PathBuf>,
}

/// Runs the ward.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    anyhow::ensure!(
        (1..=NODES_MAX).contains(&options.nodes),
        "--nodes {} is outside 1 to {NODES_MAX}",
        options.nodes
    );
    let patients = options.patients.unwrap_or(if options.nodes == 1 { PATIENTS } else { options.nodes });
    anyhow::ensure!(
        (1..=PATIENTS_MAX).contains(&patients),
        "--patients {patients} is outside 1 to {PATIENTS_MAX}"
    );
    anyhow::ensure!(
        patients >= options.nodes,
        "--patients {patients} does not give each of {} organisations one",
        options.nodes
    );
    anyhow::ensure!(
        options.story.is_none() || options.nodes == 4,
        "the story about authorities needs --nodes 4"
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
    runtime.block_on(ward(&options, patients, &data))
}

#[allow(clippy::print_stdout, reason = "a ward tells its user how it comes up")]
fn tell(sentence: &str) {
    println!("{sentence}");
}

async fn ward(options: &Options, patients: usize, data: &Path) -> Result<ExitCode> {
    let started = clock::instant();
    let places = Places::open(data)?;
    let (houses, memories) = remember(&places, options, patients)?;
    let patients = memories.iter().map(|memory| memory.patients).sum();
    let paired = memories.iter().all(|memory| memory.paired);
    tell(&format!("Data folder: {}", places.data.display()));

    let (boards, paths) = start_boards(&places, options, patients).await?;
    tell(&format!("Boards:      {patients} virtual boards on pseudo-terminals"));
    if let Some(recording) = &options.recording {
        tell(&format!("             board 0 replays {}", recording.display()));
    }
    if !paired && houses.len() > 1 {
        consortium::found(&places, &houses, plan(options)).await?;
    }
    let mut hospitals = Vec::new();
    for ((house, memory), (role, ready)) in
        houses.iter().zip(memories).zip(hospital::start_nodes(&houses).await?)
    {
        hospitals.push(Hospital { house: house.clone(), memory, ready, node: Some(role), gateway: None });
    }
    let genesis = hospitals.first().context("a ward has an organisation")?.ready.genesis.clone();
    tell(&format!("Ledger:      started, genesis {genesis}"));
    if !paired {
        settle_in(options, &mut hospitals, patients).await?;
    }
    let count = hospitals.len();
    for (at, hospital) in hospitals.iter_mut().enumerate() {
        let own: Vec<PathBuf> = paths.iter().skip(at).step_by(count).cloned().collect();
        hospital.gateway = Some(hospital::start_gateway(&hospital.house, &own, &hospital.ready.mqtt).await?);
    }
    tell(if count == 1 {
        "Gateway:     connected boards, journal open"
    } else {
        "Gateways:    connected boards, journals open"
    });
    tell("");
    for Hospital { house, memory, ready, .. } in &hospitals {
        tell(&format!("Open http://{}/{}", ready.web, house.at()));
        for login in &memory.logins {
            tell(&format!("  {:<14} login {:<12} password {}", login.role, login.login, login.password));
        }
        if let Some(rpc) = &ready.rpc {
            tell(&format!("  JSON-RPC       http://{rpc} with the token in {}", house.rpc_token().display()));
        }
    }
    tell("");
    tell(&match options.duration {
        Some(duration) => format!("Running for {} s …", duration.as_secs_f64()),
        None => "Ctrl-C stops the ward; run again to go on from its data folder.".to_owned(),
    });
    // Nobody needs the stop-watch for a node that is never killed.
    let watched = hospitals.iter().filter(|_| count > 1 || options.kill.is_some());
    let sockets = watched.map(|hospital| hospital.house.socket()).collect();
    let mut running = Running {
        places,
        boards,
        hospitals,
        heights: Heights::watch(sockets),
        kills: Vec::new(),
        story: Vec::new(),
        told: tokio::spawn(child::told_to_stop()),
    };
    live(options, &mut running).await?;
    finish::finish(options, running, genesis, patients, started).await
}

fn plan(options: &Options) -> Plan {
    let (epoch_blocks, authorities) = match options.story {
        Some(Story::Authorities) => (story::EPOCH_BLOCKS, 1),
        None => (ledger::EPOCH_BLOCKS, options.nodes),
    };
    Plan { epoch_blocks: options.epoch_blocks.unwrap_or(epoch_blocks), authorities }
}

/// Lets the ward live until its time is over or it is told to stop, killing on purpose when asked.
async fn live(options: &Options, running: &mut Running) -> Result<()> {
    let began = clock::instant();
    if let Some(Story::Authorities) = options.story {
        story::authorities(running, began).await?;
    }
    match (options.duration, options.kill) {
        (Some(duration), Some(victims)) => kill::kill(running, victims, options.seed, began, duration).await,
        (Some(duration), None) => running.rest_until(began + duration).await.map(drop),
        (None, _) => running.rest().await,
    }
}

/// Reads what an earlier start remembered, or begins anew.
fn remember(places: &Places, options: &Options, patients: usize) -> Result<(Vec<House>, Vec<Memory>)> {
    let held = places.houses_founded();
    let count = if held == 0 { options.nodes } else { held };
    let houses = places.houses(count)?;
    let memories: Vec<Option<Memory>> = houses.iter().map(Memory::read).collect::<Result<_>>()?;
    if let Some(memories) = memories.into_iter().collect::<Option<Vec<Memory>>>()
        && memories.iter().all(|memory| memory.paired)
    {
        let there: usize = memories.iter().map(|memory| memory.patients).sum();
        if options.patients.is_some_and(|asked| asked != there) {
            tell(&format!(
                "This ward has {there} patients already; --patients is used only at its first start"
            ));
        }
        if count != options.nodes {
            tell(&format!("This ward has {count} nodes already; --nodes is used only at its first start"));
        }
        return Ok((houses, memories));
    }
    // The first start did not get through: nothing was recorded yet, so begin anew.
    houses.iter().try_for_each(House::forget)?;
    let houses = places.houses(options.nodes)?;
    let mut memories = Vec::new();
    for (at, house) in houses.iter().enumerate() {
        memories.push(Memory::new(house, (at..patients).step_by(houses.len()).count())?);
    }
    if let [house] = houses.as_slice() {
        let epoch = options.epoch_blocks.map(|blocks| format!("\n[ledger]\nepoch_blocks = {blocks}\n"));
        let node = format!(
            "data_dir = {:?}\npassphrase_file = {:?}\nname = {:?}\n\n[rpc]\n{}",
            house.node(),
            house.passphrase(),
            house.name(),
            epoch.unwrap_or_default()
        );
        places::save(&house.node_config(), node.as_bytes())?;
    }
    Ok((houses, memories))
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

/// People, patients, consents and pairing of every organisation, side by side.
async fn settle_in(options: &Options, hospitals: &mut [Hospital], patients: usize) -> Result<()> {
    let everybody = people::placed(options.names.as_deref(), patients)?;
    let count = hospitals.len();
    let works: Vec<_> = hospitals
        .iter()
        .enumerate()
        .map(|(at, hospital)| {
            let own = everybody.iter().skip(at).step_by(count).cloned().collect();
            let (house, memory) = (hospital.house.clone(), hospital.memory.clone());
            tokio::spawn(people::people(house, memory, own, hospital.ready.record_key.clone()))
        })
        .collect();
    for work in works {
        work.await??;
    }
    for hospital in hospitals {
        hospital.memory.paired = true;
        hospital.memory.save(&hospital.house)?;
    }
    Ok(())
}

/// A bundle of each organisation.
async fn bundles(file: &Path, hospitals: &[Hospital]) -> Result<()> {
    let file = std::path::absolute(file)?;
    for hospital in hospitals {
        let mut name = file.clone().into_os_string();
        if hospital.house.number > 1 {
            name.push(format!(".{}", hospital.house.number));
        }
        let file = PathBuf::from(name);
        let token = hospital.memory.sign_in(&hospital.house.socket(), "admin").await?;
        hospital.ask(&Request::Bundle { token, file: file.clone() }).await?;
        tell(&format!("Bundle:      {}", file.display()));
    }
    Ok(())
}
