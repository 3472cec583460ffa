//! Keys, opening, the record store and the organisation's log. No network listener. To open a
//! record, callers go through [`Vault::log_access`], which leaves a durable trace before any key moves.

mod access;
mod change_count;
mod envelope_writer;
mod error;
mod generation;
mod seal;
mod sealed_tables;
mod secret;
pub mod store;
mod vault;

pub use access::{
    DurableAccess, ENGINE_SESSION, KEPT_MS, MONITORING_BACK_MS, MONITORING_MS_MAX, MonitoringLease, Released,
};
pub use envelope_writer::{Entry, Written};
pub use error::{AccessError, OpenError, VaultError, WriteError};
pub use seal::open_body;
pub use secret::{Cost, Costs, Entropy, Secret32};
pub use store::{Admitted, Appended, Corruption, Edge, Located, Store, StoreError, StreamHead};
pub use vault::account_events::{AccountEvent, EventRecord, Made};
pub use vault::accounts::{Account, NAME_BYTES_MAX, NewAccount, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
pub use vault::beds::{BedRecord, MonitoringEnd};
pub use vault::consent_asks::{ASK_MS, ASKS_PER_CLINICIAN_MAX, AskAnswer, AskId, ConsentAsk};
pub use vault::consent_restrictions::{Replacement, Restriction};
pub use vault::consent_terms::TermsRecord;
pub use vault::invitations::{Acceptance, Invitation, InvitationState, Invited, NewInvitation};
pub use vault::patients::Patient;
pub use vault::resume_points::{KEPT_LEN_MAX, ResumePoint};
pub use vault::standings::{LINK_HASH_LABEL, Link, Suspension, link_hash};
pub use vault::streams::{NewStream, StreamRecord};
pub use vault::{VAULT_FILE, Vault};

#[cfg(test)]
mod tests;
