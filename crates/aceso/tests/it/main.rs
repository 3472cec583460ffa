//! End-to-end: the real binary, real sockets, real files. The only integration-test binary.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests that print what they measured")]

mod bedside;
mod canary;
mod cli;
mod clocks;
mod crash;
mod damage;
mod elsewhere;
mod ended_ledger;
mod founding;
mod full_log;
mod fuzz;
mod hostile;
mod https;
mod operator;
mod people;
mod record;
mod recordings;
mod scripts;
mod support;
mod tidy;
mod verifiers;
mod virtual_bed;
mod ward;
