//! TLS 1.3 without a certificate authority: both sides show a self-signed Ed25519 certificate; the
//! node looks the key up in the registry, the device pins the node's. No resumption, no tickets, so
//! that a revoked key is seen at the next handshake.

use crate::ingress::Registry;
use crate::refusal::LinkRefusal;
use crate::uplink::ConnectError;
use parking_lot::Mutex;
use quota::{Bucket, Rate};
pub use rustls::ClientConfig as Config;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    AlertDescription as Alert, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    ServerConfig,
};
use rustls::{Error, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// DER before the 32 bytes of an Ed25519 private key (RFC 8410, PKCS#8 version 1).
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// DER before the 32 bytes of an Ed25519 public key (RFC 8410, SubjectPublicKeyInfo).
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// Longest certificate parsed, bytes.
const CERTIFICATE_BYTES_MAX: usize = 4096;
/// Log lines about refused clients: a flood of them must not fill a disk.
const SENTENCES: Rate = Rate::per_second(32, 1);

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be written.
    #[error("the certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused certificate or key.
    #[error("the TLS library refused the certificate or key: {0}")]
    Config(#[from] Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Subject and issuer of a certificate. Not that of earlier builds: OpenSSL tells two certificates of one
/// key in one file apart only by their names.
const NAME: &str = "aceso-2";
/// Subject and issuer of the certificates of earlier builds.
const EARLIER_NAME: &str = "aceso";
/// Year in which a certificate begins: that of Unix time 0, where a device without a set clock stands. Not
/// before, though UTCTime (RFC 5280, section 4.1.2.5.1) reaches back to 1950: rustls and others
/// read no date before Unix time.
const BEGINS: i32 = 1970;
/// Year in which the certificates of earlier builds began.
const BEGAN_EARLIER: i32 = 1975;
/// Year in which a certificate ends.
const ENDS: i32 = 4096;

/// A certificate and its private key.
pub type Certified = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A self-signed X.509 v3 certificate of the Ed25519 key with this seed, valid from Unix time 0 to the
/// year 4096. It names nobody: trust is in the key alone. The same seed gives the same bytes.
///
/// # Errors
/// If the certificate cannot be written.
pub fn self_signed(seed: &[u8; 32]) -> Result<Certified, TlsError> {
    self_signed_from(seed, NAME, BEGINS)
}

/// The certificate of the same key as earlier builds wrote it, for clients that hold it.
///
/// # Errors
/// If the certificate cannot be written.
pub fn earlier_self_signed(seed: &[u8; 32]) -> Result<Certified, TlsError> {
    self_signed_from(seed, EARLIER_NAME, BEGAN_EARLIER)
}

fn self_signed_from(seed: &[u8; 32], name: &str, year: i32) -> Result<Certified, TlsError> {
    let pkcs8 = [PKCS8_ED25519.as_slice(), seed].concat();
    let key = PrivatePkcs8KeyDer::from(pkcs8);
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(ENDS, 1, 1);
    let certificate = params.self_signed(&pair)?;
    Ok((certificate.der().clone(), PrivateKeyDer::Pkcs8(key)))
}

/// The Ed25519 key in a certificate; nothing if it holds another kind of key or is no certificate.
#[must_use]
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    if certificate.len() > CERTIFICATE_BYTES_MAX {
        return None;
    }
    let info = ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info();
    info.as_ref().strip_prefix(&SPKI_ED25519)?.try_into().ok()
}

/// The node's side: TLS 1.3 only, a client certificate required, its key admitted by `registry`.
pub fn server_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    registry: Arc<dyn Registry>,
) -> Result<ServerConfig, TlsError> {
    server_config_of(vec![certificate], key, registry)
}

/// The same with further certificates of the same key, which clients may keep beside the first.
pub(crate) fn server_config_of(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    registry: Arc<dyn Registry>,
) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let log_lines = Mutex::new(Bucket::full(SENTENCES, 0));
    let verifier = Arc::new(RegisteredKey { registry, provider: provider.clone(), log_lines });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The device's side: TLS 1.3 only, the server must hold exactly `pinned_server_key`.
pub fn client_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pinned_server_key: [u8; 32],
) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = Arc::new(PinnedKey { pinned: pinned_server_key, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![certificate], key)?;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Why a handshake failed, as far as the error tells.
pub(crate) fn refusal_of(error: &std::io::Error) -> LinkRefusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            LinkRefusal::KeyNotAdmitted
        }
        Some(Error::InvalidCertificate(CertificateError::BadEncoding)) => LinkRefusal::CertificateWrong,
        _ => LinkRefusal::TlsBroken,
    }
}

/// Did the client end the handshake because of the certificate it was shown?
pub(crate) fn is_certificate_refused(error: &std::io::Error) -> bool {
    matches!(
        error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()),
        Some(Error::AlertReceived(
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateExpired | Alert::CertificateUnknown
        ))
    )
}

/// Says whose move a broken connection is, as far as TLS tells.
pub(crate) fn connect_error(error: std::io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_)) => ConnectError::NotThePinnedNode,
        Some(Error::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown,
        )) => ConnectError::NotAdmitted,
        Some(other) => ConnectError::Protocol(other.to_string()),
        None => ConnectError::Unreachable(error),
    }
}

fn refused() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// Is the handshake signed with the certificate's key?
pub(crate) fn verify_handshake(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    rustls::crypto::verify_tls13_signature(
        message,
        certificate,
        signature,
        &provider.signature_verification_algorithms,
    )
}

struct RegisteredKey {
    registry: Arc<dyn Registry>,
    provider: Arc<CryptoProvider>,
    /// Lines left for the log; the counters are not limited.
    log_lines: Mutex<Bucket>,
}

impl RegisteredKey {
    fn log(&self, now: UnixTime, why: &str) {
        let now_ms = now.as_secs().saturating_mul(1000);
        if self.log_lines.lock().take(now_ms).is_ok() {
            tracing::info!(why, "Refused a TLS client: {why}");
        }
    }
}

impl fmt::Debug for RegisteredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegisteredKey")
    }
}

impl ClientCertVerifier for RegisteredKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(key) = key_of(end_entity) else {
            self.log(now, LinkRefusal::CertificateWrong.sentence());
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        };
        match self.registry.admits(&key) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(sentence) => {
                self.log(now, &sentence);
                Err(refused())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[derive(Debug)]
struct PinnedKey {
    pinned: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match key_of(end_entity) {
            Some(key) if key == self.pinned => Ok(ServerCertVerified::assertion()),
            _ => Err(refused()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
