//! The threads of bedside and recorder and the tasks around them: serial lines, the connection to the node, the clock.

use crate::bedside::Bedside;
use crate::input::Input;
use crate::node_connection::NodeConnection;
use crate::recorder::Recorder;
use crate::{GatewayError, Stop, serial_line};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Inputs waiting for the bedside.
const INPUTS_MAX: usize = 1024;
/// The bedside is woken this often when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Starts the threads and the tasks around them, and ends them when `stop` says so. The bedside goes on until
/// the recorder has written what it was handed.
pub(crate) async fn run(
    bedside: Bedside,
    recorder: Recorder,
    connection: NodeConnection,
    boards: &[PathBuf],
    baud: u32,
    mut stop: Stop,
    drain: Option<Duration>,
) -> Result<(), GatewayError> {
    let (inputs, bedside_inputs) = mpsc::channel(INPUTS_MAX);
    let (recorder_ended, mut end) = oneshot::channel();
    let (bedside_ended, bedside_end) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let mut downs = Vec::with_capacity(boards.len());
    for (n, path) in boards.iter().enumerate() {
        let (down, board_down) = mpsc::channel(serial_line::DOWN_MAX);
        downs.push(down);
        tasks.spawn(serial_line::serve(n, path.clone(), baud, inputs.clone(), board_down));
    }
    tasks.spawn(connection.run(inputs.clone()));
    let ticks = inputs.clone();
    tasks.spawn(async move {
        let mut every = interval(TICK);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            if ticks.send(Input::Tick).await.is_err() {
                return;
            }
        }
    });
    let recorder = thread("recorder", move || {
        let _ = recorder_ended.send(recorder.run());
    })?;
    let bedside = thread("bedside", move || {
        bedside.run(bedside_inputs, downs);
        let _ = bedside_ended.send(());
    })?;
    let outcome = tokio::select! {
        outcome = &mut end => outcome,
        () = link::stopped(&mut stop) => {
            let _ = inputs.send(Input::Stop { drain: drain.is_some() }).await;
            match tokio::time::timeout(drain.unwrap_or(Duration::MAX), &mut end).await {
                Ok(outcome) => outcome,
                Err(_too_long) => {
                    let _ = inputs.send(Input::Stop { drain: false }).await;
                    end.await
                }
            }
        }
    };
    drop(inputs);
    let watched = bedside_end.await;
    // The bedside's end closes every task's channel.
    while tasks.join_next().await.is_some() {}
    let _ = (recorder.join(), bedside.join());
    watched.map_err(|_| GatewayError::Ended("bedside thread"))?;
    outcome.map_err(|_| GatewayError::Ended("recorder thread"))?
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, GatewayError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|source| GatewayError::Io { path: PathBuf::from("thread"), source })
}
