//! The pages over a real clinic: a real vault and record store in a temporary directory, devices
//! that seal, and the model of the contracts as the ledger.
#![allow(clippy::unwrap_used, reason = "tests")]

/// The clinic's own test ledger and ward: the same scenes, seen through pages.
#[allow(dead_code, unreachable_pub, reason = "made for another crate's tests")]
#[path = "../../../clinic/src/stories/disk.rs"]
mod disk;
#[allow(dead_code, unreachable_pub, reason = "made for another crate's tests")]
#[path = "../../../clinic/src/stories/ledger/mod.rs"]
mod ledger;
#[allow(dead_code, unreachable_pub, reason = "made for another crate's tests")]
#[path = "../../../vitals/src/fixture/trie.rs"]
mod trie;
#[allow(dead_code, unreachable_pub, reason = "made for another crate's tests")]
#[path = "../../../clinic/src/stories/ward.rs"]
mod ward;

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
