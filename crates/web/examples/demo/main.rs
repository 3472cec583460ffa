//! Serves the pages over a made-up ward, for looking at them: `cargo run --release -p web --example
//! demo -- ADDRESS [ALARM_FILE]`. While ALARM_FILE exists, the first patient has a high alarm.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a tool for people at work on the pages"
)]

mod ward;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

#[allow(clippy::disallowed_methods, reason = "the clock's one reader in this program")]
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let alarm = arguments.next().map(Into::into);
    let station = Arc::new(ward::Demo::new(now_ms(), "Amira Demo", alarm));
    let settings = web::Settings { hospital: "Example Hospital".into(), ..web::Settings::default() };
    let router = web::router(web::App::new(station, Arc::new(now_ms), settings));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    println!("READY {}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}
