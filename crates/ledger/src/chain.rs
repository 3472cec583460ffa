//! Where contracts run: in this node or on another network. The domain only uses [`Ledger`]; this is the
//! interface behind it.

use crate::embedded::EmbeddedChain;
use crate::machine::View;
use alloy_primitives::Log;
use std::ops::RangeInclusive;
use tokio::sync::watch;
use vitals::ids::{DeviceId, GrantId, Hash, OrgId, PersonId};
use vitals::ledger::{Anchor, Device, Grant, Ledger, LedgerError, Organisation, Person, Tip};

#[cfg(test)]
pub(crate) mod tests;

/// A chain on which the contracts run. Acts are submitted and facts proven through [`Ledger`]; this adds
/// several reads at one height, and the contracts' events.
pub trait Chain: Ledger {
    /// All records after the newest final block. They do not change while the chain goes on.
    fn view(&self) -> Box<dyn Records>;

    /// Events of the contracts in final blocks of these heights, in their order.
    ///
    /// # Errors
    /// `Refused` if some of them are no longer kept here, `Down` if they cannot be read.
    fn logs(&self, heights: RangeInclusive<u64>) -> Result<Vec<Event>, LedgerError>;

    /// Watches the tip. When it changes, the records and the outcome of every act in the block can be read
    /// already.
    fn watch_tip(&self) -> watch::Receiver<Tip>;

    /// The address acts are sent from.
    fn sender(&self) -> [u8; 20];

    /// Stops following and sending; reads still work. Blocking: call it outside async threads.
    fn stop(&self);
}

/// The records after one block.
pub trait Records: Send + Sync {
    /// The block.
    fn tip(&self) -> Tip;
    /// An organisation.
    ///
    /// # Errors
    /// If the state is damaged.
    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError>;
    /// A device.
    ///
    /// # Errors
    /// If the state is damaged.
    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError>;
    /// A person.
    ///
    /// # Errors
    /// If the state is damaged.
    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError>;
    /// A consent.
    ///
    /// # Errors
    /// If the state is damaged.
    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError>;
    /// A log head.
    ///
    /// # Errors
    /// If the state is damaged.
    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError>;
}

/// An event that a contract emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Height of the transaction's block.
    pub height: u64,
    /// The transaction.
    pub transaction: Hash,
    /// Contract, topics and data.
    pub log: Log,
}

impl Records for View {
    fn tip(&self) -> Tip {
        self.tip()
    }

    fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, LedgerError> {
        self.organisation(org)
    }

    fn device(&self, id: DeviceId) -> Result<Option<Device>, LedgerError> {
        self.device(id)
    }

    fn person(&self, id: PersonId) -> Result<Option<Person>, LedgerError> {
        self.person(id)
    }

    fn grant(&self, id: GrantId) -> Result<Option<Grant>, LedgerError> {
        self.grant(id)
    }

    fn anchor(&self, org: OrgId) -> Result<Option<Anchor>, LedgerError> {
        Ok(self.anchor(org))
    }
}

impl Chain for EmbeddedChain {
    fn view(&self) -> Box<dyn Records> {
        Box::new(self.machine().view())
    }

    fn logs(&self, heights: RangeInclusive<u64>) -> Result<Vec<Event>, LedgerError> {
        let machine = self.machine();
        let down = |why: crate::machine::StoreError| LedgerError::Down(why.to_string());
        let mut events = Vec::new();
        let from = machine.kept().map_err(down)?.bodies;
        if (*heights.start()).max(1) < from && *heights.start() <= *heights.end() {
            return Err(LedgerError::Refused(format!("events before height {from} are not kept here")));
        }
        // Height 0 has no receipts.
        for height in (*heights.start()).max(1)..=(*heights.end()).min(machine.tip().height) {
            for raw in machine.transactions(height).map_err(down)? {
                let transaction = alloy_primitives::keccak256(&raw).0;
                let Some((_, receipt)) = machine.receipt(&transaction).map_err(down)? else {
                    return Err(LedgerError::Refused(format!(
                        "the receipts of height {height} are not kept"
                    )));
                };
                events.extend(receipt.logs.into_iter().map(|log| Event { height, transaction, log }));
            }
        }
        Ok(events)
    }

    fn watch_tip(&self) -> watch::Receiver<Tip> {
        self.watch_tip()
    }

    fn sender(&self) -> [u8; 20] {
        self.sender()
    }

    fn stop(&self) {
        self.stop();
    }
}
