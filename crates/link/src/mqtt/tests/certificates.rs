//! Clients that check the node's certificate by their own clock, and clients that hold the certificate of an earlier
//! build.

use super::*;
use crate::server_certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// A clock that stands.
#[derive(Debug)]
struct Standing(Duration);

impl TimeProvider for Standing {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0))
    }
}

/// What a client of another maker does with the certificate it was given.
#[derive(Debug)]
enum Pinned {
    /// As rustls does: it must be signed by the one given, and valid now.
    Root(RootCertStore),
    /// As OpenSSL does with self-signed ones: it must be the very same as one of these.
    Same(Vec<CertificateDer<'static>>),
}

#[derive(Debug)]
struct Verifier {
    pinned: Pinned,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.pinned {
            Pinned::Same(pinned) if pinned.contains(shown) => {}
            Pinned::Same(_) => return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            Pinned::Root(roots) => verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(shown)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls::verify_handshake(&self.provider, message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

fn root(certificate: &CertificateDer<'static>) -> Pinned {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    Pinned::Root(roots)
}

/// Connects the gateway with a verifier of its own, at this time.
async fn connect(node: &Node, pinned: Pinned, at: Duration) -> Result<(Client, Events), ConnectError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (certificate, key) = tls::self_signed(&GATEWAY).unwrap();
    let config = ClientConfig::builder_with_details(provider.clone(), Arc::new(Standing(at)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { pinned, provider }))
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    Client::connect(&node.address.to_string(), Arc::new(config), id(GATEWAY)).await
}

const EPOCH: Duration = Duration::ZERO;
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[tokio::test]
async fn a_device_whose_clock_says_1970_connects() {
    let node = Node::start().await;
    let (certificate, _) = tls::self_signed(&NODE).unwrap();
    for at in [EPOCH, Duration::from_secs(1), YEAR * 5, YEAR * 57, YEAR * 69, YEAR * 1000] {
        connect(&node, root(&certificate), at).await.unwrap_or_else(|why| panic!("{at:?}: {why}"));
    }
}

#[tokio::test]
async fn a_device_that_holds_the_certificate_of_an_earlier_build_gets_in_at_its_second_attempt() {
    let node = Node::start().await;
    let (earlier, _) = tls::earlier_self_signed(&NODE).unwrap();
    let (present, _) = tls::self_signed(&NODE).unwrap();
    let now = YEAR * 57;
    for (attempt, pinned) in [(1, &earlier), (2, &earlier), (3, &earlier), (4, &present), (5, &present)] {
        // The first of each kind finds the certificate of the other.
        match connect(&node, Pinned::Same(vec![pinned.clone()]), now).await {
            Ok(_) => assert!(![1, 4].contains(&attempt), "attempt {attempt}"),
            Err(why) => {
                assert!([1, 4].contains(&attempt), "attempt {attempt}: {why}");
                node.counted(LinkRefusal::TlsBroken).await;
            }
        }
    }
}

#[tokio::test]
async fn a_device_at_1970_is_not_kept_out_by_one_of_an_earlier_build_behind_the_same_address() {
    let node = Node::start().await;
    let (earlier, _) = tls::earlier_self_signed(&NODE).unwrap();
    let (present, _) = tls::self_signed(&NODE).unwrap();
    assert!(connect(&node, Pinned::Same(vec![earlier]), YEAR * 57).await.is_err());
    node.counted(LinkRefusal::TlsBroken).await;
    assert!(connect(&node, root(&present), EPOCH).await.is_err(), "the earlier one is not valid yet");
    node.counted(LinkRefusal::TlsBroken).await;
    connect(&node, root(&present), EPOCH).await.unwrap();
}

#[tokio::test]
async fn a_device_that_keeps_what_it_fetched_is_let_in_whatever_others_behind_its_address_hold() {
    let node = Node::start().await;
    let (earlier, _) = tls::earlier_self_signed(&NODE).unwrap();
    let now = YEAR * 57;
    for _ in 0..2 {
        let (certificate, key) = tls::self_signed(&GATEWAY).unwrap();
        let config = Arc::new(tls::client_config(certificate, key, public(NODE)).unwrap());
        let fetched = server_certificate::fetch(&node.address.to_string(), config).await.unwrap();
        let fetched: Vec<CertificateDer<'static>> = fetched.into_iter().map(Into::into).collect();
        assert_eq!(fetched.len(), 2, "both, whichever comes first");
        assert!(fetched.contains(&earlier));
        connect(&node, Pinned::Same(fetched), now).await.unwrap();
        // One that holds the earlier one alone turns the order.
        if connect(&node, Pinned::Same(vec![earlier.clone()]), now).await.is_err() {
            node.counted(LinkRefusal::TlsBroken).await;
        }
    }
}

/// Why a certificate begins no earlier, though its format could say so.
#[test]
fn a_certificate_from_before_unix_time_is_unreadable_to_rustls() {
    let (_, key) = tls::self_signed(&NODE).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.secret_der().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).unwrap();
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    for (year, good) in [(1950, false), (1969, false), (1970, true)] {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&pair).unwrap().der().clone();
        let Pinned::Root(roots) = root(&certificate) else { panic!("a root") };
        let parsed = ParsedCertificate::try_from(&certificate).unwrap();
        let now = UnixTime::since_unix_epoch(YEAR * 57);
        let done = verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms);
        assert_eq!(done.is_ok(), good, "{year}: {done:?}");
    }
}

/// The DER of a time before 2050: UTCTime, as RFC 5280 asks.
fn utc_time(text: &str) -> Vec<u8> {
    [&[0x17, 13], text.as_bytes()].concat()
}

#[test]
fn certificates_begin_and_end_when_they_should_and_are_the_same_at_each_start() {
    let holds = |certificate: &CertificateDer<'_>, what: &[u8]| {
        certificate.as_ref().windows(what.len()).any(|window| window == what)
    };
    let end = [&[0x18, 15], b"40960101000000Z".as_slice()].concat();
    for seed in [NODE, GATEWAY] {
        let (present, _) = tls::self_signed(&seed).unwrap();
        let (earlier, _) = tls::earlier_self_signed(&seed).unwrap();
        assert!(holds(&present, &utc_time("700101000000Z")) && holds(&present, &end));
        assert!(holds(&earlier, &utc_time("750101000000Z")) && holds(&earlier, &end));
        assert_eq!(tls::self_signed(&seed).unwrap().0, present);
        assert_eq!(tls::key_of(&present), tls::key_of(&earlier));
        assert!(holds(&present, b"\x0c\x07aceso-2") && holds(&earlier, b"\x0c\x05aceso"));
    }
}
