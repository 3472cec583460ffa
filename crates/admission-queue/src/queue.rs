//! What waits for admission: alarms before all others, and within each lane the gateways in turn, so
//! that one that floods fills its own share and delays itself.

use clinic::Arrival;
use link::{Busy, LinkRefusal, Reply};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use vitals::cbor::Reader;
use vitals::envelope::HEADER_BYTES_MAX;
use vitals::ids::Class;
use vitals::{DeviceId, cose};

/// Envelopes that may wait in a lane; beyond that gateways are asked to try again.
const WAITING_MAX: usize = 8 * 1024;
/// Their bytes.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Envelopes of one gateway that may wait in a lane: the windows of a connection and of those before
/// it that it gave up.
const SHARE_MAX: usize = 256;
/// Version of the header that is looked into.
const VERSION: u64 = 1;
/// Most envelopes verified and synced as one group.
const GROUP_MAX: usize = 1024;

/// One envelope that waits. Its reply, dropped unanswered, says "try again".
#[derive(Debug)]
pub struct Waiting {
    /// The envelope, and the gateway it came from.
    pub arrival: Arrival,
    /// Where its verdict goes.
    pub reply: Reply,
}

/// One lane: a line per gateway, served in turn.
#[derive(Default)]
struct Lane {
    lines: HashMap<DeviceId, VecDeque<Waiting>>,
    /// Whose line is not empty; the front is served next.
    turn: VecDeque<DeviceId>,
    waiting: usize,
    bytes: usize,
}

impl Lane {
    /// Takes one in. A full lane makes room for a gateway that has less than an even share by giving
    /// up the last of the longest line, which is told to try again. The one given up is handed back,
    /// to be dropped outside the lock.
    fn push(&mut self, waiting: Waiting) -> Result<Option<Waiting>, Waiting> {
        let from = waiting.arrival.from;
        let held = self.lines.get(&from).map_or(0, VecDeque::len);
        if held >= SHARE_MAX {
            return Err(waiting);
        }
        let mut given_up = None;
        if self.waiting >= WAITING_MAX || self.bytes + waiting.arrival.bytes.len() > WAITING_BYTES_MAX {
            let even = self.waiting / (self.turn.len() + 1);
            if held >= even {
                return Err(waiting);
            }
            given_up = self.shorten_longest();
            if self.bytes + waiting.arrival.bytes.len() > WAITING_BYTES_MAX {
                return Err(waiting);
            }
        }
        self.waiting += 1;
        self.bytes += waiting.arrival.bytes.len();
        let line = self.lines.entry(from).or_default();
        if line.is_empty() {
            self.turn.push_back(from);
        }
        line.push_back(waiting);
        Ok(given_up)
    }

    fn shorten_longest(&mut self) -> Option<Waiting> {
        let (from, line) = self.lines.iter_mut().max_by_key(|(from, line)| (line.len(), **from))?;
        let (from, last) = (*from, line.pop_back()?);
        if line.is_empty() {
            self.lines.remove(&from);
            self.turn.retain(|waiting| *waiting != from);
        }
        self.left(&last);
        Some(last)
    }

    /// The next in turn.
    fn pop(&mut self) -> Option<Waiting> {
        let from = self.turn.pop_front()?;
        let line = self.lines.get_mut(&from)?;
        let waiting = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&from);
        } else {
            self.turn.push_back(from);
        }
        self.left(&waiting);
        Some(waiting)
    }

    fn left(&mut self, waiting: &Waiting) {
        self.waiting -= 1;
        self.bytes -= waiting.arrival.bytes.len();
    }
}

#[derive(Default)]
struct Lanes {
    alarms: Lane,
    others: Lane,
    closed: bool,
}

/// What waits for admission: at most 8192 envelopes or 64 MiB in each of its two lanes, alarms and all others.
#[derive(Default)]
pub struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock()
    }

    /// How many envelopes wait for admission.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let lanes = self.lanes();
        lanes.alarms.waiting + lanes.others.waiting
    }

    /// Takes nothing in any more, and lets the admission thread end once the queue is empty.
    pub fn close(&self) {
        self.lanes().closed = true;
        self.filled.notify_all();
    }

    /// Takes one in. What asks for a place among the alarms and is none waits with the others, and the
    /// answer says so. So it does when another envelope had to give way.
    ///
    /// # Errors
    /// [`Busy`] when its lane is full, its gateway has its share there already, or the queue is closed.
    pub fn push(&self, alarm: bool, waiting: Waiting) -> Result<Option<LinkRefusal>, Busy> {
        let is_alarm = alarm && claims_alarms(&waiting.arrival.bytes);
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(Busy);
        }
        let lane = if is_alarm { &mut lanes.alarms } else { &mut lanes.others };
        let given_up = lane.push(waiting);
        drop(lanes);
        // The reply of whatever is dropped here says "try again".
        if given_up.map_err(|_| Busy)?.is_some() {
            self.filled.notify_one();
            return Ok(Some(LinkRefusal::Busy));
        }
        self.filled.notify_one();
        Ok((alarm && !is_alarm).then_some(LinkRefusal::NotAnAlarm))
    }

    /// The next to be admitted together, at most 1024; waits for the first. None when the queue is closed and
    /// empty.
    pub fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut lanes = self.lanes();
        loop {
            let Lanes { alarms, others, closed } = &mut *lanes;
            let next = std::iter::from_fn(|| alarms.pop().or_else(|| others.pop()));
            let group: Vec<Waiting> = next.take(GROUP_MAX).collect();
            if !group.is_empty() {
                return Some(group);
            }
            if *closed {
                return None;
            }
            self.filled.wait(&mut lanes);
        }
    }
}

/// Does the header say that this is an envelope of class alarms? Whether it says the truth is for
/// admission to find out; this only decides who waits where, and must be quick.
fn claims_alarms(bytes: &[u8]) -> bool {
    let class = || {
        let mut envelope = Reader::new(bytes);
        envelope.array(2).ok()?;
        let (header, _) = cose::read(&mut envelope, HEADER_BYTES_MAX).ok()?;
        let mut header = Reader::new(header);
        header.array(15).ok()?;
        header.exactly(VERSION).ok()?;
        let (_genesis, _stream): ([u8; 32], [u8; 16]) = (header.fixed().ok()?, header.fixed().ok()?);
        Class::from_code(header.u8().ok()?)
    };
    class() == Some(Class::Alarms)
}

#[cfg(test)]
mod tests;
