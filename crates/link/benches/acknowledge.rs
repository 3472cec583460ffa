//! Acknowledgement over loopback: TLS 1.3 with client certificates, verdict at once, 600-byte envelopes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use link::mqtt::{Client, serve};
use link::{Bounds, Busy, Endpoint, Event, Ingress, Registry, Reply, Sessions, Uplink, Verdict, tls};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use vitals::DeviceId;

struct AtOnce;

impl Ingress for AtOnce {
    fn offer(&self, _: DeviceId, _: bool, _: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        reply.send(Verdict::Admitted);
        Ok(())
    }
}

impl Registry for AtOnce {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        Ok(DeviceId::of(key))
    }
}

fn public(seed: [u8; 32]) -> [u8; 32] {
    ed25519_zebra::VerificationKey::from(&ed25519_zebra::SigningKey::from(seed)).into()
}

async fn measure(client: &Client, events: &mut link::Events, window: usize, total: usize) {
    let mut sent_at = HashMap::new();
    let mut times: Vec<Duration> = Vec::with_capacity(total);
    let start = Instant::now();
    let mut sent = 0;
    while times.len() < total {
        while sent < total && sent - times.len() < window {
            sent_at.insert(client.publish(false, vec![7; 600]).unwrap(), Instant::now());
            sent += 1;
        }
        match events.next().await.unwrap() {
            Event::Acked { id } => times.push(sent_at.remove(&id).unwrap().elapsed()),
            other => panic!("{other:?}"),
        }
    }
    let rate = total as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    println!(
        "window {window:2}: p50 {:>8.1?}  p99 {:>8.1?}  {rate:>7.0}/s",
        times[total / 2],
        times[total * 99 / 100]
    );
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (certificate, key) = tls::self_signed(&[1; 32]).unwrap();
    let config = tls::server_config(certificate, key, Arc::new(AtOnce)).unwrap();
    let (stop, stopped) = watch::channel(false);
    let endpoint =
        Endpoint::new(Arc::new(AtOnce), Arc::new(AtOnce), Arc::new(Sessions::new()), Bounds::default());
    let serving = tokio::spawn(serve(listener, Arc::new(config), endpoint, stopped));
    let (certificate, key) = tls::self_signed(&[2; 32]).unwrap();
    let config = Arc::new(tls::client_config(certificate, key, public([1; 32])).unwrap());
    let device = DeviceId::of(&public([2; 32]));
    let mut connects: Vec<Duration> = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        drop(Client::connect(&address, config.clone(), device).await.unwrap());
        connects.push(start.elapsed());
    }
    connects.sort_unstable();
    println!("connect:   p50 {:>8.1?}  p99 {:>8.1?}", connects[50], connects[99]);
    let (client, mut events) = Client::connect(&address, config, device).await.unwrap();
    measure(&client, &mut events, 1, 5_000).await;
    measure(&client, &mut events, 64, 100_000).await;
    stop.send(true).unwrap();
    serving.await.unwrap();
}
