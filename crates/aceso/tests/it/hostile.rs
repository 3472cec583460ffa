//! The list of refusals is complete and true, and a node under fire goes on.

use crate::support::{Folder, files, ward_binary};
use clinic::{MqttClass, Refusal};
use link::mqtt::{Client, MqttRefusal};
use link::{LinkRefusal, tls};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use vitals::DeviceId;
use vitals::envelope::Malformed;

/// One row of the page.
struct Row {
    code: Option<u8>,
    sentence: String,
    whose: String,
    tests: Vec<String>,
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows below this heading, by label.
fn table(heading: &str) -> BTreeMap<String, Row> {
    let page = std::fs::read_to_string(root().join("docs/wire.md")).unwrap();
    let (_, below) = page.split_once(heading).unwrap();
    let section = below.split("\n### ").next().unwrap();
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [label, code, sentence, whose, tests] = cells.as_slice() else { panic!("{line}") };
        let code = code.trim_matches('`').strip_prefix("0x").map(|hex| u8::from_str_radix(hex, 16).unwrap());
        let (sentence, whose) = ((*sentence).to_owned(), (*whose).to_owned());
        let row = Row { code, sentence, whose, tests: quoted(tests) };
        assert!(rows.insert(quoted(label).concat(), row).is_none(), "{line} stands twice");
    }
    rows
}

/// Each refusal leads to the next: one more variant does not compile until it has its place here.
fn next(refusal: Option<&Refusal>) -> Option<Refusal> {
    let (gateway, author) = (DeviceId([1; 16]), DeviceId([2; 16]));
    Some(match refusal {
        None => Refusal::Malformed(Malformed::Class),
        Some(Refusal::Malformed(_)) => Refusal::OtherLedger,
        Some(Refusal::OtherLedger) => Refusal::GatewayUnknown { gateway },
        Some(Refusal::GatewayUnknown { .. }) => Refusal::GatewayRevoked { gateway },
        Some(Refusal::GatewayRevoked { .. }) => Refusal::StreamUnknown,
        Some(Refusal::StreamUnknown) => Refusal::ClassWrong,
        Some(Refusal::ClassWrong) => Refusal::AuthorWrong,
        Some(Refusal::AuthorWrong) => Refusal::AuthorUnknown { author },
        Some(Refusal::AuthorUnknown { .. }) => Refusal::NotBound { author },
        Some(Refusal::NotBound { .. }) => Refusal::ForeignGateway { author },
        Some(Refusal::ForeignGateway { .. }) => Refusal::Retired { author, last_trusted_seq: 7 },
        Some(Refusal::Retired { .. }) => Refusal::Quarantined { author },
        Some(Refusal::Quarantined { .. }) => Refusal::KeyWeak { author },
        Some(Refusal::KeyWeak { .. }) => Refusal::SignatureWrong { author },
        Some(Refusal::SignatureWrong { .. }) => Refusal::Equivocation { seq: 7 },
        Some(Refusal::Equivocation { .. }) => Refusal::PrevBroken { seq: 7 },
        Some(Refusal::PrevBroken { .. }) => Refusal::EpochBeforePairing { epoch: 1, first: 2 },
        Some(Refusal::EpochBeforePairing { .. }) => Refusal::EpochOutOfReach { epoch: 9 },
        Some(Refusal::EpochOutOfReach { .. }) => return None,
    })
}

/// Does `said` read like the sentence, whose `{…}` stand for anything?
fn reads_like(said: &str, sentence: &str) -> bool {
    let mut rest = said;
    for (n, piece) in sentence.split('{').enumerate() {
        let piece = if n == 0 { piece } else { piece.split_once('}').map_or("", |(_, after)| after) };
        match rest.find(piece) {
            Some(at) if n > 0 || at == 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || sentence.ends_with('}')
}

#[test]
fn every_refusal_stands_in_the_table_with_its_code_its_sentence_and_a_test() {
    let mut sources = String::new();
    for path in files(&root().join("crates")) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let check = |label: &str, row: Row| {
        assert!(!row.whose.is_empty() && !row.tests.is_empty(), "{label}");
        for test in row.tests {
            assert!(
                sources.contains(&format!("fn {test}()")),
                "{label} names a test that is not there: {test}"
            );
        }
    };
    let mut envelopes = table("### Refused envelopes");
    let refusals: Vec<Refusal> = std::iter::successors(next(None), |last| next(Some(last))).collect();
    for refusal in &refusals {
        let label = refusal.code();
        let row = envelopes.remove(label).unwrap_or_else(|| panic!("{label} has no row"));
        let class: MqttClass = refusal.mqtt();
        assert_eq!(row.code, Some(class as u8), "{label}");
        assert!(reads_like(&refusal.to_string(), &row.sentence), "{label}: {refusal} / {}", row.sentence);
        check(label, row);
    }
    let mut links = table("### Refused at the link");
    let shared = LinkRefusal::SHARED.map(MqttRefusal::Link);
    let at_the_link: Vec<MqttRefusal> = shared.into_iter().chain(MqttRefusal::ALL).collect();
    for refusal in &at_the_link {
        let label = refusal.label();
        let row = links.remove(label).unwrap_or_else(|| panic!("{label} has no row"));
        assert_eq!((row.code, row.sentence.as_str()), (refusal.reason_code(), refusal.sentence()), "{label}");
        check(label, row);
    }
    let left: Vec<&String> = envelopes.keys().chain(links.keys()).collect();
    assert!(left.is_empty(), "nothing refuses under these: {left:?}");
    println!("{} refusals of envelopes, {} at the link", refusals.len(), at_the_link.len());
}

/// What the node counts; asked gently, because pages have quotas too.
fn metrics(web: &str) -> String {
    std::thread::park_timeout(Duration::from_millis(250));
    let mut said = String::new();
    if let Ok(mut stream) = TcpStream::connect(web) {
        let _ = write!(stream, "GET /metrics HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut said);
    }
    said
}

/// The value of this line of the metrics.
fn metric(said: &str, name: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().parse().unwrap_or(0)
}

/// Strangers of every kind, all at once, for a while.
fn fire(mqtt: &str) {
    let garbage: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0x16, 0x03, 0x01, 0xff, 0xff], &[0x10; 2048], &[0; 4096]];
    // More than one address may have: they hold their places until their time is over, so the node
    // has to hang up on the last of them.
    let silent: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(mqtt).unwrap()).collect();
    if let Some(mut last) = silent.last() {
        let _ = last.read_to_end(&mut Vec::new());
    }
    for round in 0..100 {
        if let Ok(mut stream) = TcpStream::connect(mqtt) {
            let _ = stream.write_all(garbage[round % garbage.len()]);
        }
    }
    drop(silent);
    for round in 0..100 {
        if let Ok(mut stream) = TcpStream::connect(mqtt) {
            let _ = stream.write_all(garbage[round % garbage.len()]);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

/// A stranger with a good certificate and the right node, whom nobody registered.
async fn knock(mqtt: &str, record_key: [u8; 32]) {
    for number in 1..=10 {
        let (certificate, key) = tls::self_signed(&[number; 32]).unwrap();
        let config = tls::client_config(certificate, key, record_key).unwrap();
        let refused = Client::connect(mqtt, Arc::new(config), DeviceId([number; 16])).await;
        assert!(matches!(refused, Err(link::ConnectError::NotAdmitted)));
    }
}

#[test]
fn a_node_under_fire_goes_on_acknowledging_its_gateway() {
    let folder = Folder::new();
    let (data, report, bundle) = (folder.text("data"), folder.text("report.json"), folder.text("bundle"));
    let arguments = [
        "--http",
        "--patients",
        "2",
        "--duration",
        "12s",
        "--data",
        &data,
        "--report",
        &report,
        "--bundle",
        &bundle,
    ];
    let mut child = Command::new(ward_binary()).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let web = lines
        .find_map(|line| Some(line.strip_prefix("Open http://")?.trim_end_matches('/').to_owned()))
        .unwrap();
    let config = std::fs::read_to_string(folder.path("data/gateway.toml")).unwrap();
    let mqtt =
        config.lines().find_map(|line| line.strip_prefix("node = ")).unwrap().trim_matches('"').to_owned();
    let connected = || metric(&metrics(&web), "aceso_envelopes_admitted_total ");
    while connected() == 0 {}
    let answer = gateway::third_party_sealer::record_key(&folder.path("data/gateway")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(knock(&mqtt, answer));
    let before = connected();
    fire(&mqtt);
    let said = metrics(&web);
    for reason in ["tls_broken", "address_full", "key_not_admitted"] {
        let name = format!("aceso_link_refused_total{{reason=\"{reason}\"}} ");
        assert!(metric(&said, &name) > 0, "{reason} is not counted: {said}");
    }
    while connected() <= before {}
    let rest: String = lines.collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success(), "{rest}");
    let report = folder.report();
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(report["gateway"]["envelopes_refused"], 0, "{report}");
}
