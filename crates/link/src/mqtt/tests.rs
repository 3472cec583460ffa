//! A node and its gateways on real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Client, MqttRefusal, RECEIVE_MAXIMUM, serve};
use crate::{
    Bounds, Busy, Endpoint, Ingress, LinkRefusal, RefusalReason, Registry, Reply, Sessions, Verdict,
};
use crate::{COMMAND_PAYLOAD_MAX, ConnectError, Event, Events, PublishError, Rejection, Uplink, tls};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use vitals::DeviceId;

mod hostile;

const NODE: [u8; 32] = [1; 32];
const GATEWAY: [u8; 32] = [2; 32];

fn public(seed: [u8; 32]) -> [u8; 32] {
    ed25519_zebra::VerificationKey::from(&ed25519_zebra::SigningKey::from(seed)).into()
}

fn id(seed: [u8; 32]) -> DeviceId {
    DeviceId::of(&public(seed))
}

#[derive(Default)]
struct Ledger(Mutex<HashSet<[u8; 32]>>);

impl Registry for Ledger {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        match self.0.lock().contains(key) {
            true => Ok(DeviceId::of(key)),
            false => Err("the key is not registered".into()),
        }
    }
}

struct Offered {
    from: DeviceId,
    alarm: bool,
    bytes: Vec<u8>,
    reply: Reply,
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

struct Node {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    sessions: Arc<Sessions>,
    admission: mpsc::Receiver<Offered>,
    refused: Arc<Mutex<Vec<LinkRefusal>>>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Node {
    async fn start() -> Self {
        Self::bounded(Bounds { registry_every: Duration::from_millis(20), ..Bounds::default() }).await
    }

    async fn bounded(bounds: Bounds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        ledger.0.lock().insert(public(GATEWAY));
        let (certificate, key) = tls::self_signed(&NODE).unwrap();
        let config = tls::server_config(certificate, key, ledger.clone()).unwrap();
        let (offer, admission) = mpsc::channel(100);
        let (stop, stopped) = watch::channel(false);
        let refused = Arc::default();
        let sessions = Arc::new(Sessions::new());
        let ingress = Arc::new(Admission { offers: offer, refused: Arc::clone(&refused) });
        let endpoint = Endpoint::new(ingress, ledger.clone(), sessions.clone(), bounds);
        let serving = tokio::spawn(serve(listener, Arc::new(config), endpoint, stopped));
        Self { address, ledger, sessions, admission, refused, stop, serving }
    }

    async fn connect(&self, seed: [u8; 32]) -> Result<(Client, Events), ConnectError> {
        self.connect_pinning(seed, public(NODE)).await
    }

    async fn connect_pinning(
        &self,
        seed: [u8; 32],
        pinned: [u8; 32],
    ) -> Result<(Client, Events), ConnectError> {
        let (certificate, key) = tls::self_signed(&seed).unwrap();
        let config = tls::client_config(certificate, key, pinned).unwrap();
        Client::connect(&self.address.to_string(), Arc::new(config), id(seed)).await
    }
}

impl Node {
    /// Waits until this was refused, and counts it away.
    async fn counted(&self, why: impl Into<LinkRefusal>) {
        let why = why.into();
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        while !self.take_counted(why) {
            assert!(tokio::time::Instant::now() < patience, "{why:?} was not counted");
            tokio::task::yield_now().await;
        }
    }

    fn take_counted(&self, why: LinkRefusal) -> bool {
        let mut refused = self.refused.lock();
        let at = refused.iter().position(|seen| *seen == why);
        at.map(|at| refused.remove(at)).is_some()
    }
}

async fn closed(events: &mut Events) -> String {
    loop {
        match events.next().await.unwrap() {
            Event::Closed { why, .. } => return why,
            _ => continue,
        }
    }
}

#[tokio::test]
async fn an_envelope_travels_and_is_acknowledged_after_its_verdict() {
    let mut node = Node::start().await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    assert_eq!(node.sessions.connected(), [id(GATEWAY)]);
    let sent = client.publish(true, b"sealed".to_vec()).unwrap();
    let offered = node.admission.recv().await.unwrap();
    assert_eq!(
        (offered.from, offered.alarm, offered.bytes.as_slice()),
        (id(GATEWAY), true, b"sealed".as_slice())
    );
    assert_eq!(events.try_next(), None);
    assert_eq!(client.room(), usize::from(RECEIVE_MAXIMUM) - 1);
    offered.reply.send(Verdict::Admitted);
    assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
    assert_eq!(client.room(), usize::from(RECEIVE_MAXIMUM));
}

#[tokio::test]
async fn an_unregistered_key_is_not_admitted() {
    let node = Node::start().await;
    let refused = node.connect([3; 32]).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotAdmitted), "{refused}");
    assert_eq!(node.sessions.connected(), []);
}

#[tokio::test]
async fn a_node_without_the_pinned_key_gets_nothing() {
    let mut node = Node::start().await;
    let refused = node.connect_pinning(GATEWAY, public([9; 32])).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotThePinnedNode), "{refused}");
    assert!(node.admission.try_recv().is_err());
}

#[tokio::test]
async fn a_stolen_certificate_without_its_key_is_refused() {
    let node = Node::start().await;
    let (certificate, _) = tls::self_signed(&GATEWAY).unwrap();
    let (_, other_key) = tls::self_signed(&[3; 32]).unwrap();
    // The honest library refuses the pair already on this side.
    assert!(tls::client_config(certificate.clone(), other_key.clone_key(), public(NODE)).is_err());
    // A thief's library does not: it signs the handshake with the key it has.
    let config = thief::config(certificate, other_key);
    let refused = Client::connect(&node.address.to_string(), Arc::new(config), id(GATEWAY)).await;
    assert!(refused.is_err());
    assert_eq!(node.sessions.connected(), []);
}

mod thief {
    use rustls::client::ResolvesClientCert;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::aws_lc_rs::{default_provider, sign::any_eddsa_type};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Pair(Arc<CertifiedKey>);

    impl ResolvesClientCert for Pair {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
        fn has_certs(&self) -> bool {
            true
        }
    }

    #[derive(Debug)]
    pub(in crate::mqtt::tests) struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    }

    pub(in crate::mqtt::tests) fn config(
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> ClientConfig {
        let PrivateKeyDer::Pkcs8(key) = key else { panic!("PKCS#8") };
        let key = any_eddsa_type(&key).unwrap();
        let pair = Pair(Arc::new(CertifiedKey::new(vec![certificate], key)));
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_client_cert_resolver(Arc::new(pair))
    }
}

#[tokio::test]
async fn tls_1_2_and_clients_without_certificate_are_refused() {
    let node = Node::start().await;
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
    };
    let roots = Arc::new(rustls::RootCertStore::empty());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = builder().with_protocol_versions(&[version]).unwrap();
        let config = config.with_root_certificates(roots.clone()).with_no_client_auth();
        assert!(Client::connect(&node.address.to_string(), Arc::new(config), id(GATEWAY)).await.is_err());
    }
    assert_eq!(node.sessions.connected(), []);
}

#[tokio::test]
async fn refusals_carry_code_and_sentence() {
    let mut node = Node::start().await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let sent = client.publish(false, vec![1]).unwrap();
    let sentence = "the header names an unknown class".to_owned();
    let reason = RefusalReason::PayloadInvalid;
    node.admission.recv().await.unwrap().reply.send(Verdict::Refused { reason, sentence: sentence.clone() });
    assert_eq!(
        events.next().await,
        Some(Event::Refused { id: sent, why: Rejection::PayloadInvalid, sentence })
    );
    // A reply that is lost says "try again", so that the window is not held for ever.
    let sent = client.publish(false, vec![1]).unwrap();
    drop(node.admission.recv().await.unwrap());
    assert!(
        matches!(events.next().await, Some(Event::Refused { id, why: Rejection::Busy, .. }) if id == sent)
    );
}

#[tokio::test]
async fn a_full_queue_says_try_again() {
    let mut node = Node::start().await;
    node.admission.close();
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    client.publish(false, vec![1]).unwrap();
    assert!(matches!(events.next().await, Some(Event::Refused { why: Rejection::Busy, .. })));
}

#[tokio::test]
async fn the_window_is_kept_and_opens_again() {
    let mut node = Node::start().await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    for _ in 0..RECEIVE_MAXIMUM {
        client.publish(false, vec![0; 60_000]).unwrap();
    }
    assert_eq!(client.publish(false, vec![1]), Err(PublishError::Full));
    assert_eq!(client.publish(false, vec![0; 100_000]), Err(PublishError::TooLong));
    node.admission.recv().await.unwrap().reply.send(Verdict::Admitted);
    events.next().await.unwrap();
    client.publish(false, vec![1]).unwrap();
}

#[tokio::test]
async fn receipts_and_proofs_are_delivered_to_who_listens() {
    let node = Node::start().await;
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    node.sessions.send_receipt(id(GATEWAY), b"receipt".to_vec());
    assert_eq!(events.next().await, Some(Event::Receipt(b"receipt".to_vec())));
    assert!(node.sessions.send_proof(id(GATEWAY), vec![7; 800_000]));
    assert_eq!(events.next().await, Some(Event::Proof(vec![7; 800_000])));
    assert!(!node.sessions.send_proof(id([3; 32]), vec![]));
}

#[tokio::test]
async fn a_receipt_nobody_was_there_for_reaches_the_device_in_its_next_session() {
    let node = Node::start().await;
    node.sessions.send_receipt(id(GATEWAY), b"early".to_vec());
    assert!(node.sessions.take_owed().is_empty(), "it cannot be reached yet");
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
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

#[tokio::test]
async fn commands_go_down_to_their_gateway_in_order_and_too_long_ones_do_not() {
    let node = Node::start().await;
    assert!(!node.sessions.send_command(id(GATEWAY), vec![1]), "not connected");
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    assert!(!node.sessions.send_command(id(GATEWAY), vec![0; COMMAND_PAYLOAD_MAX + 1]));
    for n in 0..5 {
        assert!(node.sessions.send_command(id(GATEWAY), vec![n; COMMAND_PAYLOAD_MAX]));
    }
    for n in 0..5 {
        assert_eq!(events.next().await, Some(Event::Command(vec![n; COMMAND_PAYLOAD_MAX])));
    }
}

#[tokio::test]
async fn a_gateway_reconnects_and_takes_over_its_old_session() {
    let mut node = Node::start().await;
    let (old, mut old_events) = node.connect(GATEWAY).await.unwrap();
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let last = loop {
        match old_events.next().await.unwrap() {
            Event::Closed { taken_over, why } => break (taken_over, why),
            _ => continue,
        }
    };
    assert!(last.0 && last.1.contains("0x8e"), "{last:?}");
    assert_eq!(old_events.next().await, None);
    assert!(old.publish(false, vec![1]).is_err());
    assert_eq!(node.sessions.connected(), [id(GATEWAY)]);
    let sent = client.publish(false, vec![2]).unwrap();
    node.admission.recv().await.unwrap().reply.send(Verdict::Admitted);
    assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
}

#[tokio::test]
async fn a_revoked_gateway_is_put_out() {
    let node = Node::start().await;
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    node.ledger.0.lock().clear();
    let why = closed(&mut events).await;
    assert!(why.contains("0x87") && why.contains("not registered"), "{why}");
    assert!(matches!(node.connect(GATEWAY).await, Err(ConnectError::NotAdmitted)));
}

#[tokio::test]
async fn the_node_can_expel_a_device_at_once() {
    let node = Node::bounded(Bounds { registry_every: Duration::from_secs(600), ..Bounds::default() }).await;
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    node.sessions.expel(id(GATEWAY), "revoked: stolen".into());
    assert!(closed(&mut events).await.contains("revoked: stolen"));
}

#[tokio::test]
async fn strangers_and_sleepers_hold_up_nobody() {
    let node = Node::bounded(Bounds {
        unauthenticated_max: 2,
        connect_timeout: Duration::from_millis(300),
        ..Bounds::default()
    })
    .await;
    // Two say nothing; a third is closed at once, and when time is up the silent two are as well.
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(node.address).await.unwrap());
    }
    let mut third = TcpStream::connect(node.address).await.unwrap();
    assert_eq!(third.read(&mut [0; 8]).await.unwrap_or(0), 0);
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
    // One that talks nonsense is closed, and the next gateway finds its place.
    let mut noisy = TcpStream::connect(node.address).await.unwrap();
    noisy.write_all(&[0x10; 4096]).await.unwrap();
    let mut rest = Vec::new();
    let _ = noisy.read_to_end(&mut rest).await;
    node.connect(GATEWAY).await.unwrap();
}

#[tokio::test]
async fn one_that_reads_nothing_is_closed_and_blocks_nobody() {
    let mut node =
        Node::bounded(Bounds { write_timeout: Duration::from_millis(200), ..Bounds::default() }).await;
    node.ledger.0.lock().insert(public([3; 32]));
    // The events of the first are never read: its client stops reading the socket.
    let (_lazy, lazy_events) = node.connect(GATEWAY).await.unwrap();
    let (client, mut events) = node.connect([3; 32]).await.unwrap();
    let mut turns = 0;
    while node.sessions.connected().contains(&id(GATEWAY)) {
        let _ = node.sessions.send_proof(id(GATEWAY), vec![0; 100_000]);
        let sent = client.publish(false, vec![1]).unwrap();
        node.admission.recv().await.unwrap().reply.send(Verdict::Admitted);
        assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
        turns += 1;
        assert!(turns < 1_000_000);
    }
    drop(lazy_events);
}

#[tokio::test]
async fn stopping_says_goodbye_and_ends() {
    let mut node = Node::start().await;
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    node.stop.send(true).unwrap();
    let why = closed(&mut events).await;
    assert!(why.contains("0x8b"), "{why}");
    (&mut node.serving).await.unwrap();
    assert!(matches!(node.connect_pinning(GATEWAY, public(NODE)).await, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves() {
    let node = Node::start().await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    drop(client);
    assert!(closed(&mut events).await.contains("goodbye"));
    while !node.sessions.connected().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_certificate_gives_its_key_and_nothing_else_passes_for_one() {
    let (certificate, _) = tls::self_signed(&GATEWAY).unwrap();
    assert_eq!(tls::key_of(&certificate), Some(public(GATEWAY)));
    assert_eq!(tls::key_of(&b"no certificate"[..].into()), None);
    assert_eq!(tls::key_of(&vec![0x30; 10_000].into()), None);
    let p256 = rcgen::generate_simple_self_signed(vec![]).unwrap();
    assert_eq!(tls::key_of(p256.cert.der()), None);
}
