use super::*;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

const DAY_MS: u64 = 86_400_000;
/// 2026-11-30.
const NOW_MS: u64 = 1_795_996_800_000;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn files(&self) -> WebTlsConfig {
        WebTlsConfig { certificate: self.0.path().join("web.pem"), key: self.0.path().join("web.key") }
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.files().certificate, certificate).unwrap();
        std::fs::write(self.files().key, key).unwrap();
        set_permissions(self.files().key, Permissions::from_mode(0o600)).unwrap();
    }

    fn open(&self, now_ms: u64) -> Result<WebCertificate> {
        WebCertificate::open(self.files(), now_ms)
    }

    fn why(&self, now_ms: u64) -> String {
        format!("{:#}", self.open(now_ms).err().expect("refused"))
    }
}

/// A certificate that is valid from the first of this year to the first of that, and its key, as PEM.
fn made(from: i32, to: i32) -> (String, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["ward.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
    let certificate = params.self_signed(&pair).unwrap();
    (
        link::pem::armour("CERTIFICATE", certificate.der()),
        link::pem::armour("PRIVATE KEY", pair.serialized_der()),
    )
}

fn figure(certificate: &WebCertificate, name: &str) -> f64 {
    let gauges = certificate.gauges();
    let gauge = gauges.iter().find(|gauge| gauge.name == name).unwrap();
    (gauge.read)().unwrap()
}

fn ends(certificate: &WebCertificate) -> f64 {
    figure(certificate, "aceso_web_certificate_expiry_timestamp_seconds")
}

fn refused(certificate: &WebCertificate) -> bool {
    figure(certificate, "aceso_web_certificate_refused") > 0.0
}

const ENDS_2030: f64 = 1_893_456_000.0;
const ENDS_2031: f64 = 1_924_992_000.0;
const ENDS_2032: f64 = 1_956_528_000.0;

#[test]
fn files_of_no_use_are_named_at_the_start_with_what_to_do() {
    let folder = Folder::new();
    assert!(folder.why(NOW_MS).contains("web.pem"), "{}", folder.why(NOW_MS));
    let (certificate, key) = made(2026, 2030);
    let (other, _) = made(2026, 2030);
    let damaged = certificate.replace("-----END", "!-----END");
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let short = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, said) in [
        ("", key.as_str(), "holds no certificate"),
        (key.as_str(), key.as_str(), "holds no certificate"),
        (damaged.as_str(), key.as_str(), "cannot be read"),
        (short, key.as_str(), "cannot be read"),
        (certificate.as_str(), "", "holds no private key"),
        (certificate.as_str(), sealed, "without a passphrase"),
        (certificate.as_str(), certificate.as_str(), "holds no private key"),
        (other.as_str(), key.as_str(), "does not belong to the first certificate"),
        (certificate.repeat(11).as_str(), key.as_str(), "more than 10 certificates"),
    ] {
        folder.write(certificate, key);
        let why = folder.why(NOW_MS);
        assert!(why.starts_with("web_tls") && why.contains(said), "{said}: {why}");
    }
    folder.write(&certificate, &key);
    for mode in [0o644, 0o604, 0o660, 0o602] {
        set_permissions(folder.files().key, Permissions::from_mode(mode)).unwrap();
        let why = folder.why(NOW_MS);
        assert!(why.contains(&format!("mode {mode:04o}")) && why.contains("chmod 600"), "{why}");
    }
    set_permissions(folder.files().key, Permissions::from_mode(0o640)).unwrap();
    assert!((ends(&folder.open(NOW_MS).unwrap()) - ENDS_2030).abs() < 0.5);
    std::fs::remove_file(folder.files().key).unwrap();
    assert!(folder.why(NOW_MS).contains("web.key"));
    std::fs::create_dir(folder.files().key).unwrap();
    assert!(folder.why(NOW_MS).contains("is not a file"));
}

#[test]
fn one_file_may_hold_certificate_and_key() {
    let folder = Folder::new();
    let (certificate, key) = made(2026, 2030);
    let both = format!("{key}{certificate}");
    folder.write(&both, &both);
    folder.open(NOW_MS).unwrap();
}

#[test]
fn a_node_starts_with_a_certificate_that_is_not_valid_now_and_its_figure_says_when_it_ended() {
    let folder = Folder::new();
    let (certificate, key) = made(2020, 2025);
    folder.write(&certificate, &key);
    let ended = folder.open(NOW_MS).unwrap();
    assert!(ends(&ended) < 1_795_996_800.0);
    // A machine whose clock was lost.
    folder.open(0).unwrap();
    let validity = Validity { begins_s: 1_577_836_800, ends_s: 1_735_689_600 };
    let why = |now_ms| check_dates(validity, now_ms).unwrap_err().to_string();
    assert!(why(NOW_MS).contains("ended 698 days ago"), "{}", why(NOW_MS));
    assert!(why(0).contains("look at this machine's clock"));
    assert!(check_dates(validity, 1_735_689_600_999).is_ok(), "the last second counts");
    assert!(check_dates(validity, 1_577_836_800_000).is_ok(), "and the first");
}

#[test]
fn new_files_are_taken_and_files_of_no_use_leave_the_certificate_in_force() {
    let folder = Folder::new();
    let (certificate, key) = made(2026, 2030);
    let (next, next_key) = made(2026, 2031);
    folder.write(&certificate, &key);
    let mut held = folder.open(NOW_MS).unwrap();
    let two_looks = |held: &mut WebCertificate| {
        held.look(NOW_MS);
        let at_once = refused(held);
        held.look(NOW_MS);
        (at_once, refused(held), ends(held))
    };
    assert_eq!(two_looks(&mut held), (false, false, ENDS_2030), "nothing changed");
    let (certificate_in_force, key_in_force) = (certificate.clone(), key.clone());
    let (ended, ended_key) = made(2020, 2025);
    let (early, early_key) = made(2027, 2032);
    for (certificate, key) in [
        (next.as_str(), key.as_str()),
        (certificate.as_str(), next_key.as_str()),
        ("", key.as_str()),
        ("half a f", "ile"),
        (ended.as_str(), ended_key.as_str()),
        (early.as_str(), early_key.as_str()),
    ] {
        folder.write(certificate, key);
        // Two files are not replaced at one instant: a pair is judged when it still stands at the second look.
        assert_eq!(two_looks(&mut held), (false, true, ENDS_2030));
        folder.write(&certificate_in_force, &key_in_force);
        held.look(NOW_MS);
        assert!(!refused(&held), "the one in force is there again");
    }
    std::fs::remove_file(folder.files().certificate).unwrap();
    assert_eq!(two_looks(&mut held), (false, true, ENDS_2030), "what is gone is of no use");
    folder.write(&next, &next_key);
    held.look(NOW_MS);
    assert_eq!((refused(&held), ends(&held)), (false, ENDS_2031), "taken at the first look");
    folder.write(&early, &early_key);
    assert_eq!(two_looks(&mut held), (false, true, ENDS_2031));
    held.look(NOW_MS + 60 * DAY_MS);
    assert_eq!((refused(&held), ends(&held)), (false, ENDS_2032), "taken once it has begun");
}

#[test]
fn the_log_is_reminded_once_a_day_before_the_end_and_after_it() {
    let folder = Folder::new();
    let (certificate, key) = made(2026, 2030);
    folder.write(&certificate, &key);
    let mut held = folder.open(NOW_MS).unwrap();
    let end_ms = 1_893_456_000_000;
    for (at_ms, said) in [
        (NOW_MS, None),
        (end_ms - 15 * DAY_MS, None),
        (end_ms - 13 * DAY_MS, Some(13)),
        (end_ms - 13 * DAY_MS + 1000, Some(12)),
        (end_ms + 1000, Some(-1)),
    ] {
        held.look(at_ms);
        assert_eq!(held.reminded, said);
    }
}
