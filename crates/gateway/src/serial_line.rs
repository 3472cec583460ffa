//! A board's serial line: opened raw, read and written without blocking, opened again when the board
//! goes away and comes back.

use crate::input::Input;
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Pause before a line that is gone is opened again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 4096;
/// Writes to a board waiting for its line; LCD and buzzer are updated again anyway.
pub(crate) const DOWN_MAX: usize = 32;

fn open(path: &Path, baud: u32) -> io::Result<AsyncFd<File>> {
    let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let mut line = tcgetattr(&file)?;
    line.make_raw();
    line.set_speed(baud)?;
    tcsetattr(&file, OptionalActions::Now, &line)?;
    // What the board sent before is old and must not be sampled as of now.
    tcflush(&file, QueueSelector::IFlush)?;
    #[allow(deprecated, reason = "unsound for types that let go of their descriptor; a File never does")]
    AsyncFd::new(file)
}

/// Carries bytes between a serial line and the bedside until that is gone.
pub(crate) async fn serve(
    n: usize,
    path: PathBuf,
    baud: u32,
    inputs: mpsc::Sender<Input>,
    mut down: mpsc::Receiver<Vec<u8>>,
) {
    let mut logged = false;
    loop {
        match open(&path, baud) {
            Ok(line) => {
                logged = false;
                tracing::info!(board = n, "Board {n} is there");
                if inputs.send(Input::Board { there: true }).await.is_err() {
                    return;
                }
                let why = transfer(n, &line, &inputs, &mut down).await;
                let Some(why) = why else { return };
                tracing::warn!(board = n, %why, "Board {n} went away: {why}");
                if inputs.send(Input::Board { there: false }).await.is_err() {
                    return;
                }
            }
            Err(why) if !logged => {
                logged = true;
                tracing::warn!(board = n, path = %path.display(), %why, "Board {n} cannot be opened: {why}; trying again");
            }
            Err(_) => {}
        }
        // What waits is out of date by the time the board is back.
        while down.try_recv().is_ok() {}
        tokio::select! {
            () = sleep(AGAIN_AFTER) => {}
            () = inputs.closed() => return,
        }
    }
}

/// Carries bytes until the line fails, and says why; none when the bedside is gone.
async fn transfer(
    n: usize,
    line: &AsyncFd<File>,
    inputs: &mpsc::Sender<Input>,
    down: &mut mpsc::Receiver<Vec<u8>>,
) -> Option<io::Error> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        tokio::select! {
            ready = line.readable() => {
                let mut ready = match ready {
                    Ok(ready) => ready,
                    Err(error) => return Some(error),
                };
                match ready.try_io(|line| line.get_ref().read(&mut buffer)) {
                    Ok(Ok(0)) => return Some(io::ErrorKind::UnexpectedEof.into()),
                    Ok(Ok(read)) => inputs.send(Input::Bytes { n, bytes: buffer[..read].to_vec() }).await.ok()?,
                    Ok(Err(error)) => return Some(error),
                    Err(_would_block) => {}
                }
            }
            bytes = down.recv() => {
                let bytes = bytes?;
                // A line that does not drain loses the frame: it is sent again within seconds.
                match line.get_ref().write(&bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Some(error),
                }
            }
        }
    }
}
