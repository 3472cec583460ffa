//! HTTPS of a real node, asked by programs of others: curl and OpenSSL.

use crate::crash::roles::Role;
use crate::support::{Folder, aceso, ward_binary};
use rcgen::{CertificateParams, KeyPair};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How often curl tries again, a second apart: a node looks for a new certificate every five seconds.
const TRIES: &str = "60";

struct Node {
    role: Arc<Role>,
    port: String,
}

impl Node {
    fn start(folder: &Folder, config: &str) -> Self {
        let role = Role::keep_up("node", &["node", "--config", config], folder.path("node.log"));
        let ready = role.ready().unwrap();
        let port = ready["web"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
        Self { role, port }
    }

    /// `curl` with these options; what it says of the answer.
    fn curl(&self, folder: &Folder, options: &[&str], path: &str) -> Output {
        let trusted = folder.text("web.pem");
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--cacert", &trusted])
            .args(["--output", &folder.text("answer"), "--write-out"])
            .arg("%{http_version} %{http_code} %header{content-encoding}")
            .args(options)
            .arg(format!("https://localhost:{}{path}", self.port))
            .output()
            .unwrap()
    }

    fn openssl(&self, options: &[&str]) -> String {
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{}", self.port)])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One whose handshake failed may have ended before it is told to.
        let _ = child.stdin.take().unwrap().write_all(b"Q\n");
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// A certificate for this machine that vouches for itself.
fn write_certificate(folder: &Folder) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    // As ACME clients do: the new file takes the old one's place.
    for (name, label, der) in
        [("web.key", "PRIVATE KEY", key.serialized_der()), ("web.pem", "CERTIFICATE", certificate.der())]
    {
        let draft = folder.path("draft");
        std::fs::write(&draft, link::pem::armour(label, der)).unwrap();
        std::fs::set_permissions(&draft, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(&draft, folder.path(name)).unwrap();
    }
    folder.text("web.pem")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn curl_and_openssl_speak_https_with_a_node_and_see_its_renewed_certificate() {
    let folder = Folder::new();
    let config = folder.node_config();
    let trusted = write_certificate(&folder);
    let line = format!("web_tls = {{ certificate = {trusted:?}, key = {:?} }}\n", folder.text("web.key"));
    let own = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, line + &own).unwrap();
    let node = Node::start(&folder, &config);

    let answer = || std::fs::read(folder.path("answer")).unwrap();
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let said = |more: &[&str]| {
            let options: Vec<&str> = [option].into_iter().chain(more.iter().copied()).collect();
            said(&node.curl(&folder, &options, "/sign-in"))
        };
        assert_eq!(said(&[]), format!("{version} 200 "));
        let whole = answer();
        assert_eq!(said(&["--header", "Accept-Encoding: gzip"]), format!("{version} 200 gzip"));
        let packed = answer();
        assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < whole.len() / 2, "{}", packed.len());
        assert_eq!(said(&["--compressed"]), format!("{version} 200 gzip"));
        assert_eq!(answer().len(), whole.len(), "unpacked by curl");
    }
    let older = said(&node.curl(&folder, &["--tls-max", "1.2"], "/sign-in"));
    assert!(older.contains("curl: (35)"), "{older}");
    let hello = node.openssl(&["-tls1_3", "-alpn", "h2,http/1.1", "-CAfile", &trusted]);
    assert!(hello.contains("ALPN protocol: h2") && hello.contains("Verify return code: 0"), "{hello}");
    let hello = node.openssl(&["-tls1_2"]);
    assert!(hello.contains("alert protocol version"), "{hello}");

    // Renewed: whoever trusts only the new one is let in after a while, without a restart.
    write_certificate(&folder);
    let patient = ["--http2", "--retry", TRIES, "--retry-all-errors", "--retry-delay", "1"];
    let answer = said(&node.curl(&folder, &patient, "/healthz"));
    assert!(answer.starts_with("2 200 "), "{answer}");
    node.role.stop(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_node_whose_certificate_is_of_no_use_says_so_before_it_makes_anything() {
    let folder = Folder::new();
    let config = folder.node_config();
    let own = std::fs::read_to_string(&config).unwrap();
    let line = "web_tls = { certificate = '/nonexistent/web.pem', key = '/nonexistent/web.key' }\n";
    std::fs::write(&config, line.to_owned() + &own).unwrap();
    let output = aceso(&["node", "--config", &config]);
    let complaint = said(&output);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("certificate: opening /nonexistent/web.pem"), "{complaint}");
    assert!(!folder.path("node").exists(), "nothing was founded");
}

#[test]
fn a_ward_is_believed_by_whoever_trusts_its_authority_as_it_says() {
    let folder = Folder::new();
    let data = folder.text("data");
    let arguments = ["--patients", "1", "--duration", "12s", "--data", &data];
    let mut child = Command::new(ward_binary()).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.strip_prefix("Open ")?.to_owned())).unwrap();
    assert!(address.starts_with("https://localhost:") && address.ends_with('/'), "{address}");
    let told = lines.find_map(|line| Some(line.trim().strip_prefix("curl ")?.trim().to_owned())).unwrap();
    // As a shell would take it.
    let mut words = told.split(' ');
    assert_eq!(words.next(), Some("curl"));
    let asked = Command::new("curl").args(["--silent", "--show-error"]).args(words).output().unwrap();
    assert!(said(&asked).contains("well"), "{told}: {}", said(&asked));
    let stranger = Command::new("curl").args(["--silent", "--show-error", &address]).output().unwrap();
    assert_eq!(stranger.status.code(), Some(60), "{}", said(&stranger));
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
}
