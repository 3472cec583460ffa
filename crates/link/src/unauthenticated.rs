//! Places for connections that have not shown a known key yet. No address may have more than its
//! share, and when all places are taken, the address that holds most gives one up.

use crate::refusal::LinkRefusal;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Whoever can have one IPv6 address can have its whole /64.
const IPV6_PREFIX: u128 = !0 << 64;

/// Where a connection comes from, as far as quotas tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin(IpAddr);

impl Origin {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & IPV6_PREFIX)),
            v4 => v4,
        })
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// In the order of their coming.
    places: BTreeMap<u64, (Origin, oneshot::Sender<()>)>,
    held: HashMap<Origin, usize>,
}

impl Table {
    fn leave(&mut self, id: u64) -> Option<oneshot::Sender<()>> {
        let (origin, leave) = self.places.remove(&id)?;
        if let Some(held) = self.held.get_mut(&origin) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&origin);
            }
        }
        Some(leave)
    }
}

/// The places.
#[derive(Debug)]
pub(crate) struct Strangers {
    places_max: usize,
    per_origin_max: usize,
    table: Mutex<Table>,
}

/// One stranger's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    strangers: Arc<Strangers>,
    id: u64,
    leave: oneshot::Receiver<()>,
}

impl Strangers {
    pub(crate) fn new(places_max: usize, per_origin_max: usize) -> Arc<Self> {
        Arc::new(Self { places_max, per_origin_max, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `origin`; somebody of an address with more places may have to
    /// leave for it.
    pub(crate) fn enter(self: &Arc<Self>, origin: Origin) -> Result<Place, LinkRefusal> {
        let mut table = self.table();
        let held = table.held.get(&origin).copied().unwrap_or(0);
        if held >= self.per_origin_max {
            return Err(LinkRefusal::AddressFull);
        }
        if table.places.len() >= self.places_max {
            let most = table.held.iter().max_by_key(|(origin, held)| (**held, **origin));
            let greedy = most.filter(|(_, most)| **most > held + 1).map(|(origin, _)| *origin);
            let oldest = |greedy| table.places.iter().find(|(_, (origin, _))| *origin == greedy);
            let Some(id) = greedy.and_then(oldest).map(|(id, _)| *id) else {
                return Err(LinkRefusal::StrangersFull);
            };
            if let Some(leave) = table.leave(id) {
                let _ = leave.send(());
            }
        }
        let (tell, leave) = oneshot::channel();
        let id = table.next;
        table.next += 1;
        table.places.insert(id, (origin, tell));
        *table.held.entry(origin).or_insert(0) += 1;
        Ok(Place { strangers: self.clone(), id, leave })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.table().leave(self.id);
    }
}

/// Waits until a stranger has to give up its place; for ever if it has none any more.
pub(crate) async fn evicted(place: &mut Option<Place>) {
    if let Some(Place { leave, .. }) = place
        && leave.await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Origin {
        Origin::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let strangers = Strangers::new(8, 3);
        let places: Vec<Place> = (0..3).map(|_| strangers.enter(from(1)).unwrap()).collect();
        assert_eq!(strangers.enter(from(1)).unwrap_err(), LinkRefusal::AddressFull);
        strangers.enter(from(2)).unwrap();
        drop(places);
        strangers.enter(from(1)).unwrap();
        assert!(strangers.table().places.is_empty() && strangers.table().held.is_empty());
    }

    #[test]
    fn the_address_that_holds_most_makes_room_for_another() {
        let strangers = Strangers::new(4, 3);
        let mut many: Vec<Place> = (0..3).map(|_| strangers.enter(from(1)).unwrap()).collect();
        let _one = strangers.enter(from(2)).unwrap();
        let _another = strangers.enter(from(3)).unwrap();
        assert!(many[0].leave.try_recv().is_ok(), "the oldest leaves");
        assert!(many[1].leave.try_recv().is_err());
        // Everybody has one, one has two: nobody has to leave for a second.
        assert_eq!(strangers.enter(from(2)).unwrap_err(), LinkRefusal::StrangersFull);
        assert_eq!(strangers.table().places.len(), 4);
        drop(many);
        assert_eq!(strangers.table().places.len(), 2);
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
