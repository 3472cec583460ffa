//! Wire formats, proofs and golden files, against a ward of fixed keys. The ward comes from the crate
//! `testkit`, which links `vitals` as its users do; so these tests see what a user sees.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bad;
mod body;
mod bundle;
mod command;
mod committees;
mod cose;
mod eip712;
mod envelope;
mod hostile;
mod keys;
mod pairing;
mod proof;
mod receipt;
mod segments;
mod wire_page;
