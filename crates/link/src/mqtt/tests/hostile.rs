//! Floods, slow hands and wrong papers, on real sockets. A healthy gateway goes on beside them.

use super::*;
use crate::Rate;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

const OTHER: [u8; 32] = [3; 32];
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x00";

async fn node(bounds: Bounds) -> Node {
    let node = Node::bounded(bounds).await;
    node.ledger.0.lock().insert(public(OTHER));
    node
}

/// A certificate of this key that says what it likes.
fn paper(
    seed: [u8; 32],
    write: impl Fn(&mut CertificateParams),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let (_, key) = tls::self_signed(&seed).unwrap();
    let pkcs8 = PrivatePkcs8KeyDer::from(key.secret_der().to_vec());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    write(&mut params);
    (params.self_signed(&pair).unwrap().der().clone(), key)
}

/// A TLS connection with somebody's key, without an MQTT client.
async fn raw(node: &Node, seed: [u8; 32]) -> TlsStream<TcpStream> {
    let (certificate, key) = tls::self_signed(&seed).unwrap();
    let config = tls::client_config(certificate, key, public(NODE)).unwrap();
    let tcp = TcpStream::connect(node.address).await.unwrap();
    let name = ServerName::try_from("node.invalid").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

/// Reads until the other side closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

/// The healthy gateway's envelope is acknowledged.
async fn goes_on(node: &mut Node, client: &Client, events: &mut Events) {
    let sent = client.publish(true, b"sealed".to_vec()).unwrap();
    loop {
        let offered = node.admission.recv().await.unwrap();
        let ours = offered.from == id(GATEWAY);
        offered.reply.send(Verdict::Admitted);
        if ours {
            break;
        }
    }
    assert_eq!(events.next().await, Some(Event::Acked { id: sent }));
}

#[tokio::test]
async fn dates_and_names_in_a_certificate_decide_nothing_the_registry_does() {
    let node = node(Bounds::default()).await;
    type Write = fn(&mut CertificateParams);
    let papers: [(&str, Write); 4] = [
        ("expired", |p| p.not_after = rcgen::date_time_ymd(1999, 1, 1)),
        ("not valid yet", |p| p.not_before = rcgen::date_time_ymd(2999, 1, 1)),
        ("another name", |p| {
            p.distinguished_name.push(DnType::CommonName, id(OTHER).to_string());
            p.subject_alt_names = vec![SanType::DnsName("other.invalid".try_into().unwrap())];
        }),
        ("for servers", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ];
    for (what, write) in papers {
        // With a registered key it is who the key says.
        let (certificate, key) = paper(GATEWAY, write);
        let config = Arc::new(thief::config(certificate, key));
        let address = node.address.to_string();
        let (client, _events) = Client::connect(&address, config, id(GATEWAY)).await.unwrap();
        assert_eq!(node.sessions.connected(), [id(GATEWAY)], "{what}");
        drop(client);
        // With another key the same words open nothing.
        let (certificate, key) = paper([9; 32], write);
        let config = Arc::new(thief::config(certificate, key));
        assert!(Client::connect(&address, config, id(GATEWAY)).await.is_err(), "{what}");
        node.counted(LinkRefusal::KeyNotAdmitted).await;
    }
}

#[tokio::test]
async fn a_certificate_of_another_device_is_refused_and_counted() {
    let node = node(Bounds::default()).await;
    let (certificate, _) = tls::self_signed(&GATEWAY).unwrap();
    let (_, thief_key) = tls::self_signed(&[9; 32]).unwrap();
    let config = Arc::new(thief::config(certificate, thief_key));
    assert!(Client::connect(&node.address.to_string(), config, id(GATEWAY)).await.is_err());
    node.counted(LinkRefusal::TlsBroken).await;
    // A registered device under another's client id.
    let (certificate, key) = tls::self_signed(&OTHER).unwrap();
    let config = Arc::new(tls::client_config(certificate, key, public(NODE)).unwrap());
    let refused = Client::connect(&node.address.to_string(), config, id(GATEWAY)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { code: 0x85, .. }), "{refused}");
    node.counted(MqttRefusal::ClientId).await;
    assert_eq!(node.sessions.connected(), []);
}

#[tokio::test]
async fn a_certificate_with_another_kind_of_key_is_refused_and_counted() {
    let node = node(Bounds::default()).await;
    let made = rcgen::generate_simple_self_signed(vec![]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(thief::Anybody))
            .with_client_auth_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
    assert!(Client::connect(&node.address.to_string(), Arc::new(config), id(GATEWAY)).await.is_err());
    let seen = loop {
        if let Some(why) = node.refused.lock().pop() {
            break why;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(seen, LinkRefusal::CertificateWrong | LinkRefusal::TlsBroken), "{seen:?}");
}

#[tokio::test]
async fn slow_hands_lose_their_place_and_hold_up_nobody() {
    let mut node = node(Bounds {
        connect_timeout: Duration::from_millis(300),
        packet_timeout: Duration::from_millis(300),
        ..Bounds::default()
    })
    .await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    // Silent at TLS, silent before CONNECT, half a CONNECT, half a PUBLISH.
    let mut at_tls = TcpStream::connect(node.address).await.unwrap();
    let mut before = raw(&node, OTHER).await;
    let mut half_connect = raw(&node, OTHER).await;
    half_connect.write_all(&CONNECT[..7]).await.unwrap();
    let mut half_publish = raw(&node, OTHER).await;
    half_publish.write_all(CONNECT).await.unwrap();
    half_publish.write_all(&[0x32, 0xff, 0xff, 0x04, 0, 30]).await.unwrap();
    goes_on(&mut node, &client, &mut events).await;
    assert!(rest(&mut at_tls).await.is_empty());
    node.counted(LinkRefusal::HandshakeSlow).await;
    assert!(rest(&mut before).await.is_empty() && rest(&mut half_connect).await.is_empty());
    node.counted(MqttRefusal::ConnectSlow).await;
    node.counted(MqttRefusal::ConnectSlow).await;
    // Bytes that trickle in end no packet: the time counts from its first.
    let (mut read, mut write) = tokio::io::split(half_publish);
    let trickle = async { while write.write_all(b"x").await.is_ok() && write.flush().await.is_ok() {} };
    // One reader to the end: what it has taken is not lost when writing fails first.
    let mut reading = std::pin::pin!(rest(&mut read));
    let said = tokio::select! {
        said = &mut reading => said,
        () = trickle => reading.await,
    };
    assert_eq!(said[0], 0x20, "it was welcome");
    node.counted(MqttRefusal::PacketSlow).await;
    goes_on(&mut node, &client, &mut events).await;
}

#[tokio::test]
async fn one_that_never_ends_a_packet_is_silent_however_much_it_says() {
    let node = node(Bounds { packet_timeout: Duration::from_secs(600), ..Bounds::default() }).await;
    let mut stream = raw(&node, OTHER).await;
    // A keep-alive of one second.
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x01\x00\x00\x00").await.unwrap();
    stream.write_all(&[0x32, 0xff, 0xff, 0x04, 0, 30]).await.unwrap();
    assert_eq!(rest(&mut stream).await[0], 0x20);
    node.counted(MqttRefusal::KeepAlive).await;
}

#[tokio::test]
async fn a_connection_flood_of_one_address_is_closed_at_once_and_counted() {
    let mut node = node(Bounds {
        unauthenticated_max: 8,
        unauthenticated_per_address_max: 2,
        address_rate: Rate::per_second(6, 1),
        ..Bounds::default()
    })
    .await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(node.address).await.unwrap());
    }
    let mut third = TcpStream::connect(node.address).await.unwrap();
    assert!(rest(&mut third).await.is_empty());
    node.counted(LinkRefusal::AddressFull).await;
    for _ in 0..8 {
        let mut more = TcpStream::connect(node.address).await.unwrap();
        assert!(rest(&mut more).await.is_empty());
    }
    node.counted(LinkRefusal::AddressRate).await;
    // Another address finds its place.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let tcp = socket.connect(node.address).await.unwrap();
    let (certificate, key) = tls::self_signed(&OTHER).unwrap();
    let config = tls::client_config(certificate, key, public(NODE)).unwrap();
    let name = ServerName::try_from("node.invalid").unwrap();
    let mut other = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    other.write_all(CONNECT).await.unwrap();
    let mut welcome = [0; 4];
    other.read_exact(&mut welcome).await.unwrap();
    assert_eq!((welcome[0], welcome[3]), (0x20, 0));
    goes_on(&mut node, &client, &mut events).await;
}

#[tokio::test]
async fn no_more_connections_than_there_are_places() {
    let node = node(Bounds { connections_max: 1, ..Bounds::default() }).await;
    let (_client, _events) = node.connect(GATEWAY).await.unwrap();
    let mut more = TcpStream::connect(node.address).await.unwrap();
    assert!(rest(&mut more).await.is_empty());
    node.counted(LinkRefusal::ConnectionsFull).await;
}

#[tokio::test]
async fn a_stranger_gives_way_to_an_address_with_fewer() {
    let node = node(Bounds { unauthenticated_max: 2, ..Bounds::default() }).await;
    let mut first = TcpStream::connect(node.address).await.unwrap();
    let _second = TcpStream::connect(node.address).await.unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let _other = socket.connect(node.address).await.unwrap();
    assert!(rest(&mut first).await.is_empty());
    node.counted(LinkRefusal::UnauthenticatedEvicted).await;
    // Now each has one, and a third address would take nobody's last.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.3:0".parse().unwrap()).unwrap();
    let mut third = socket.connect(node.address).await.unwrap();
    assert!(rest(&mut third).await.is_empty());
    node.counted(LinkRefusal::UnauthenticatedFull).await;
}

#[tokio::test]
async fn a_reconnect_storm_of_a_registered_device_is_told_to_wait() {
    let mut node = node(Bounds { device_rate: Rate::per_second(3, 1), ..Bounds::default() }).await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let mut code = 0;
    for _ in 0..10 {
        match node.connect(OTHER).await {
            Ok(_) => {}
            Err(ConnectError::Refused { code: said, reason }) => {
                assert!(reason.contains("too often"), "{reason}");
                code = said;
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(code, 0x9f);
    node.counted(LinkRefusal::ReconnectRate).await;
    goes_on(&mut node, &client, &mut events).await;
}

#[tokio::test]
async fn a_topic_flood_ends_its_session_and_no_other() {
    let mut node = node(Bounds { refusal_rate: Rate::per_second(5, 1), ..Bounds::default() }).await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let mut flood = raw(&node, OTHER).await;
    flood.write_all(CONNECT).await.unwrap();
    let topic = crate::mqtt::topic::of(id(GATEWAY), crate::mqtt::topic::Lane::Alarm);
    let mut publish =
        vec![0x32, u8::try_from(topic.len() + 6).unwrap(), 0, u8::try_from(topic.len()).unwrap()];
    publish.extend_from_slice(topic.as_bytes());
    publish.extend_from_slice(&[0, 9, 0, b'x']);
    let _ = flood.write_all(&publish.repeat(100)).await;
    let said = rest(&mut flood).await;
    assert!(said.windows(2).any(|bytes| bytes == [0, 0x96] || bytes[1] == 0x96), "DISCONNECT under 0x96");
    node.counted(MqttRefusal::TopicForeign).await;
    node.counted(MqttRefusal::RefusalRate).await;
    goes_on(&mut node, &client, &mut events).await;
}

#[tokio::test]
async fn more_than_its_pace_is_read_later_and_nothing_is_lost() {
    let mut node = node(Bounds { pace: Rate::per_second(10_000, 1_000_000), ..Bounds::default() }).await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    for round in 0..10 {
        for _ in 0..8 {
            client.publish(false, vec![round; 9000]).unwrap();
        }
        for _ in 0..8 {
            let offered = node.admission.recv().await.unwrap();
            assert_eq!(offered.bytes, [round; 9000]);
            offered.reply.send(Verdict::Admitted);
            assert!(matches!(events.next().await, Some(Event::Acked { .. })));
        }
    }
    node.counted(LinkRefusal::Paced).await;
}

#[tokio::test]
async fn one_that_breaks_the_protocol_is_told_closed_and_counted() {
    let mut node = node(Bounds::default()).await;
    let (client, mut events) = node.connect(GATEWAY).await.unwrap();
    let mut stream = raw(&node, OTHER).await;
    stream.write_all(CONNECT).await.unwrap();
    stream.write_all(CONNECT).await.unwrap();
    let said = rest(&mut stream).await;
    assert_eq!(said[0], 0x20);
    node.counted(MqttRefusal::Protocol).await;
    let mut garbage = raw(&node, OTHER).await;
    let _ = garbage.write_all(&[0xa5; 4096]).await;
    assert!(rest(&mut garbage).await.is_empty());
    node.counted(MqttRefusal::Malformed).await;
    goes_on(&mut node, &client, &mut events).await;
}
