//! Keys, opening, the record store and the organisation's log. No network listener: whoever opens a
//! record goes through [`Vault::log_access`], which leaves a durable trace before any key moves.

mod access;
mod changes;
mod error;
mod intervals;
mod keys;
mod patients;
mod pauses;
mod people;
mod seal;
mod secret;
pub mod store;
mod streams;
mod table;
mod terms;
mod vault;
mod watch;
mod wrap;
mod write;

pub use access::{
    DurableAccess, ENGINE_SESSION, KEPT_MS, MONITORING_BACK_MS, MONITORING_MS_MAX, MonitoringLease, Released,
};
pub use error::{AccessError, OpenError, VaultError, WriteError};
pub use patients::Patient;
pub use people::{Account, NAME_BYTES_MAX, NewAccount, PASSWORD_BYTES_MAX};
pub use seal::open_body;
pub use secret::{Cost, Costs, Entropy, Secret32};
pub use store::{Admitted, Appended, Corruption, Edge, Located, Store, StoreError, StreamHead};
pub use streams::{NewStream, StreamRecord};
pub use terms::TermsRecord;
pub use vault::{VAULT_FILE, Vault};
pub use watch::{BedRecord, WatchEnd};
pub use write::{Entry, Written};

#[cfg(test)]
mod tests;
