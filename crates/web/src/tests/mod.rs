//! The pages over a real clinic: a real vault and record store in a temporary directory, devices
//! that seal, and the model of the contracts as the ledger.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access_log;
mod acts;
mod attacks;
mod attempts;
mod doors;
mod files;
mod gateways;
mod ledger_pages;
mod limits;
mod live;
mod random;
mod routes;
mod scene;
mod status;
mod watch;
