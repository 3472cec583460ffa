use super::*;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

const DAY_MS: u64 = 86_400_000;
/// 2026-11-30.
const NOW_MS: u64 = 1_795_996_800_000;

fn held(https: &Https) -> Validity {
    let text = std::fs::read(https.server_file()).unwrap();
    validity(&pem::first_certificate(&text).unwrap()).unwrap()
}

/// What OpenSSL thinks of a certificate under the ward's authority, at this time.
fn verified(https: &Https, certificate: &Path, now_ms: u64, as_whom: &[&str]) -> Result<(), String> {
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &(now_ms / 1000).to_string()])
        .args(as_whom)
        .arg("-CAfile")
        .arg(https.authority_file())
        .arg(certificate)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn openssl_believes_the_ward_for_this_machine_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let https = Https::open(folder.path(), NOW_MS).unwrap();
    let server = https.server_file();
    for as_whom in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
        verified(&https, &server, NOW_MS, &as_whom).unwrap();
    }
    let why = verified(&https, &server, NOW_MS, &["-verify_hostname", "ward.example"]).unwrap_err();
    assert!(why.contains("hostname mismatch"), "{why}");
    // Somebody who has stolen the authority's key.
    let key = new_key().unwrap();
    for name in ["hospital.example", "192.0.2.7"] {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let stolen = params.signed_by(&key, &https.authority).unwrap();
        let file = folder.path().join("stolen.pem");
        std::fs::write(&file, pem::armour("CERTIFICATE", stolen.der())).unwrap();
        let why = verified(&https, &file, NOW_MS, &[]).unwrap_err();
        assert!(why.contains("permitted subtree violation"), "{why}");
    }
    let why = verified(&https, &server, NOW_MS + 91 * DAY_MS, &[]).unwrap_err();
    assert!(why.contains("certificate has expired"), "{why}");
}

#[test]
fn the_authority_is_kept_and_its_key_is_its_owner_s_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = Https::open(folder.path(), NOW_MS).unwrap();
    let files = || {
        ["authority.key", "authority.pem", "server.pem"]
            .map(|name| std::fs::read(folder.path().join(name)).unwrap())
    };
    let before = files();
    for name in ["authority.key", "server.pem"] {
        assert_eq!(std::fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    drop(first);
    Https::open(folder.path(), NOW_MS + 59 * DAY_MS).unwrap();
    assert!(files() == before, "nothing is made that is there");
    std::fs::write(folder.path().join("server.pem"), "half a f").unwrap();
    let again = Https::open(folder.path(), NOW_MS).unwrap();
    verified(&again, &again.server_file(), NOW_MS, &[]).unwrap();
    let [key, shown, _] = files();
    assert!(key == before[0] && shown == before[1]);
    std::fs::write(folder.path().join("authority.key"), &key[..key.len() - 1]).unwrap();
    let why = format!("{:#}", Https::open(folder.path(), NOW_MS).err().unwrap());
    assert!(why.contains("is damaged: put it back, or delete it"), "{why}");
    std::fs::remove_file(folder.path().join("authority.key")).unwrap();
    let other = Https::open(folder.path(), NOW_MS).unwrap();
    verified(&other, &other.server_file(), NOW_MS, &[]).unwrap();
    assert!(files()[1] != before[1], "another authority, and a certificate of it");
}

#[test]
fn the_certificate_is_renewed_before_it_ends_and_when_the_clock_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let mut https = Https::open(folder.path(), NOW_MS).unwrap();
    let first = held(&https);
    https.renew(NOW_MS + 59 * DAY_MS);
    assert_eq!(held(&https), first, "not yet");
    // Forward, back to 1970, and far ahead.
    for now_ms in [NOW_MS + 61 * DAY_MS, 1000, NOW_MS, NOW_MS + 20_000 * DAY_MS] {
        https.renew(now_ms);
        let Validity { begins_s, ends_s } = held(&https);
        let now_s = seconds(now_ms);
        assert!(begins_s <= now_s && ends_s == now_s + VALID_DAYS * DAY_S, "{begins_s} {now_s} {ends_s}");
        verified(&https, &https.server_file(), now_ms, &["-verify_hostname", "localhost"]).unwrap();
    }
    let last = held(&https);
    std::fs::remove_dir_all(folder.path()).unwrap();
    https.renew(NOW_MS);
    assert!(https.failed.is_some() && https.validity == last, "said, and tried again later");
}

#[test]
fn a_node_s_configuration_says_https_in_one_line_that_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let own = "data_dir = \"/d\"\n\n[rpc]\n";
    std::fs::write(&config, own).unwrap();
    let read = || std::fs::read_to_string(&config).unwrap();
    for _ in 0..2 {
        configure(&config, Some(Path::new("/w/server.pem"))).unwrap();
        let line = "web_tls = { certificate = \"/w/server.pem\", key = \"/w/server.pem\" }\n";
        assert_eq!(read(), format!("{line}{own}"));
    }
    configure(&config, None).unwrap();
    assert_eq!(read(), own);
}
