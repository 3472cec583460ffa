//! Says on the ledger where this organisation's validator is reached, whenever the ledger says otherwise:
//! the others dial it there, and their pages show it.

use super::founding::EmbeddedLedger;
use host::clock;
use std::time::Duration;
use vitals::ids::OrgId;
use vitals::ledger::{Act, ActId, Ledger as _, Outcome};

/// How often the ledger is compared with the configuration.
const LOOK: Duration = Duration::from_secs(2);
/// A node whose view is older than this still follows, milliseconds: what it would say may be said already.
const VIEW_AGE_MS_MAX: u64 = 10_000;

/// Compares until the runtime ends, or the ledger refuses.
pub(super) fn keep_announced(own: &EmbeddedLedger, org: OrgId, address: String) {
    let own = own.clone();
    tokio::spawn(async move {
        let mut sent = None;
        while announce(&own, org, &address, &mut sent) {
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// False when there is no use in trying again.
fn announce(own: &EmbeddedLedger, org: OrgId, address: &str, sent: &mut Option<ActId>) -> bool {
    if let Some(act) = *sent {
        match own.chain.outcome(act) {
            Outcome::Pending => return true,
            Outcome::Refused { reason } => {
                tracing::warn!(%reason, "The ledger does not take the address {address} of this validator: {reason}");
                return false;
            }
            Outcome::Done { height } => {
                tracing::info!(height, "The ledger says that this validator is reached at {address}");
                *sent = None;
            }
            Outcome::Unknown => *sent = None,
        }
    }
    let view = own.chain.view();
    let fresh = clock::now_ms().abs_diff(view.tip().time_ms) <= VIEW_AGE_MS_MAX;
    let validators = if fresh { view.validators().unwrap_or_default() } else { Vec::new() };
    let ours = |one: &&vitals::governance::Validator| {
        one.key == own.validator && one.org == org && one.until_epoch.is_none()
    };
    if validators.iter().find(ours).is_some_and(|one| one.endpoint != address) {
        let act = Act::Announce { validator: own.validator, endpoint: address.to_owned() };
        // A pool that is full now has room later.
        *sent = own.chain.submit(act).ok();
    }
    true
}
