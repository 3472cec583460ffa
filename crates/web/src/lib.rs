//! Everything that listens on HTTP: pages, live streams, assets, metrics, JSON-RPC.
//!
//! A page is a document first: it is rendered on the server, works without scripts, and one address
//! gives the full page or, to htmx, its fragment. The pages decide nothing: handlers ask the [`clinic::Clinic`],
//! which decides again at every call, and every call names the session.
//!
//! | file | what it holds |
//! |---|---|
//! | [`routes`] | all addresses, and the menu |
//! | [`app`] | the server's state, and how handlers call the clinic |
//! | [`server`] | connections: who gets one, and for how long |
//! | [`tls`], [`certificate`], [`http2`], `write_timeout` | what a connection speaks, and its bounds |
//! | `compression` | which answers are compressed, and which must not be |
//! | `middleware` | what surrounds every answer: bounds, time limit, headers |
//! | [`caller`] | who is asking, by cookie or bearer token |
//! | [`forms`], [`fields`] | what people send: forms, queries, parts of addresses |
//! | `secret_address` | addresses with the secret of a one-time link, and the forms on them |
//! | [`error`], `error_response` | refusals, and their rendering by what was asked for |
//! | `pages` | one module for each page, from the clinic's views; its template in `templates/` |
//! | `layout`, [`navigation`] | what surrounds a page's content |
//! | [`labels`], [`format`], [`time`] | words, numbers and times as people read them |
//! | [`charts`] | curves as SVG |
//! | [`live`], `live_topics` | Server-Sent Events; the other end is `assets/line.js` |
//! | [`quota`], [`sign_in_queue`] | how much one network, session or person may take |
//! | [`rpc`] | the JSON-RPC port |
//!
//! No markup in Rust, no inline script or style, nothing from another origin, no rule about who may see what.

pub mod app;
pub mod assets;
pub mod caller;
pub mod certificate;
pub mod charts;
mod client_address;
mod compression;
pub mod error;
mod error_response;
pub mod fields;
pub mod format;
pub mod forms;
pub mod http2;
pub mod labels;
mod layout;
pub mod ledger_text;
pub mod live;
mod live_topics;
mod metrics;
mod middleware;
pub mod navigation;
mod notices;
mod pages;
mod people_text;
pub mod process_gauges;
pub mod quota;
pub mod refusals;
pub mod routes;
pub mod rpc;
mod secret_address;
pub mod server;
pub mod sign_in_queue;
pub mod time;
pub mod tls;
pub mod visit;
mod write_timeout;

// The tests name this crate as its users do.
#[cfg(test)]
extern crate self as web;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

pub use app::{App, Clock, Settings};
pub use routes::router;

impl App {
    /// The pages of this clinic.
    #[must_use]
    pub fn of_clinic(clinic: Arc<clinic::Clinic>, clock: Clock, settings: Settings) -> Self {
        Self::new(clinic, clock, settings, routes::navigation())
    }
}

/// Serves the pages on `listener` until `stop` resolves; requests under way may end first.
///
/// # Errors
/// None at present: a listener that fails is asked again.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(app.clone());
    server::accept(listener, app, router, stop).await
}
