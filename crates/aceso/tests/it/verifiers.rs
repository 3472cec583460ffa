//! Two verifiers, one page: ours and `tools/verify.py`, which was written from `docs/wire.md` alone, say
//! the same of every golden file, of a ward's bundle and of changed bytes.

use crate::support::{Folder, aceso, said, ward};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use vitals::body::Body;
use vitals::bundle;
use vitals::envelope::Envelope;
use vitals::pairing::{PairingAnswer, PairingRequest};
use vitals::proof::certificate::Certificate;
use vitals::proof::checkpoint::{Checkpoint, Pins};
use vitals::proof::contracts::read_anchor;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::BlockHeader;
use vitals::proof::{LedgerProof, verify_header};
use vitals::{Genesis, OrgId};

/// `first` of the golden bodies.
const NOON_MS: u64 = 1_795_348_800_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn golden(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(root().join("testdata/golden").join(name)).unwrap();
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

/// The Python that `scripts/install-test-tools.sh` set up.
fn python() -> Command {
    let folder = std::env::var("ACESO_PYTHON")
        .unwrap_or_else(|_| format!("{}/.cache/aceso/python", std::env::var("HOME").unwrap()));
    let mut command = Command::new(format!("{folder}/bin/python"));
    command.arg(root().join("tools/verify.py"));
    command
}

#[test]
fn the_other_verifier_says_what_to_install() {
    let full = python();
    // Without the folder of installed packages.
    let output = Command::new(full.get_program()).arg("-S").args(full.get_args()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "nothing was checked: {complaint}");
    assert!(complaint.contains("python3 -m pip install cryptography pycryptodome"), "{complaint}");
    assert!(!complaint.contains("Traceback"), "{complaint}");
}

/// What the other verifier says of each `object, bytes`: one process for all.
fn judged(cases: &[(String, Vec<u8>)]) -> Vec<bool> {
    let mut command = python();
    command.arg("--judge").arg(root().join("testdata/golden"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String =
        cases.iter().map(|(object, bytes)| format!("{object}\t{}\n", hex::encode(bytes))).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "holds").collect()
}

/// Whose log the golden bundles are.
fn organisation() -> OrgId {
    let document = GenesisDocument::decode(&golden("bundle_genesis_v1.hex")).unwrap();
    document.founders[0].org()
}

/// What ours says.
fn ours(object: &str, bytes: &[u8], pin: Genesis) -> bool {
    match object {
        "bundle" => bundle::verify(bytes, Some(pin)).is_ok(),
        "bundle 2" => {
            let pin = GenesisDocument::hash_of(&golden("bundle_genesis_v2.hex"));
            bundle::verify(bytes, Some(pin)).is_ok()
        }
        "ledger proof 2" => {
            let document = GenesisDocument::decode(&golden("bundle_genesis_v2.hex")).unwrap();
            let anchor = |proof: LedgerProof| {
                let header = verify_header(&document, &proof).ok()?;
                // The golden bundles are of one organisation, which stands in the start of both.
                let [account] = &proof.accounts[..] else { return None };
                read_anchor(&header.state_root, &document, organisation(), account).ok()
            };
            LedgerProof::decode(bytes).is_ok_and(|proof| anchor(proof).is_some())
        }
        "checkpoint" => {
            let document = GenesisDocument::decode(&golden("bundle_genesis_v2.hex")).unwrap();
            let pins = Pins::founders(30 * 86_400_000);
            Checkpoint::decode(bytes).is_ok_and(|it| it.trust(&document, &pins, NOON_MS + 86_400_000).is_ok())
        }
        "body" => Body::decode(bytes, NOON_MS).is_ok(),
        "genesis document" => GenesisDocument::decode(bytes).is_ok(),
        "pairing request" => PairingRequest::decode(bytes).is_ok(),
        "pairing answer" => PairingAnswer::decode(bytes).is_ok(),
        "block header" => BlockHeader::decode(bytes).is_ok(),
        "certificate" => Certificate::decode(bytes).is_ok(),
        "envelope" => {
            let request = PairingRequest::decode(&golden("pairing_request_v1.hex")).unwrap();
            Envelope::decode(bytes).is_ok_and(|envelope| {
                let author = request.sensors.iter().find(|keys| keys.id() == envelope.header.author);
                author.is_some_and(|keys| envelope.verify(&keys.key))
            })
        }
        other => unreachable!("no changes are made to a {other}"),
    }
}

/// A small generator (splitmix64): the same changes in every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn both_verifiers_agree_on_the_golden_files() {
    let output = python().arg("--vectors").arg(root().join("testdata/golden")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
}

#[test]
fn both_verifiers_agree_on_changed_bytes() {
    let pin = GenesisDocument::hash_of(&golden("bundle_genesis_v1.hex"));
    let files = [
        ("bundle", "bundle_v1", 200),
        ("bundle", "bundle_v3", 200),
        ("bundle 2", "bundle_v2", 100),
        ("ledger proof 2", "ledger_proof_v2", 200),
        ("checkpoint", "checkpoint_v1", 100),
        ("envelope", "envelope_v1", 60),
        ("body", "body_readings_v1", 300),
        ("body", "body_alarms_v1", 300),
        ("body", "body_access_v1", 300),
        ("body", "body_access_v2", 300),
        ("body", "body_profile_v1", 300),
        ("body", "body_limits_v1", 300),
        ("body", "body_command_v1", 300),
        ("body", "body_confirmations_v1", 300),
        ("genesis document", "genesis_v1", 300),
        ("genesis document", "genesis_v2", 300),
        ("pairing request", "pairing_request_v1", 30),
        ("pairing answer", "pairing_answer_v1", 30),
        ("block header", "block_header_v1", 100),
        ("certificate", "certificate_v1", 100),
    ];
    let (mut state, mut cases) = (1, Vec::new());
    for (object, name, changes) in files {
        let good = golden(&format!("{name}.hex"));
        for _ in 0..changes {
            let mut bytes = good.clone();
            let at = usize::try_from(next(&mut state) % good.len() as u64).unwrap();
            bytes[at] ^= u8::try_from(next(&mut state) % 255).unwrap() + 1;
            cases.push((object.to_owned(), bytes));
        }
    }
    let theirs = judged(&cases);
    assert_eq!(theirs.len(), cases.len());
    let mut accepted = 0;
    for ((object, bytes), theirs) in cases.iter().zip(theirs) {
        let ours = ours(object, bytes, pin);
        assert_eq!(ours, theirs, "ours and the other on this {object}: {}", hex::encode(bytes));
        assert!(
            !ours || !["bundle", "bundle 2", "envelope", "checkpoint"].contains(&object.as_str()),
            "a changed {object} holds"
        );
        accepted += usize::from(ours);
    }
    println!("{} changed objects, {accepted} of them still well formed", cases.len());
}

#[test]
fn both_verifiers_agree_on_the_bundle_of_a_ward() {
    let folder = Folder::new();
    let output = ward(&folder, &["--patients", "2", "--duration", "5s"]);
    assert!(output.status.success(), "{}", said(&output, &folder));
    let (bundle, altered) = (folder.text("bundle"), folder.text("altered"));
    let genesis = folder.report()["genesis"].as_str().unwrap().to_owned();
    let wrong = "11".repeat(32);
    let mut bytes = std::fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&altered, &bytes).unwrap();
    let other = |arguments: &[&str]| -> Output { python().args(arguments).output().unwrap() };
    for (arguments, code) in [
        (vec![bundle.as_str(), "--genesis", genesis.as_str()], 0),
        (vec![altered.as_str(), "--genesis", genesis.as_str()], 1),
        (vec![bundle.as_str(), "--genesis", wrong.as_str()], 1),
        (vec![bundle.as_str(), "--genesis", "11"], 1),
        (vec![bundle.as_str()], 3),
        (vec!["--nonsense"], 2),
    ] {
        let ours = aceso(&[vec!["verify"], arguments.clone()].concat());
        let theirs = other(&arguments);
        assert_eq!(ours.status.code(), Some(code), "{arguments:?}");
        assert_eq!(theirs.status.code(), Some(code), "{arguments:?}: {theirs:?}");
    }
}
