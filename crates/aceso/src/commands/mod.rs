//! The commands of `aceso`, a file each. Those that talk to a running node do so through the operator API.

pub(crate) mod account;
pub(crate) mod administrator;
pub(crate) mod chain;
pub(crate) mod checkpoint;
pub(crate) mod found;
pub(crate) mod gateway;
pub(crate) mod generate;
pub(crate) mod ledger;
pub(crate) mod seal;
pub(crate) mod snapshot;
pub(crate) mod validator;
pub(crate) mod verify;

mod ask;
