//! Connections that have not shown a registered key yet. There are few slots, and they are shared
//! fairly between network addresses: when all are taken, the address that holds most gives one up.

use crate::refusal::LinkRefusal;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::oneshot;
use vitals::origin::Origin;

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// In order of arrival.
    slots: BTreeMap<u64, (Origin, oneshot::Sender<()>)>,
    held: HashMap<Origin, usize>,
}

impl Table {
    fn leave(&mut self, id: u64) -> Option<oneshot::Sender<()>> {
        let (origin, leave) = self.slots.remove(&id)?;
        if let Some(held) = self.held.get_mut(&origin) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&origin);
            }
        }
        Some(leave)
    }
}

/// The slots.
#[derive(Debug)]
pub(crate) struct UnauthenticatedConnections {
    slots_max: usize,
    per_origin_max: usize,
    table: Mutex<Table>,
}

/// One slot, free again when dropped.
#[derive(Debug)]
pub(crate) struct UnauthenticatedSlot {
    connections: Arc<UnauthenticatedConnections>,
    id: u64,
    leave: oneshot::Receiver<()>,
}

impl UnauthenticatedConnections {
    pub(crate) fn new(slots_max: usize, per_origin_max: usize) -> Arc<Self> {
        Arc::new(Self { slots_max, per_origin_max, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// A slot for a connection from `origin`; the oldest one of an address that holds more may be
    /// evicted for it.
    pub(crate) fn enter(self: &Arc<Self>, origin: Origin) -> Result<UnauthenticatedSlot, LinkRefusal> {
        let mut table = self.table();
        let held = table.held.get(&origin).copied().unwrap_or(0);
        if held >= self.per_origin_max {
            return Err(LinkRefusal::AddressFull);
        }
        if table.slots.len() >= self.slots_max {
            let most = table.held.iter().max_by_key(|(origin, held)| (**held, **origin));
            let greedy = most.filter(|(_, most)| **most > held + 1).map(|(origin, _)| *origin);
            let oldest = |greedy| table.slots.iter().find(|(_, (origin, _))| *origin == greedy);
            let Some(id) = greedy.and_then(oldest).map(|(id, _)| *id) else {
                return Err(LinkRefusal::UnauthenticatedFull);
            };
            if let Some(leave) = table.leave(id) {
                let _ = leave.send(());
            }
        }
        let (tell, leave) = oneshot::channel();
        let id = table.next;
        table.next += 1;
        table.slots.insert(id, (origin, tell));
        *table.held.entry(origin).or_insert(0) += 1;
        Ok(UnauthenticatedSlot { connections: self.clone(), id, leave })
    }
}

impl Drop for UnauthenticatedSlot {
    fn drop(&mut self) {
        self.connections.table().leave(self.id);
    }
}

/// Waits until the slot is taken away; for ever if there is none any more.
pub(crate) async fn evicted(slot: &mut Option<UnauthenticatedSlot>) {
    if let Some(UnauthenticatedSlot { leave, .. }) = slot
        && leave.await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn from(last: u8) -> Origin {
        Origin::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let connections = UnauthenticatedConnections::new(8, 3);
        let slots: Vec<UnauthenticatedSlot> = (0..3).map(|_| connections.enter(from(1)).unwrap()).collect();
        assert_eq!(connections.enter(from(1)).unwrap_err(), LinkRefusal::AddressFull);
        connections.enter(from(2)).unwrap();
        drop(slots);
        connections.enter(from(1)).unwrap();
        assert!(connections.table().slots.is_empty() && connections.table().held.is_empty());
    }

    #[test]
    fn the_address_that_holds_most_makes_room_for_another() {
        let connections = UnauthenticatedConnections::new(4, 3);
        let mut many: Vec<UnauthenticatedSlot> =
            (0..3).map(|_| connections.enter(from(1)).unwrap()).collect();
        let _one = connections.enter(from(2)).unwrap();
        let _another = connections.enter(from(3)).unwrap();
        assert!(many[0].leave.try_recv().is_ok(), "the oldest leaves");
        assert!(many[1].leave.try_recv().is_err());
        // No address holds two more than another: nobody is evicted.
        assert_eq!(connections.enter(from(2)).unwrap_err(), LinkRefusal::UnauthenticatedFull);
        assert_eq!(connections.table().slots.len(), 4);
        drop(many);
        assert_eq!(connections.table().slots.len(), 2);
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address() {
        let address = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
