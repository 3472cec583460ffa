#![allow(clippy::unwrap_used, reason = "tests")]
use crate as web;
#[allow(unreachable_pub, dead_code, reason = "shared with the demo example")]
mod demo;
