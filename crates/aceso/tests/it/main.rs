//! End-to-end: the real binary, real sockets, real files. The only integration-test binary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod canary;
mod cli;
mod kills;
mod record;
mod recordings;
mod support;
mod tidy;
mod virtual_bed;
mod ward;
