//! `aceso-ward simulate`: virtual boards on pseudo-terminals, and a way to tell them what happens.

use crate::duration;
use anyhow::{Context, Result};
use host::{clock, output, process};
use serde::{Deserialize, Serialize};
use serde_json::json;
use simulator::recording::Hints;
use simulator::{BoardConfig, Recording, RunningBoard, Scenario, Script, VirtualBoard};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Most boards of one process.
const BOARDS_MAX: usize = 64;
const DAY_MS: u64 = 86_400_000;

/// What running boards say once they are there.
#[derive(Serialize, Deserialize)]
pub(crate) struct BoardsReady {
    /// Their terminals, in the order of their numbers.
    pub(crate) boards: Vec<PathBuf>,
}

/// What boards say when they have stopped.
#[derive(Serialize, Deserialize)]
pub(crate) struct BoardsDone {
    /// Frames sent in all.
    frames: u64,
    /// The worst alarm that each buzzer sounded.
    buzzer_worst: Vec<Option<String>>,
}

/// Options of `aceso-ward simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for the boards' links (board-0, board-1, …) and the control socket.
    #[arg(long, required_unless_present = "tell")]
    dir: Option<PathBuf>,
    /// How many boards.
    #[arg(long, default_value_t = 1)]
    boards: usize,
    /// Seed of patients and rooms.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Board 0 replays this pulse recording (CSV) at its own rate.
    #[arg(long)]
    recording: Option<PathBuf>,
    /// Seconds of the boards that pass in one second of the clock.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    speed: u32,
    /// Timed events at the last board, for example "at 8 s: tachycardia for 20 s; at 1 min: fever".
    #[arg(long)]
    script: Option<Script>,
    /// Tell boards that run what happens: the control socket, then the order, for example
    /// "2 tachycardia 30s", "2 button" (somebody presses it) or "2 look" (what LCD and buzzer do).
    #[arg(long, num_args = 2, value_names = ["SOCKET", "ORDER"])]
    tell: Option<Vec<String>>,
}

/// Runs boards until told to stop, or tells running ones something.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    anyhow::ensure!(
        (1..=BOARDS_MAX).contains(&options.boards),
        "--boards {} is outside 1 to {BOARDS_MAX}",
        options.boards
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (&options.tell, &options.dir) {
        (Some(tell), _) => runtime.block_on(send_order(Path::new(&tell[0]), &tell[1])),
        (None, Some(dir)) => runtime.block_on(boards(options, dir)),
        (None, None) => anyhow::bail!("--dir is missing"),
    }
}

async fn boards(options: &Options, dir: &Path) -> Result<ExitCode> {
    let socket = dir.join("control.sock");
    operator::check_socket(&socket)?;
    if options.boards == 1 && options.recording.is_some() {
        options.script.iter().flat_map(Script::scenarios).try_for_each(changes_something)?;
    }
    std::fs::create_dir_all(dir)?;
    let recording = match &options.recording {
        Some(file) => {
            let recording = Recording::from_csv(file, &Hints::default())
                .with_context(|| format!("reading the recording {}", file.display()))?;
            Some(Arc::new(recording))
        }
        None => None,
    };
    let mut running = Vec::new();
    let mut links = Vec::new();
    for number in 0..options.boards {
        let board = VirtualBoard::with(BoardConfig {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            seed: options.seed.wrapping_mul(1_000).wrapping_add(number as u64),
            script: options.script.clone().filter(|_| number + 1 == options.boards).unwrap_or_default(),
            time_of_day_ms: clock::now_ms() % DAY_MS,
            recording: recording.clone().filter(|_| number == 0),
            ..BoardConfig::default()
        });
        let board = RunningBoard::start(board, options.speed, Arc::new(clock::now_ms))
            .context("opening a pseudo-terminal")?;
        // The terminal's own name changes from start to start; the link's does not.
        let link = dir.join(format!("board-{number}"));
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(board.path(), &link)
            .with_context(|| format!("linking {}", link.display()))?;
        links.push(link);
        running.push(board);
    }
    let running = Arc::new(running);
    serve_orders(&socket, running.clone(), options.recording.is_some())?;
    let stop = process::stop_requested();
    process::announce("READY", &BoardsReady { boards: links })?;
    stop.await;
    let frames: u64 = running.iter().map(|board| board.state().frames_out).sum();
    let worst = running.iter().map(|board| board.state().buzzer_worst.map(|worst| worst.word().to_owned()));
    process::announce("DONE", &BoardsDone { frames, buzzer_worst: worst.collect() })?;
    Ok(ExitCode::SUCCESS)
}

fn serve_orders(socket: &Path, boards: Arc<Vec<RunningBoard>>, first_replays: bool) -> Result<()> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).with_context(|| format!("opening {}", socket.display()))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let boards = boards.clone();
            tokio::spawn(async move {
                let (reading, mut writing) = stream.into_split();
                let mut lines = BufReader::new(reading).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let said = match order(&line, &boards, first_replays) {
                        Ok(said) => format!("{said}\n"),
                        Err(error) => format!("{}\n", host::sentence(error.as_ref())),
                    };
                    if writing.write_all(said.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(())
}

/// `BOARD SCENARIO [DURATION]`: afterwards the board is healthy again. `BOARD button` presses it, `BOARD
/// look` answers with what LCD and buzzer do, as JSON; everything else with `ok`.
fn order(line: &str, boards: &Arc<Vec<RunningBoard>>, first_replays: bool) -> Result<String> {
    let mut words = line.split_whitespace();
    let number: usize = words
        .next()
        .context("an order begins with the board's number")?
        .parse()
        .context("the board's number")?;
    anyhow::ensure!(number < boards.len(), "there is no board {number}; there are {}", boards.len());
    let word = words.next().context("an order names a scenario")?;
    match word {
        "button" => {
            boards[number].press_button();
            return Ok("ok".to_owned());
        }
        "look" => return Ok(display_state(&boards[number])),
        _ => {}
    }
    let scenario: Scenario = word.parse()?;
    if number == 0 && first_replays {
        changes_something(scenario)?;
    }
    let lasts = words.next().map(duration::parse).transpose().map_err(anyhow::Error::msg)?;
    boards[number].set_scenario(scenario);
    if let Some(lasts) = lasts {
        let boards = boards.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lasts.min(Duration::from_secs(86_400))).await;
            boards[number].set_scenario(Scenario::Healthy);
        });
    }
    Ok("ok".to_owned())
}

/// Refuses for board 0, which replays a recording, what only a made pulse would show.
fn changes_something(scenario: Scenario) -> Result<()> {
    anyhow::ensure!(
        !scenario.is_of_the_pulse_alone(),
        "board 0 replays a recording: {} would change nothing there; say it to another board, or start without the recording",
        scenario.name()
    );
    Ok(())
}

/// What a board's LCD shows and its buzzer sounds, and the texts before.
fn display_state(board: &RunningBoard) -> String {
    let seen = board.state();
    json!({ "lcd": seen.lcd, "buzzer": seen.buzzer.map(vitals::alarm::Priority::word), "texts": seen.texts })
        .to_string()
}

async fn send_order(socket: &Path, order: &str) -> Result<ExitCode> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("reaching the boards at {}", socket.display()))?;
    let (reading, mut writing) = stream.into_split();
    writing.write_all(format!("{order}\n").as_bytes()).await?;
    let said =
        BufReader::new(reading).lines().next_line().await?.context("the boards closed the connection")?;
    if said.starts_with('{') {
        output::print_line(said)?;
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(said == "ok", "{said}");
    Ok(ExitCode::SUCCESS)
}
