//! The session contract as a suite of tests: what a node and a gateway rely on, whatever carries their bytes
//! (docs/decisions/151). A transport implements [`Transport`] in its tests, and `session_contract!(It)` tries
//! it. What only one transport promises (its codes, its handshake) is tried in that transport's folder.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{
    Bounds, Busy, COMMAND_PAYLOAD_MAX, ConnectError, Endpoint, Event, Events, Ingress, LinkRefusal,
    PublishError, RefusalReason, Registry, Rejection, Reply, Sessions, Stop, Uplink, Verdict,
};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use vitals::DeviceId;

/// Seed of the node's key.
pub(crate) const NODE: [u8; 32] = [1; 32];
/// Seed of the key of a registered gateway.
pub(crate) const GATEWAY: [u8; 32] = [2; 32];
/// Seed of a key that nobody registered.
const STRANGER: [u8; 32] = [3; 32];

/// A transport, as the suite drives it.
pub(crate) trait Transport {
    /// A gateway's side.
    type Client: Uplink;

    /// Serves `endpoint` on a free port of this machine until `stop`, with the key of [`NODE`].
    async fn serve(
        registry: Arc<Ledger>,
        endpoint: Arc<Endpoint>,
        stop: Stop,
    ) -> (SocketAddr, JoinHandle<()>);

    /// Connects the gateway whose key has this seed.
    async fn connect(address: SocketAddr, seed: [u8; 32]) -> Result<(Self::Client, Events), ConnectError>;
}

/// The public key of a seed.
pub(crate) fn public(seed: [u8; 32]) -> [u8; 32] {
    ed25519_zebra::VerificationKey::from(&ed25519_zebra::SigningKey::from(seed)).into()
}

/// The device with the key of this seed.
pub(crate) fn id(seed: [u8; 32]) -> DeviceId {
    DeviceId::of(&public(seed))
}

/// The keys that are registered.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) Mutex<HashSet<[u8; 32]>>);

impl Registry for Ledger {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        match self.0.lock().contains(key) {
            true => Ok(DeviceId::of(key)),
            false => Err("the key is not registered".into()),
        }
    }
}

/// One envelope as the node's admission gets it.
pub(crate) struct Offered {
    pub(crate) from: DeviceId,
    pub(crate) alarm: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reply: Reply,
}

struct Admission {
    offers: mpsc::Sender<Offered>,
    refused: Arc<Mutex<Vec<LinkRefusal>>>,
}

impl Ingress for Admission {
    fn offer(&self, from: DeviceId, alarm: bool, bytes: Vec<u8>, reply: Reply) -> Result<(), Busy> {
        self.offers.try_send(Offered { from, alarm, bytes, reply }).map_err(|_| Busy)
    }

    fn turned_away(&self, why: LinkRefusal) {
        self.refused.lock().push(why);
    }
}

/// A node that serves one transport; the gateway of [`GATEWAY`] is registered.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) admission: mpsc::Receiver<Offered>,
    pub(crate) refused: Arc<Mutex<Vec<LinkRefusal>>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<()>,
}

impl Node {
    /// One that looks registrations up often.
    pub(crate) async fn quick<T: Transport>() -> Self {
        Self::within::<T>(Bounds { registry_every: Duration::from_millis(20), ..Bounds::default() }).await
    }

    /// One within these bounds.
    pub(crate) async fn within<T: Transport>(bounds: Bounds) -> Self {
        let ledger = Arc::new(Ledger::default());
        ledger.0.lock().insert(public(GATEWAY));
        let (offers, admission) = mpsc::channel(100);
        let (stop, stopped) = watch::channel(false);
        let refused = Arc::default();
        let sessions = Arc::new(Sessions::new());
        let ingress = Arc::new(Admission { offers, refused: Arc::clone(&refused) });
        let endpoint = Endpoint::new(ingress, ledger.clone(), sessions.clone(), bounds);
        let (address, serving) = T::serve(ledger.clone(), endpoint, stopped).await;
        Self { address, ledger, sessions, admission, refused, stop, serving }
    }

    async fn gateway<T: Transport>(&self) -> (T::Client, Events) {
        T::connect(self.address, GATEWAY).await.unwrap()
    }
}

/// The last event of a session.
async fn end(events: &mut Events) -> (bool, String) {
    loop {
        if let Event::Closed { taken_over, why } = events.next().await.unwrap() {
            assert_eq!(events.next().await, None, "nothing follows");
            return (taken_over, why);
        }
    }
}

/// Tries a transport.
macro_rules! session_contract {
    ($transport:ty) => {
        $crate::session_contract::session_contract!(
            $transport;
            an_envelope_travels_and_is_acknowledged_after_its_verdict,
            an_unregistered_key_is_not_admitted,
            refusals_carry_reason_and_sentence,
            a_full_queue_says_try_again,
            the_window_is_kept_and_opens_again,
            receipts_and_proofs_are_delivered_to_who_listens,
            a_receipt_nobody_was_there_for_reaches_the_device_in_its_next_session,
            commands_go_down_to_their_gateway_in_order_and_too_long_ones_do_not,
            another_session_of_a_device_takes_over,
            a_gateway_whose_registration_ends_is_put_out,
            the_node_can_expel_a_device_at_once,
            a_node_that_stops_ends_every_session,
            a_client_that_is_dropped_leaves,
        );
    };
    ($transport:ty; $($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::session_contract::$name::<$transport>().await;
            }
        )*
    };
}
pub(crate) use session_contract;

pub(crate) async fn an_envelope_travels_and_is_acknowledged_after_its_verdict<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let (client, mut events) = node.gateway::<T>().await;
    assert_eq!(node.sessions.connected(), [id(GATEWAY)]);
    let room = client.room();
    let sent = client.publish(true, b"sealed".to_vec()).unwrap();
    let offered = node.admission.recv().await.unwrap();
    assert_eq!(
        (offered.from, offered.alarm, offered.bytes.as_slice()),
        (id(GATEWAY), true, b"sealed".as_slice())
    );
    assert_eq!(events.try_next(), None);
    assert_eq!(client.room(), room - 1);
    offered.reply.send(Verdict::Admitted);
    assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
    assert_eq!(client.room(), room);
    let again = client.publish(false, b"sealed".to_vec()).unwrap();
    let offered = node.admission.recv().await.unwrap();
    assert!(!offered.alarm);
    offered.reply.send(Verdict::Duplicate);
    assert_eq!(events.next().await, Some(Event::Acked { id: again }), "durable already");
}

pub(crate) async fn an_unregistered_key_is_not_admitted<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let refused = T::connect(node.address, STRANGER).await.err().unwrap();
    assert!(matches!(refused, ConnectError::NotAdmitted), "{refused}");
    assert_eq!(node.sessions.connected(), []);
    assert!(node.admission.try_recv().is_err());
    assert!(node.refused.lock().contains(&LinkRefusal::KeyNotAdmitted), "it is counted");
}

pub(crate) async fn refusals_carry_reason_and_sentence<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let (client, mut events) = node.gateway::<T>().await;
    for (reason, why) in [
        (RefusalReason::Conflict, Rejection::Conflict),
        (RefusalReason::NotAuthorized, Rejection::NotAuthorized),
        (RefusalReason::PayloadInvalid, Rejection::PayloadInvalid),
    ] {
        let sent = client.publish(false, vec![1]).unwrap();
        let sentence = "the header names an unknown class".to_owned();
        let verdict = Verdict::Refused { reason, sentence: sentence.clone() };
        node.admission.recv().await.unwrap().reply.send(verdict);
        assert_eq!(events.next().await, Some(Event::Refused { id: sent, why, sentence }));
    }
    // A reply that is lost says "try again", so that the window is not held for ever.
    let sent = client.publish(false, vec![1]).unwrap();
    drop(node.admission.recv().await.unwrap());
    assert!(
        matches!(events.next().await, Some(Event::Refused { id, why: Rejection::Busy, .. }) if id == sent)
    );
}

pub(crate) async fn a_full_queue_says_try_again<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    node.admission.close();
    let (client, mut events) = node.gateway::<T>().await;
    client.publish(false, vec![1]).unwrap();
    assert!(matches!(events.next().await, Some(Event::Refused { why: Rejection::Busy, .. })));
}

pub(crate) async fn the_window_is_kept_and_opens_again<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let (client, mut events) = node.gateway::<T>().await;
    let room = client.room();
    assert!((1..=100).contains(&room), "{room}");
    for _ in 0..room {
        client.publish(false, vec![0; 60_000]).unwrap();
    }
    assert_eq!(client.publish(false, vec![1]), Err(PublishError::Full));
    assert_eq!(client.publish(false, vec![0; 100_000]), Err(PublishError::TooLong));
    node.admission.recv().await.unwrap().reply.send(Verdict::Admitted);
    events.next().await.unwrap();
    client.publish(false, vec![1]).unwrap();
}

pub(crate) async fn receipts_and_proofs_are_delivered_to_who_listens<T: Transport>() {
    let node = Node::quick::<T>().await;
    let (_client, mut events) = node.gateway::<T>().await;
    node.sessions.send_receipt(id(GATEWAY), b"receipt".to_vec());
    assert_eq!(events.next().await, Some(Event::Receipt(b"receipt".to_vec())));
    assert!(node.sessions.send_proof(id(GATEWAY), vec![7; 800_000]));
    assert_eq!(events.next().await, Some(Event::Proof(vec![7; 800_000])));
    assert!(!node.sessions.send_proof(id(STRANGER), vec![]));
}

pub(crate) async fn a_receipt_nobody_was_there_for_reaches_the_device_in_its_next_session<T: Transport>() {
    let node = Node::quick::<T>().await;
    node.sessions.send_receipt(id(GATEWAY), b"early".to_vec());
    assert!(node.sessions.take_owed().is_empty(), "it cannot be reached yet");
    let (_client, mut events) = node.gateway::<T>().await;
    let owed = loop {
        if let Some(owed) = node.sessions.take_owed().pop() {
            break owed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(owed, (id(GATEWAY), vec![b"early".to_vec()]));
    node.sessions.send_receipt(id(GATEWAY), b"signed again".to_vec());
    assert_eq!(events.next().await, Some(Event::Receipt(b"signed again".to_vec())));
}

pub(crate) async fn commands_go_down_to_their_gateway_in_order_and_too_long_ones_do_not<T: Transport>() {
    let node = Node::quick::<T>().await;
    assert!(!node.sessions.send_command(id(GATEWAY), vec![1]), "not connected");
    let (_client, mut events) = node.gateway::<T>().await;
    assert!(!node.sessions.send_command(id(GATEWAY), vec![0; COMMAND_PAYLOAD_MAX + 1]));
    for n in 0..5 {
        assert!(node.sessions.send_command(id(GATEWAY), vec![n; COMMAND_PAYLOAD_MAX]));
    }
    for n in 0..5 {
        assert_eq!(events.next().await, Some(Event::Command(vec![n; COMMAND_PAYLOAD_MAX])));
    }
}

pub(crate) async fn another_session_of_a_device_takes_over<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let (old, mut old_events) = node.gateway::<T>().await;
    let (client, mut events) = node.gateway::<T>().await;
    let (taken_over, why) = end(&mut old_events).await;
    assert!(taken_over, "{why}");
    assert!(old.publish(false, vec![1]).is_err());
    assert_eq!(node.sessions.connected(), [id(GATEWAY)]);
    let sent = client.publish(false, vec![2]).unwrap();
    node.admission.recv().await.unwrap().reply.send(Verdict::Admitted);
    assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
}

pub(crate) async fn a_gateway_whose_registration_ends_is_put_out<T: Transport>() {
    let node = Node::quick::<T>().await;
    let (_client, mut events) = node.gateway::<T>().await;
    node.ledger.0.lock().clear();
    let (taken_over, why) = end(&mut events).await;
    assert!(!taken_over && why.contains("not registered"), "{why}");
    assert!(matches!(T::connect(node.address, GATEWAY).await, Err(ConnectError::NotAdmitted)));
}

pub(crate) async fn the_node_can_expel_a_device_at_once<T: Transport>() {
    let slow = Bounds { registry_every: Duration::from_secs(600), ..Bounds::default() };
    let node = Node::within::<T>(slow).await;
    let (_client, mut events) = node.gateway::<T>().await;
    node.sessions.expel(id(GATEWAY), "revoked: stolen".into());
    let (_, why) = end(&mut events).await;
    assert!(why.contains("revoked: stolen"), "{why}");
}

pub(crate) async fn a_node_that_stops_ends_every_session<T: Transport>() {
    let mut node = Node::quick::<T>().await;
    let (_client, mut events) = node.gateway::<T>().await;
    node.stop.send(true).unwrap();
    assert!(!end(&mut events).await.0);
    (&mut node.serving).await.unwrap();
    assert_eq!(node.sessions.connected(), []);
    assert!(matches!(T::connect(node.address, GATEWAY).await, Err(ConnectError::Unreachable(_))));
}

pub(crate) async fn a_client_that_is_dropped_leaves<T: Transport>() {
    let node = Node::quick::<T>().await;
    let (client, mut events) = node.gateway::<T>().await;
    drop(client);
    assert!(!end(&mut events).await.0);
    while !node.sessions.connected().is_empty() {
        tokio::task::yield_now().await;
    }
}
