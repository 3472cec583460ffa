//! A node and its gateways on real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Client, MqttRefusal, RECEIVE_MAXIMUM, serve};
use crate::node_certificates::NodeCertificates;
use crate::session_contract::{GATEWAY, Ledger, NODE, Node, Transport, id, public, session_contract};
use crate::{
    Bounds, ConnectError, Endpoint, Event, Events, LinkRefusal, Registry, Stop, Uplink, Verdict, tls,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

mod certificates;
mod hostile;

struct Mqtt;

impl Transport for Mqtt {
    type Client = Client;

    async fn serve(
        registry: Arc<Ledger>,
        endpoint: Arc<Endpoint>,
        stop: Stop,
    ) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let certificates = NodeCertificates::new(&NODE, &(registry as Arc<dyn Registry>)).unwrap();
        (address, tokio::spawn(serve(listener, certificates, endpoint, stop)))
    }

    async fn connect(address: SocketAddr, seed: [u8; 32]) -> Result<(Client, Events), ConnectError> {
        connect_pinning(address, seed, public(NODE)).await
    }
}

session_contract!(Mqtt);

async fn connect_pinning(
    address: SocketAddr,
    seed: [u8; 32],
    pinned: [u8; 32],
) -> Result<(Client, Events), ConnectError> {
    let (certificate, key) = tls::self_signed(&seed).unwrap();
    let config = tls::client_config(certificate, key, pinned).unwrap();
    Client::connect(&address.to_string(), Arc::new(config), id(seed)).await
}

impl Node {
    async fn start() -> Self {
        Self::quick::<Mqtt>().await
    }

    async fn bounded(bounds: Bounds) -> Self {
        Self::within::<Mqtt>(bounds).await
    }

    async fn connect(&self, seed: [u8; 32]) -> Result<(Client, Events), ConnectError> {
        Mqtt::connect(self.address, seed).await
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
async fn a_node_without_the_pinned_key_gets_nothing() {
    let mut node = Node::start().await;
    let refused = connect_pinning(node.address, GATEWAY, public([9; 32])).await.unwrap_err();
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
async fn a_gateway_that_was_taken_over_is_told_by_code() {
    let node = Node::start().await;
    let (_old, mut old_events) = node.connect(GATEWAY).await.unwrap();
    let _new = node.connect(GATEWAY).await.unwrap();
    assert!(closed(&mut old_events).await.contains("0x8e"));
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
async fn stopping_is_told_by_code() {
    let node = Node::start().await;
    let (_client, mut events) = node.connect(GATEWAY).await.unwrap();
    node.stop.send(true).unwrap();
    assert!(closed(&mut events).await.contains("0x8b"));
}

#[tokio::test]
async fn the_window_is_the_receive_maximum() {
    let node = Node::start().await;
    let (client, _events) = node.connect(GATEWAY).await.unwrap();
    assert_eq!(client.room(), usize::from(RECEIVE_MAXIMUM));
}

#[tokio::test]
async fn a_client_that_is_dropped_says_goodbye() {
    let node = Node::start().await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    drop(client);
    assert!(closed(&mut events).await.contains("goodbye"));
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
