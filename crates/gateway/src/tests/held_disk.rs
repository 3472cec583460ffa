//! A disk that answers nothing for as long as the test likes: nothing at the bedside waits for it, and
//! afterwards everything is recorded, in order and once.

use super::commands::{FAST, Ward, answer, first_line, second_line, send};
use super::simulated_node::{self, Running, SimulatedNode, paired, until};
use super::{DRAIN, boards, now};
use crate::{Clock, Gateway, Summary};
use simulator::Scenario;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::switched::{Switched, Switches};
use vitals::StreamId;
use vitals::alarm::Priority;
use vitals::command::Action;
use vitals::envelope::Header;
use vitals::ids::Class;

/// A gateway on a disk that obeys switches.
pub(super) struct Held {
    pub(super) switches: Arc<Switches>,
    /// The switched disk locks a folder of its own.
    _lock: tempfile::TempDir,
    disk: Arc<Switched>,
}

impl Held {
    pub(super) fn new() -> Self {
        let (switches, lock) = (Arc::<Switches>::default(), tempfile::tempdir().unwrap());
        let disk = Arc::new(Switched::new(lock.path(), switches.clone()).unwrap());
        Self { switches, _lock: lock, disk }
    }

    pub(super) fn open(&self, dir: &Path, boards: Vec<PathBuf>, node: SocketAddr, clock: Clock) -> Gateway {
        let config = simulated_node::config(dir, boards, node);
        Gateway::open_on(self.disk.clone(), config, clock, simulated_node::entropy()).unwrap()
    }
}

/// Holds the record against the figures: no gap, nothing twice, times in order. Gives the number of entries
/// by class.
fn entries(home: &SimulatedNode, figures: &Summary) -> BTreeMap<Class, u64> {
    let record = home.state.record.lock();
    assert_eq!(record.equivocations, 0);
    assert_eq!(record.stored() as u64, figures.envelopes_sealed, "{figures:?}");
    assert_eq!(
        record.next_seqs(),
        figures.streams.clone().into_iter().filter(|(_, next)| *next > 0).collect()
    );
    let (mut of_class, mut last) = (BTreeMap::new(), BTreeMap::<(StreamId, u64), u64>::new());
    for header in &record.headers {
        let header = Header::decode(header).unwrap();
        *of_class.entry(header.class).or_default() += u64::from(header.count);
        last.insert((header.stream, header.seq), header.last_ms);
    }
    let mut before = None;
    for ((stream, seq), at_ms) in last {
        if let Some((_, before_ms)) = before.filter(|(of, _)| *of == stream) {
            assert!(at_ms >= before_ms, "{stream} {seq}: {at_ms} after {before_ms}");
        }
        before = Some((stream, at_ms));
    }
    of_class
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lcd_bell_and_button_wait_for_no_disk_and_everything_is_recorded_afterwards() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home, held) = (paired(1), SimulatedNode::open().await, Held::new());
    let gateway = Running::go(held.open(dir.path(), paths, home.address, clock), DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 3).await;
    held.switches.sync.shut();
    boards[0].set_scenario(Scenario::Tachycardia);
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    until("the LCD", || first_line(&boards[0], "PULSE HIGH")).await;
    until("it is said", || second_line(&boards[0], "not recorded")).await;
    assert_eq!(now(&counters.not_recorded), 1);
    // Nothing reaches the ward meanwhile, and that is said as well.
    until("the ward", || second_line(&boards[0], "ward not hearing")).await;
    let (syncs, stored) = (now(&counters.journal_syncs), home.state.record.lock().stored());
    boards[0].press_button();
    until("quiet", || boards[0].state().buzzer.is_none()).await;
    let waiting = now(&counters.readings_waiting);
    until("more waits", || now(&counters.readings_waiting) > waiting).await;
    assert_eq!(now(&counters.journal_syncs), syncs, "the disk really did not answer");
    assert_eq!(home.state.record.lock().stored(), stored, "nothing is sent before it is durable");
    boards[0].set_scenario(Scenario::Healthy);
    held.switches.sync.open();
    until("recorded again", || now(&counters.not_recorded) == 0 && now(&counters.readings_waiting) < 50)
        .await;
    until("heard again", || now(&counters.ward_not_listening) == 0).await;
    let figures = gateway.stop().await;
    assert_eq!((figures.envelopes_pending, figures.readings_lost, figures.readings_waiting), (0, 0, 0));
    assert_eq!(figures.readings_proven, figures.readings_sampled, "{figures:?}");
    let of_class = entries(&home, &figures);
    assert!(figures.alarm_events >= 4, "raised and quietened, not recorded, nobody listens: {figures:?}");
    assert_eq!(of_class[&Class::Alarms], figures.alarm_events, "{figures:?}");
    assert_eq!((figures.alarm_events_merged, figures.alarm_events_lost), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_made_durable_lets_the_bell_ring() {
    let (boards, paths, clock) = boards(&[Scenario::Tachycardia]);
    let (dir, home, held) = (paired(1), SimulatedNode::open().await, Held::new());
    let mut ward = Ward::of(dir.path(), 1, &clock);
    let gateway = Running::go(held.open(dir.path(), paths, home.address, clock), DRAIN);
    let counters = gateway.counters.clone();
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    held.switches.sync.shut();
    let waiting = || now(&counters.readings_waiting) > 20;
    until("the recorder is held", waiting).await;
    let short = ward.order(Action::Silence { condition: FAST }, 10_000);
    let long = ward.order(answer(&ward), 600_000);
    assert!(send(&home, short) && send(&home, long));
    until("it is said", || second_line(&boards[0], "ward not hearing")).await;
    assert_eq!((now(&counters.commands_taken), now(&counters.commands_refused)), (0, 0));
    assert_eq!(boards[0].state().buzzer, Some(Priority::High), "the bell goes on");
    let quietened = || second_line(&boards[0], "sound paused") || second_line(&boards[0], "answered by ward");
    assert!(!quietened());
    held.switches.sync.open();
    // The one whose time is over is refused, the other one is carried out.
    until("taken", || now(&counters.commands_taken) == 1).await;
    assert_eq!(now(&counters.commands_refused), 1);
    until("the LCD", || second_line(&boards[0], "answered by ward")).await;
    let figures = gateway.stop().await;
    assert_eq!((figures.envelopes_pending, figures.readings_lost), (0, 0));
    let of_class = entries(&home, &figures);
    assert_eq!(of_class[&Class::Alarms], figures.alarm_events + 2, "both are confirmed: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_more_fits_in_memory_readings_are_given_up_alarms_are_not_and_the_lcd_says_so() {
    const READINGS: usize = 40;
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home, held) = (paired(1), SimulatedNode::open().await, Held::new());
    let gateway = held.open(dir.path(), paths, home.address, clock);
    gateway.bedside.bound_queue(READINGS, 1);
    let gateway = Running::go(gateway, DRAIN);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 3).await;
    held.switches.sync.shut();
    until("full", || now(&counters.readings_lost) > 0).await;
    until("it is said", || second_line(&boards[0], "not recorded")).await;
    until("and rings", || boards[0].state().buzzer == Some(Priority::Technical)).await;
    boards[0].set_scenario(Scenario::Tachycardia);
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    let raised = now(&counters.alarm_events);
    boards[0].press_button();
    until("quietened", || now(&counters.alarm_events) > raised && now(&counters.alarm_events_merged) > 0)
        .await;
    assert!(now(&counters.readings_waiting) <= READINGS as u64);
    // One by one, and one more of each alarm of the bed.
    assert!(now(&counters.alarm_events_waiting) <= 1 + 8, "{:?}", counters.summary());
    boards[0].set_scenario(Scenario::Healthy);
    held.switches.sync.open();
    until("recorded again", || now(&counters.not_recorded) == 0).await;
    let figures = gateway.stop().await;
    assert_eq!(
        (figures.envelopes_pending, figures.readings_waiting, figures.alarm_events_waiting),
        (0, 0, 0)
    );
    assert_eq!(figures.readings_proven + figures.readings_lost, figures.readings_sampled, "{figures:?}");
    let of_class = entries(&home, &figures);
    let recorded = of_class[&Class::Alarms];
    assert_eq!(
        (recorded + figures.alarm_events_merged, figures.alarm_events_lost),
        (figures.alarm_events, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_stopped_writes_what_waits_before_it_ends_and_watches_until_then() {
    let (boards, paths, clock) = boards(&[Scenario::Healthy]);
    let (dir, home, held) = (paired(1), SimulatedNode::open().await, Held::new());
    let open = || held.open(dir.path(), paths.clone(), home.address, clock.clone());
    let gateway = Running::go(open(), None);
    let counters = gateway.counters.clone();
    until("connected", || now(&counters.receipts_checked) > 3).await;
    held.switches.sync.shut();
    until("something waits", || now(&counters.readings_waiting) > 20).await;
    let ending = gateway.stopping();
    boards[0].set_scenario(Scenario::Tachycardia);
    until("the bell", || boards[0].state().buzzer == Some(Priority::High)).await;
    assert!(!ending.is_finished(), "it waits for its disk");
    held.switches.sync.open();
    let first = ending.await.unwrap().unwrap();
    assert_eq!((first.readings_waiting, first.readings_lost), (0, 0), "{first:?}");
    let gateway = Running::go(open(), DRAIN);
    let counters = gateway.counters.clone();
    until("some more", || now(&counters.receipts_checked) > 3).await;
    let second = gateway.stop().await;
    assert_eq!(second.envelopes_pending, 0);
    let (sampled, proven) =
        (first.readings_sampled + second.readings_sampled, |of: &Summary| of.readings_proven);
    assert_eq!(proven(&first) + proven(&second), sampled, "{first:?} {second:?}");
    let envelopes_sealed = first.envelopes_sealed + second.envelopes_sealed;
    entries(&home, &Summary { envelopes_sealed, ..second });
}
