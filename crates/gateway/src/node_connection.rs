//! The connection to the node: opened, kept, opened again. The only file that knows which transport is
//! used.

use crate::Entropy;
use crate::input::Input;
use link::mqtt::Client;
use link::{Event, tls};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use vitals::DeviceId;

const PAUSE_MIN_MS: u64 = 100;
const PAUSE_MAX_MS: u64 = 10_000;
/// Pause after another device with the same key took over: the two must not throw each other out in
/// quick succession.
const PAUSE_TAKEN_OVER_MS: u64 = 2_000;
/// A connection that has held so long resets the pause.
const HELD_MS: u64 = 30_000;
pub(crate) struct NodeConnection {
    pub(crate) address: String,
    pub(crate) tls: Arc<tls::Config>,
    pub(crate) gateway: DeviceId,
    pub(crate) entropy: Entropy,
}

impl NodeConnection {
    /// Connects, hands the session to the bedside, carries its events until it ends; again, until the
    /// bedside is gone.
    pub(crate) async fn run(self, inputs: mpsc::Sender<Input>) {
        let mut pause_ms = PAUSE_MIN_MS;
        loop {
            let attempt = tokio::select! {
                attempt = Client::connect(&self.address, self.tls.clone(), self.gateway) => attempt,
                () = inputs.closed() => return,
            };
            match attempt {
                Ok((client, mut events)) => {
                    let since = tokio::time::Instant::now();
                    let mut taken_over = false;
                    tracing::info!("Connected to the node");
                    if inputs.send(Input::Connected(Box::new(client))).await.is_err() {
                        return;
                    }
                    while let Some(event) = events.next().await {
                        let input = match event {
                            Event::Closed { taken_over: by_another, why } => {
                                taken_over = by_another;
                                tracing::warn!(%why, "The connection to the node ended: {why}");
                                break;
                            }
                            event => Input::Node(event),
                        };
                        if inputs.send(input).await.is_err() {
                            return;
                        }
                    }
                    let held = since.elapsed() >= Duration::from_millis(HELD_MS);
                    pause_ms = match (taken_over, held) {
                        (true, false) => (pause_ms * 2).clamp(PAUSE_TAKEN_OVER_MS, PAUSE_MAX_MS),
                        _ => PAUSE_MIN_MS,
                    };
                    if inputs.send(Input::Disconnected { taken_over }).await.is_err() {
                        return;
                    }
                }
                Err(why) => {
                    tracing::warn!(%why, "No connection to the node: {why}");
                    pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
                }
            }
            tokio::select! {
                () = sleep(self.jittered(pause_ms)) => {}
                () = inputs.closed() => return,
            }
        }
    }

    /// Between half and all of the pause, so that a ward's gateways do not come back in step.
    fn jittered(&self, pause_ms: u64) -> Duration {
        let mut dice = [0; 1];
        (self.entropy)(&mut dice);
        Duration::from_millis(pause_ms / 2 + pause_ms * u64::from(dice[0]) / 512)
    }
}
