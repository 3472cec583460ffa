//! Serves wards in which every state that a page can show stands at an address of its own:
//! `cargo run --release -p web --example page_states`. Each ward is a real clinic over a ledger in memory; its
//! clock stands still, so that a picture taken tomorrow is the picture taken today.
//!
//! Prints one line of JSON: `{"password":…,"states":[{"name","url","login","path"}]}`.
//! `tests-browser/pictures.mjs` visits all of them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a tool for people at work on the pages"
)]

mod beds;
mod hospital;
mod other_wards;

use hospital::{Hospital, PASSWORD, State};
use serde::Serialize;
use std::time::Duration;
use tokio::net::TcpListener;

#[derive(Serialize)]
struct Ready {
    password: &'static str,
    states: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    url: String,
    login: &'static str,
    path: String,
}

/// Serves one ward on a port of its own; gives the addresses of its states.
async fn serve(hospital: Hospital) -> Vec<Shown> {
    let now_ms = hospital.ward.now_ms;
    let settings = web::Settings { hospital: "Example Hospital".into(), ..web::Settings::default() };
    let app =
        web::App::of_clinic(hospital.ward.clinic.clone(), std::sync::Arc::new(move || now_ms), settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(web::serve(listener, app, core::future::pending()));
    let Hospital { ward, states, .. } = hospital;
    // What a node's recorder does all the time, at a time that does not pass. The ward's folder lives as long.
    tokio::spawn(async move {
        let mut often = tokio::time::interval(Duration::from_millis(200));
        loop {
            often.tick().await;
            let clinic = ward.clinic.clone();
            tokio::task::spawn_blocking(move || clinic.write_alarm_events(now_ms)).await.unwrap();
        }
    });
    let shown = |State { name, login, path }| Shown { name, url: url.clone(), login, path };
    states.into_iter().map(shown).collect()
}

#[tokio::main]
async fn main() {
    let wards: [fn() -> Hospital; 6] = [
        beds::every_bed,
        other_wards::ordinary,
        other_wards::silent_gateway,
        other_wards::silent_policy,
        other_wards::ledger_stands_still,
        other_wards::nobody_yet,
    ];
    let mut states = Vec::new();
    for set_up in wards {
        let hospital = tokio::task::spawn_blocking(set_up).await.unwrap();
        states.extend(serve(hospital).await);
    }
    println!("{}", serde_json::to_string(&Ready { password: PASSWORD, states }).unwrap());
    core::future::pending::<()>().await;
}
