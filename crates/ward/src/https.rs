//! HTTPS of a ward: an authority of its own, made once and kept, and a certificate for this machine, renewed before it
//! ends. A browser trusts neither until its user tells it to; the ward says how.
//!
//! The authority can vouch for this machine alone (name constraints, RFC 5280, section 4.2.1.10): whoever steals its key
//! gains nothing on any other name. It is valid at any date, so that a ward whose clock is moved keeps it.

use crate::folders::save;
use crate::output::say;
use anyhow::{Context, Result};
use host::clock;
use link::certificate_validity::{Validity, validity};
use link::pem;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vitals::ids::sha256;

const DAY_S: i64 = 86_400;
/// How long the server's certificate is valid.
const VALID_DAYS: i64 = 90;
/// It is made anew when fewer are left.
const RENEW_DAYS: i64 = 30;
/// It begins a day before it is made: a clock that is set right does not call it too early.
const EARLIER_DAYS: i64 = 1;
/// Before a certificate that could not be written is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(600);
/// The name of this machine, as people type it.
pub(crate) const NAME: &str = "localhost";

/// Authority and certificate of a ward.
pub(crate) struct Https {
    folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
    validity: Validity,
    /// When a renewal failed last.
    failed: Option<Instant>,
}

impl Https {
    /// Reads what an earlier start made in this folder, and makes what is missing or ends soon.
    ///
    /// # Errors
    /// The folder cannot be written, or the authority's key is damaged.
    pub(crate) fn open(folder: &Path, now_ms: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let (key, is_new) = authority_key(&folder.join("authority.key"))?;
        let params = authority_params(&key);
        let shown = folder.join("authority.pem");
        if is_new || !shown.exists() {
            let certificate = params.self_signed(&key).context("making the ward's authority")?;
            save(&shown, pem::armour("CERTIFICATE", certificate.der()).as_bytes())?;
        }
        // A certificate of another authority would be believed by nobody.
        let held = if is_new { None } else { std::fs::read(folder.join("server.pem")).ok() };
        let held = held.and_then(|text| validity(&pem::first_certificate(&text)?));
        let authority = Issuer::new(params, key);
        let never = Validity { begins_s: 0, ends_s: 0 };
        let mut https =
            Self { folder: folder.to_owned(), authority, validity: held.unwrap_or(never), failed: None };
        if https.is_due(now_ms) {
            https.make(now_ms)?;
        }
        Ok(https)
    }

    /// What people tell their browsers to trust.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Certificate and key of the nodes: one file, so that no crash leaves two that do not match.
    pub(crate) fn server_file(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// Makes the certificate anew if it ends soon, or if the clock was moved before its beginning; the nodes take it
    /// within seconds.
    pub(crate) fn renew(&mut self, now_ms: u64) {
        let since = |failed: Instant| clock::instant().saturating_duration_since(failed);
        let waits = self.failed.is_some_and(|failed| since(failed) < TRY_AGAIN);
        if waits || !self.is_due(now_ms) {
            return;
        }
        match self.make(now_ms) {
            Ok(()) => say(&format!("HTTPS:       a new certificate, for {VALID_DAYS} days")),
            Err(why) => {
                self.failed = Some(clock::instant());
                say(&format!(
                    "The certificate of the pages could not be renewed: {}",
                    host::sentence(why.as_ref())
                ));
            }
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        let now_s = seconds(now_ms);
        now_s < self.validity.begins_s || now_s > self.validity.ends_s - RENEW_DAYS * DAY_S
    }

    fn make(&mut self, now_ms: u64) -> Result<()> {
        let now_s = seconds(now_ms);
        let begins_s = (now_s - EARLIER_DAYS * DAY_S).max(0);
        let wanted = Validity { begins_s, ends_s: now_s + VALID_DAYS * DAY_S };
        let names = [NAME, "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).context("naming this machine")?;
        params.distinguished_name = named(NAME.to_owned());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let moment = |at_s: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at_s.unsigned_abs());
        (params.not_before, params.not_after) = (moment(wanted.begins_s), moment(wanted.ends_s));
        // Positive, and never the same twice: Firefox refuses two certificates of one authority under one number.
        let mut serial = clock::random::<16>();
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(serial.to_vec().into());
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.authority).context("making a certificate")?;
        let both =
            [pem::armour("CERTIFICATE", certificate.der()), pem::armour("PRIVATE KEY", key.serialized_der())];
        save(&self.server_file(), both.concat().as_bytes())?;
        (self.validity, self.failed) = (wanted, None);
        Ok(())
    }

    /// How to make programs trust the ward, for an address of its pages.
    pub(crate) fn advice(&self, address: &str) -> String {
        let file = self.authority_file();
        let file = file.display();
        format!(
            "HTTPS: the ward's own authority vouches for these pages, and for nothing but this machine. Browsers warn \
             until they trust it:\n  \
             Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import:\n                   {file}\n  \
             Chrome (Linux)   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n \"Aceso ward\" -i {file}\n                   \
             (certutil is in Debian's package libnss3-tools)\n  \
             curl             curl --cacert {file} {address}healthz"
        )
    }
}

/// What the configuration of a node says of HTTPS: one line of its top level.
const LINE: &str = "web_tls = ";

/// Writes into a node's configuration that it serves its pages under this file, or as plain HTTP.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn configure(config: &Path, server: Option<&Path>) -> Result<()> {
    let text = std::fs::read_to_string(config).with_context(|| format!("reading {}", config.display()))?;
    let line = server
        .map(|file| format!("{LINE}{{ certificate = {file:?}, key = {file:?} }}\n"))
        .unwrap_or_default();
    let rest = text.lines().filter(|line| !line.starts_with(LINE)).map(|line| format!("{line}\n"));
    save(config, (line + &rest.collect::<String>()).as_bytes())
}

/// The authority's key, and whether it was made now.
fn authority_key(file: &Path) -> Result<(KeyPair, bool)> {
    let held = match std::fs::read(file) {
        Ok(held) => held,
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let key = new_key()?;
            save(file, key.serialized_der())?;
            return Ok((key, true));
        }
        Err(why) => return Err(why).with_context(|| format!("reading {}", file.display())),
    };
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&held.as_slice().into(), &PKCS_ECDSA_P256_SHA256);
    let damaged = || {
        format!(
            "{} is damaged: put it back, or delete it; the ward then makes another authority, and browsers have to \
             be told again",
            file.display()
        )
    };
    Ok((key.with_context(damaged)?, false))
}

/// A key that every browser takes.
fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("making a key")
}

/// The same for the same key.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mark = hex::encode(&sha256(&[key.public_key_raw()])[..4]);
    let mut params = CertificateParams::default();
    params.distinguished_name = named(format!("Aceso ward authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(NAME.to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 1], [255; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(std::net::Ipv6Addr::LOCALHOST.octets(), [255; 16])),
        ],
        excluded_subtrees: Vec::new(),
    });
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(1970, 1, 1), rcgen::date_time_ymd(2100, 1, 1));
    params
}

fn named(name: String) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::OrganizationName, "Aceso");
    all.push(DnType::CommonName, name);
    all
}

fn seconds(now_ms: u64) -> i64 {
    i64::try_from(now_ms / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
