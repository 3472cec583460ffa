//! Virtual boards on pseudo-terminals: what a gateway opens is a serial device like any other.
//!
//! A thread per board writes its frames as time passes and reads what the gateway answers. Time comes
//! from the clock it is given; between frames it waits for orders.

use crate::board::VirtualBoard;
use crate::scenario::Scenario;
use device::frame::{LCD_COLUMNS, LCD_ROWS, LcdText, Message};
use device::{Decoder, Down};
use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use vitals::alarm::Priority;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Longest wait between two reads of what the gateway sent.
const READ_EVERY_MS: u64 = 20;
/// A board further behind than this (the machine slept) skips ahead instead of pouring it all out.
const BEHIND_MAX_MS: u64 = 10_000;
/// LCD texts kept.
const TEXTS_MAX: usize = 64;

/// What a board shows, and how much it sent and received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoardState {
    /// What the LCD shows.
    pub lcd: Option<[String; LCD_ROWS]>,
    /// The last different texts, oldest first, at most 64.
    pub texts: Vec<[String; LCD_ROWS]>,
    /// What the buzzer sounds now.
    pub buzzer: Option<Priority>,
    /// The worst it ever sounded.
    pub buzzer_worst: Option<Priority>,
    /// When the buzzer last began to sound, milliseconds of the clock.
    pub buzzed_at_ms: Option<u64>,
    /// The time the gateway last sent.
    pub time_sent_ms: Option<u64>,
    /// Frames understood.
    pub frames_in: u64,
    /// Frames not understood.
    pub frames_bad: u64,
    /// Frames written.
    pub frames_out: u64,
    /// Frames dropped because the line was full.
    pub frames_dropped: u64,
}

#[derive(Debug)]
enum Order {
    Scenario(Scenario),
    Button,
    Stop,
}

/// A board that runs.
#[derive(Debug)]
pub struct RunningBoard {
    path: PathBuf,
    orders: Sender<Order>,
    state: Arc<Mutex<BoardState>>,
    thread: Option<JoinHandle<()>>,
}

/// A fresh pseudo-terminal in raw mode: nothing is echoed, no byte is changed.
///
/// Gives the board's end, the gateway's end held open (so that a gateway may come and go), and the
/// path of the gateway's end.
fn open() -> std::io::Result<(OwnedFd, File, PathBuf)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(name.into_bytes()));
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(&path)?;
    let mut modes = tcgetattr(&slave)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    Ok((master, slave, path))
}

impl RunningBoard {
    /// Starts a board on a pseudo-terminal. `speed` milliseconds of the board pass for each of the
    /// clock (at least one).
    pub fn start(board: VirtualBoard, speed: u32, clock: Clock) -> std::io::Result<Self> {
        let (master, slave, path) = open()?;
        let state = Arc::new(Mutex::new(BoardState::default()));
        let (orders, received) = channel();
        let line = Line { master, _slave: slave, decoder: Decoder::new(), state: Arc::clone(&state), clock };
        let thread = std::thread::Builder::new()
            .name(format!("board {}", board.number()))
            .spawn(move || run(board, u64::from(speed.max(1)), line, &received))?;
        Ok(Self { path, orders, state, thread: Some(thread) })
    }

    /// The serial device a gateway opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on this happens at the bed.
    pub fn set_scenario(&self, scenario: Scenario) {
        // A board that has stopped has no more orders to follow.
        let _ = self.orders.send(Order::Scenario(scenario));
    }

    /// Somebody presses the button.
    pub fn press_button(&self) {
        let _ = self.orders.send(Order::Button);
    }

    /// What it shows now.
    #[must_use]
    pub fn state(&self) -> BoardState {
        self.state.lock().clone()
    }

    /// Stops the board and gives its last state.
    #[must_use]
    pub fn stop(mut self) -> BoardState {
        self.end();
        self.state()
    }

    fn end(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A board that panicked is stopped as well.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningBoard {
    fn drop(&mut self) {
        self.end();
    }
}

/// The board's end of the line.
struct Line {
    master: OwnedFd,
    _slave: File,
    decoder: Decoder<Down>,
    state: Arc<Mutex<BoardState>>,
    clock: Clock,
}

fn run(mut board: VirtualBoard, speed: u64, mut line: Line, orders: &Receiver<Order>) {
    let mut last_ms = (line.clock)();
    let mut board_ms = 0u64;
    loop {
        let now_ms = (line.clock)();
        // A clock that went back stands still for the board.
        let passed_ms = now_ms.saturating_sub(last_ms) * speed;
        last_ms = now_ms;
        board_ms += passed_ms;
        let frames = board.frames_until(board_ms);
        if passed_ms <= BEHIND_MAX_MS * speed {
            frames.iter().for_each(|frame| line.send(&frame.encode()));
        }
        line.receive();
        let wait_ms = (board.next_due_ms().saturating_sub(board_ms) / speed).clamp(1, READ_EVERY_MS);
        match orders.recv_timeout(Duration::from_millis(wait_ms)) {
            Ok(Order::Scenario(scenario)) => board.set_scenario(scenario),
            Ok(Order::Button) => board.press_button(),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return line.receive(),
        }
    }
}

impl Line {
    fn note(&self, change: impl FnOnce(&mut BoardState)) {
        change(&mut self.state.lock());
    }

    /// Writes one frame whole or, when the line is full, as far as it goes: a real line loses bytes
    /// as well, and the reader finds its step again.
    fn send(&self, frame: &[u8]) {
        let written = write(&self.master, frame).is_ok_and(|written| written == frame.len());
        self.note(|seen| if written { seen.frames_out += 1 } else { seen.frames_dropped += 1 });
    }

    fn receive(&mut self) {
        let mut bytes = [0; 512];
        loop {
            let count = match read(&self.master, &mut bytes) {
                Ok(0) => return,
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            for down in self.decoder.feed_all(bytes.get(..count).unwrap_or(&[])) {
                self.take(&down);
            }
            let bad = self.decoder.bad_frames();
            self.note(|seen| seen.frames_bad = bad);
        }
    }

    fn take(&self, down: &Down) {
        let now_ms = (self.clock)();
        self.note(|seen| {
            seen.frames_in += 1;
            match down {
                Down::Lcd { lines } => {
                    let text = text(lines);
                    if seen.lcd.as_ref() != Some(&text) {
                        if seen.texts.len() >= TEXTS_MAX {
                            seen.texts.remove(0);
                        }
                        seen.texts.push(text.clone());
                        seen.lcd = Some(text);
                    }
                }
                Down::Buzzer(priority) => {
                    if seen.buzzer.is_none() && priority.is_some() {
                        seen.buzzed_at_ms = Some(now_ms);
                    }
                    seen.buzzer = *priority;
                    seen.buzzer_worst = seen.buzzer_worst.max(*priority);
                }
                Down::TimeSync { now_ms } => seen.time_sent_ms = Some(*now_ms),
            }
        });
    }
}

fn text(lines: &LcdText) -> [String; LCD_ROWS] {
    lines.map(|line: [u8; LCD_COLUMNS]| String::from_utf8_lossy(&line).into_owned())
}

/// All boards of a gateway.
#[derive(Debug, Default)]
pub struct RunningBoards {
    boards: Vec<RunningBoard>,
}

impl RunningBoards {
    /// Starts all boards.
    pub fn start(boards: Vec<VirtualBoard>, speed: u32, clock: &Clock) -> std::io::Result<Self> {
        let boards = boards.into_iter().map(|board| RunningBoard::start(board, speed, Arc::clone(clock)));
        Ok(Self { boards: boards.collect::<Result<_, _>>()? })
    }

    /// The serial devices, in board order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.boards.iter().map(|board| board.path.clone()).collect()
    }

    /// The board of this index.
    #[must_use]
    pub fn board(&self, index: usize) -> Option<&RunningBoard> {
        self.boards.get(index)
    }

    /// From now on this happens at the bed of this index; false when there is no such board.
    pub fn set_scenario(&self, index: usize, scenario: Scenario) -> bool {
        self.boards.get(index).map(|board| board.set_scenario(scenario)).is_some()
    }

    /// Stops all boards and gives the last state of each.
    #[must_use]
    pub fn stop(self) -> Vec<BoardState> {
        self.boards.into_iter().map(RunningBoard::stop).collect()
    }
}

#[cfg(test)]
mod tests;
