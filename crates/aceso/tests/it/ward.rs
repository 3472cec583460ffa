//! A whole ward, from simulated boards to an offline check of its bundle.

use crate::support::{Folder, aceso, said, stdout, ward, ward_binary};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn every_reading_of_three_patients_is_admitted_anchored_and_proven() {
    let folder = Folder::new();
    let output = ward(&folder, &["--patients", "3", "--duration", "20s", "--seed", "5"]);
    assert!(output.status.success(), "{}", said(&output, &folder));
    let token = folder.text("data/node/rpc.token");
    assert!(stdout(&output).contains(&format!("with the token in {token}")), "{}", stdout(&output));
    assert_eq!(std::fs::read_to_string(token).unwrap().trim().len(), 64);
    let report = folder.report();
    assert_eq!(report["complete"], true);
    assert!(report["gateway"]["readings_sampled"].as_u64().unwrap() > 100, "{report}");
    assert_eq!(report["gateway"]["readings_sampled"], report["node"]["readings_admitted"]);
    assert_eq!(report["gateway"]["envelopes_sealed"], report["gateway"]["proofs_checked"]);
    assert!(report["node"]["anchors"].as_u64().unwrap() <= 60, "anchors at most once a second: {report}");

    let bundle = folder.text("bundle");
    let genesis = report["genesis"].as_str().unwrap();
    let proven = aceso(&["verify", &bundle, "--genesis", genesis]);
    assert_eq!(proven.status.code(), Some(0), "{}", said(&proven, &folder));

    let unpinned = aceso(&["verify", &bundle]);
    assert_eq!(unpinned.status.code(), Some(3));
    assert!(stdout(&unpinned).contains(genesis) || said(&unpinned, &folder).contains(genesis));

    let other = aceso(&["verify", &bundle, "--genesis", &"11".repeat(32)]);
    assert_eq!(other.status.code(), Some(1));

    let mut bytes = std::fs::read(folder.path("bundle")).unwrap();
    let step = bytes.len() / 40;
    for place in (0..bytes.len()).step_by(step) {
        bytes[place] ^= 1;
        std::fs::write(folder.path("altered"), &bytes).unwrap();
        let altered = aceso(&["verify", &folder.text("altered"), "--genesis", genesis]);
        assert_eq!(altered.status.code(), Some(1), "byte {place} of {} was changed unnoticed", bytes.len());
        bytes[place] ^= 1;
    }
}

#[test]
fn a_ward_goes_on_from_its_data_folder() {
    let folder = Folder::new();
    let first = ward(&folder, &["--patients", "1", "--duration", "8s"]);
    assert!(first.status.success(), "{}", said(&first, &folder));
    let (genesis, size) =
        (folder.report()["genesis"].clone(), folder.report()["node"]["log_size"].as_u64().unwrap());
    let second = ward(&folder, &["--patients", "1", "--duration", "8s", "--kill", "one"]);
    assert!(second.status.success(), "{}", said(&second, &folder));
    assert_eq!(folder.report()["kills"][0]["nodes"], serde_json::json!(["node"]));
    assert_eq!(folder.report()["genesis"], genesis);
    assert!(folder.report()["node"]["log_size"].as_u64().unwrap() > size);
}

#[test]
fn a_gateway_that_is_stopped_is_named_and_started_again_and_the_ward_goes_on() {
    let folder = Folder::new();
    let (data, report) = (folder.text("data"), folder.text("report.json"));
    let mut running = Command::new(ward_binary())
        .args(["--data", &data, "--report", &report, "--patients", "1", "--duration", "14s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, mut killed) = (String::new(), false);
    for line in BufReader::new(running.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        said.push_str(&format!("{line}\n"));
        let process = said.split_once("gateway connected its boards, journal open (process ");
        if let Some((id, _)) = process.and_then(|(_, rest)| rest.split_once(')'))
            && line.starts_with("Running for")
        {
            killed = Command::new("kill").args(["-TERM", id]).status().unwrap().success();
        }
    }
    let status = running.wait().unwrap();
    assert!(killed, "{said}");
    assert!(said.contains("The gateway ended on its own with exit status: 0"), "{said}");
    assert!(said.contains("The gateway runs again (process "), "{said}");
    // A timed run is judged: what ended on its own is a finding, and the only one.
    let report = folder.report();
    let problem = "the gateway ended on its own with exit status: 0 and was started again";
    assert_eq!(report["problems"], serde_json::json!([problem]), "{said}");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn four_hospitals_share_one_ledger_while_nodes_die() {
    let folder = Folder::new();
    let first = ward(&folder, &["--nodes", "4", "--duration", "12s", "--kill", "one", "--seed", "2"]);
    assert!(first.status.success(), "{}", said(&first, &folder));
    let one = folder.report();
    let kill = &one["kills"][0];
    assert_eq!(kill["nodes"], serde_json::json!(["node-3"]));
    assert!(kill["blocks_meanwhile"].as_u64().unwrap() > 0, "three of four go on: {kill}");
    assert!(kill["caught_up_ms"].is_u64(), "{kill}");
    let ledger = &one["ledger"];
    assert_eq!((&ledger["authorities"], &ledger["agreement"]["same_headers"]), (&4.into(), &4.into()));
    assert_eq!(ledger["agreement"]["same_anchors"], 4);
    let hospitals = one["hospitals"].as_array().unwrap();
    assert_eq!(hospitals.len(), 4);
    assert!(hospitals.iter().all(|one| one["gateway"]["envelopes_sealed"].as_u64().unwrap() > 0), "{one}");
    let genesis = one["genesis"].as_str().unwrap();
    for name in ["bundle", "bundle.2", "bundle.3", "bundle.4"] {
        let proven = aceso(&["verify", &folder.text(name), "--genesis", genesis]);
        assert_eq!(proven.status.code(), Some(0), "{name}: {}", said(&proven, &folder));
    }

    let second = ward(&folder, &["--nodes", "4", "--duration", "8s", "--kill", "all"]);
    assert!(second.status.success(), "{}", said(&second, &folder));
    let all = folder.report();
    assert_eq!(all["genesis"], one["genesis"]);
    assert_eq!(all["kills"][0]["nodes"].as_array().unwrap().len(), 4);
    assert!(all["ledger"]["height"].as_u64().unwrap() > ledger["height"].as_u64().unwrap());
}
