//! The core's thread and the tasks around it: serial lines, the connection to the node, the clock.

use crate::core::Core;
use crate::input::Input;
use crate::node_connection::NodeConnection;
use crate::{GatewayError, Stop, serial_line};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Inputs waiting for the core.
const INPUTS_MAX: usize = 1024;
/// The core is woken this often when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Starts the core's thread and the tasks around it, and ends them when `stop` says so.
pub(crate) async fn run(
    core: Core,
    connection: NodeConnection,
    boards: &[PathBuf],
    baud: u32,
    mut stop: Stop,
    drain: Option<Duration>,
) -> Result<(), GatewayError> {
    let (inputs, core_inputs) = mpsc::channel(INPUTS_MAX);
    let (ended, mut end) = oneshot::channel();
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
    let thread = std::thread::Builder::new()
        .name("bedside".into())
        .spawn(move || {
            let _ = ended.send(core.run(core_inputs, downs));
        })
        .map_err(|source| GatewayError::Io { path: PathBuf::from("thread"), source })?;
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
    // The core's end closes every task's channel.
    while tasks.join_next().await.is_some() {}
    let _ = thread.join();
    outcome.map_err(|_| GatewayError::Ended("bedside thread"))?
}
