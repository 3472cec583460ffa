//! Sets a ward up, lets it live, and hands over to [`crate::finish`].

use crate::boards::BoardsReady;
use crate::consortium::{self, Plan};
use crate::folders::{self, HospitalFolder, Temporary, WardFolder};
use crate::heights::Heights;
use crate::hospital::{self, Hospital};
use crate::https::{self, Https};
use crate::options::Options;
use crate::output::say;
use crate::people::{self, Remembered};
use crate::role::{Program, Role};
use crate::running::Running;
use crate::story::{self, Story};
use crate::{finish, kill};
use anyhow::{Context, Result};
use host::{clock, process};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most patients of a ward on one machine.
const PATIENTS_MAX: usize = 64;
/// Most organisations of a ward on one machine.
const NODES_MAX: usize = 7;
/// Patients when nothing is said.
const PATIENTS: usize = 3;

/// Runs the ward.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
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
    for (option, file) in [("--report", &options.report), ("--bundle", &options.bundle)] {
        if let Some(file) = file {
            check_output(option, file)?;
        }
    }
    if let Some(names) = &options.names {
        anyhow::ensure!(names.is_file(), "the file of names {} does not exist", names.display());
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
    let sockets = WardFolder::sockets(&data, options.nodes)?;
    sockets.iter().try_for_each(|socket| operator::check_socket(socket))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(ward(options, patients, &data))
}

/// A file that is written at the end of the run can be: said before the run, not after it.
fn check_output(option: &str, file: &Path) -> Result<()> {
    anyhow::ensure!(!file.is_dir(), "{option} {} is a folder: name a file", file.display());
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    anyhow::ensure!(folder.is_dir(), "{option} {}: there is no folder {}", file.display(), folder.display());
    Ok(())
}

async fn ward(options: &Options, patients: usize, data: &Path) -> Result<ExitCode> {
    let started = clock::instant();
    let ward_folder = WardFolder::open(data)?;
    let (folders, remembered) = remember(&ward_folder, options, patients)?;
    let patients = remembered.iter().map(|remembered| remembered.patients).sum();
    let paired = remembered.iter().all(|remembered| remembered.paired);
    say(&format!("Data folder: {}", ward_folder.data.display()));

    let (boards, paths) = start_boards(&ward_folder, options, patients).await?;
    say(&format!("Boards:      {patients} virtual boards on pseudo-terminals"));
    if let Some(recording) = &options.recording {
        say(&format!("             board 0 replays {}", recording.display()));
    }
    if !paired && folders.len() > 1 {
        consortium::found(&ward_folder, &folders, plan(options)).await?;
    }
    let https =
        (!options.http).then(|| Https::open(&ward_folder.https(), clock::machine_ms())).transpose()?;
    let server = https.as_ref().map(Https::server_file);
    folders.iter().try_for_each(|folder| https::configure(&folder.node_config(), server.as_deref()))?;
    let mut hospitals = Vec::new();
    for ((folder, remembered), (role, ready)) in
        folders.iter().zip(remembered).zip(hospital::start_nodes(&folders).await?)
    {
        hospitals.push(Hospital {
            folder: folder.clone(),
            remembered,
            ready,
            node: Some(role),
            gateway: None,
            boards: Vec::new(),
            node_restart: None,
            gateway_restart: None,
            ended: Vec::new(),
        });
    }
    let genesis = hospitals.first().context("a ward has an organisation")?.ready.genesis.clone();
    say(&format!("Ledger:      started, genesis {genesis}"));
    if !paired {
        settle_in(options, &mut hospitals, patients).await?;
    }
    let count = hospitals.len();
    for (at, hospital) in hospitals.iter_mut().enumerate() {
        hospital.boards = paths.iter().skip(at).step_by(count).cloned().collect();
        let gateway =
            hospital::start_gateway(&hospital.folder, &hospital.boards, &hospital.ready.mqtt).await?;
        let id = gateway.id().map_or_else(String::new, |id| format!(" (process {id})"));
        let name = hospital.folder.role("gateway");
        say(&format!("Gateway:     {name} connected its boards, journal open{id}"));
        hospital.gateway = Some(gateway);
    }
    say("");
    for Hospital { folder, remembered, ready, .. } in &hospitals {
        say(&format!("Open {}{}", address(&ready.web, https.is_some()), folder.at()));
        for login in &remembered.logins {
            say(&format!("  {:<14} login {:<12} password {}", login.role, login.login, login.password));
        }
        if let Some(rpc) = &ready.rpc {
            say(&format!("  JSON-RPC       http://{rpc} with the token in {}", folder.rpc_token().display()));
        }
    }
    say("");
    if let (Some(https), Some(hospital)) = (&https, hospitals.first()) {
        say(&https.advice(&address(&hospital.ready.web, true)));
        say("");
    }
    say(&match options.duration {
        Some(duration) => format!("Running for {} s …", duration.as_secs_f64()),
        None => "Ctrl-C stops the ward; run again to go on from its data folder.".to_owned(),
    });
    // Nobody needs the stop-watch for a node that is never killed.
    let watched = hospitals.iter().filter(|_| count > 1 || options.kill.is_some());
    let nodes = watched.map(|hospital| hospital.folder.client()).collect();
    let mut running = Running {
        ward_folder,
        boards,
        hospitals,
        heights: Heights::watch(nodes),
        https,
        kills: Vec::new(),
        story: Vec::new(),
        stop: tokio::spawn(process::stop_requested()),
    };
    live(options, &mut running).await?;
    finish::finish(options, running, genesis, patients, started).await
}

/// The address of the pages that listen on `web`, as people open it. A passkey belongs to a name: an address of numbers
/// can have none.
fn address(web: &str, https: bool) -> String {
    match web.rsplit_once(':') {
        Some((_, port)) if https => format!("https://{}:{port}/", https::NAME),
        _ => format!("http://{web}/"),
    }
}

fn plan(options: &Options) -> Plan {
    let (epoch_blocks, authorities) = match options.story {
        Some(Story::Authorities) => (Some(story::EPOCH_BLOCKS), 1),
        None => (None, options.nodes),
    };
    Plan { epoch_blocks: options.epoch_blocks.or(epoch_blocks), authorities }
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
fn remember(
    ward_folder: &WardFolder,
    options: &Options,
    patients: usize,
) -> Result<(Vec<HospitalFolder>, Vec<Remembered>)> {
    let held = ward_folder.hospitals_founded();
    let count = if held == 0 { options.nodes } else { held };
    let folders = ward_folder.folders(count)?;
    let remembered: Vec<Option<Remembered>> = folders.iter().map(Remembered::read).collect::<Result<_>>()?;
    if let Some(remembered) = remembered.into_iter().collect::<Option<Vec<Remembered>>>()
        && remembered.iter().all(|remembered| remembered.paired)
    {
        let there: usize = remembered.iter().map(|remembered| remembered.patients).sum();
        if options.patients.is_some_and(|asked| asked != there) {
            say(&format!(
                "This ward has {there} patients already; --patients is used only at its first start"
            ));
        }
        if count != options.nodes {
            say(&format!("This ward has {count} nodes already; --nodes is used only at its first start"));
        }
        return Ok((folders, remembered));
    }
    // The first start did not get through: nothing was recorded yet, so begin anew.
    folders.iter().try_for_each(HospitalFolder::forget)?;
    let folders = ward_folder.folders(options.nodes)?;
    let mut remembered = Vec::new();
    for (at, folder) in folders.iter().enumerate() {
        remembered.push(Remembered::new(folder, (at..patients).step_by(folders.len()).count())?);
    }
    if let [folder] = folders.as_slice() {
        let epoch = options.epoch_blocks.map(|blocks| format!("\n[ledger]\nepoch_blocks = {blocks}\n"));
        let node = format!(
            "data_dir = {:?}\npassphrase_file = {:?}\nname = {:?}\n\n[rpc]\n{}",
            folder.node(),
            folder.passphrase(),
            folder.name(),
            epoch.unwrap_or_default()
        );
        folders::save(&folder.node_config(), node.as_bytes())?;
    }
    Ok((folders, remembered))
}

async fn start_boards(
    ward_folder: &WardFolder,
    options: &Options,
    patients: usize,
) -> Result<(Role, Vec<PathBuf>)> {
    let (folder, count, seed) =
        (ward_folder.boards().display().to_string(), patients.to_string(), options.seed.to_string());
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
    let (role, ready): (_, BoardsReady) =
        Role::start("boards", Program::Ward, &arguments, &ward_folder.log("boards")).await?;
    Ok((role, ready.boards))
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
            let (folder, remembered) = (hospital.folder.clone(), hospital.remembered.clone());
            tokio::spawn(people::people(folder, remembered, own, hospital.ready.record_key.clone()))
        })
        .collect();
    for work in works {
        work.await??;
    }
    for hospital in hospitals {
        hospital.remembered.paired = true;
        hospital.remembered.save(&hospital.folder)?;
    }
    Ok(())
}
