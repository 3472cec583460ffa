//! No name and no plaintext reaches a disk, a log or a metric.

use crate::record;
use crate::support::{Folder, files, get, pause, stdout, ward_binary};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use vitals::body::Body;

/// Plaintext of this length found in a file is no coincidence.
const WINDOW_BYTES: usize = 12;
type Window = [u8; WINDOW_BYTES];
/// Envelopes that say enough to be searched for.
const LOG_SIZE_MIN: f64 = 80.0;
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_MAX: u32 = 600;

fn windows(bytes: &[u8]) -> impl Iterator<Item = Window> {
    bytes.windows(WINDOW_BYTES).map(|window| window.try_into().unwrap())
}

/// Bytes of a window that may belong to an id before the window says nothing of its own.
const PUBLIC_BYTES_MAX: usize = 4;

/// Ids that stand on the ledger too, in the clear by design.
fn public_ids(body: &Body) -> Vec<Vec<u8>> {
    match body {
        Body::Access(entry) => {
            vec![entry.reader.0.to_vec(), entry.looked().0.to_vec(), entry.grant.0.to_vec()]
        }
        Body::Alarms(events) => events.iter().map(|event| event.by.0.to_vec()).collect(),
        Body::Limits(change) => vec![change.by.0.to_vec()],
        Body::Command(signed) => {
            let command = &signed.command;
            let devices = [command.gateway, command.bedside].map(|device| device.0.to_vec());
            [vec![command.genesis.0.to_vec(), command.by.0.to_vec()], devices.to_vec()].concat()
        }
        _ => Vec::new(),
    }
}

/// Windows of one plaintext, less those that lie in a public id.
fn telling(opened: &record::Opened) -> Vec<Window> {
    let plaintext = opened.body.encode(opened.first_ms);
    let mut public = vec![false; plaintext.len()];
    for id in public_ids(&opened.body) {
        let places = plaintext.windows(id.len()).enumerate().filter(|(_, bytes)| *bytes == id);
        for (place, _) in places.collect::<Vec<_>>() {
            public[place..place + id.len()].fill(true);
        }
    }
    let own = |place: usize| public[place..place + WINDOW_BYTES].iter().filter(|public| **public).count();
    // A run of zeros (an absent id, a session that is none) says nothing of anybody either.
    let blank = |window: &Window| window.iter().filter(|byte| **byte == 0).count() >= 8;
    let kept = windows(&plaintext)
        .enumerate()
        .filter(|(place, window)| own(*place) <= PUBLIC_BYTES_MAX && !blank(window));
    kept.map(|(_, window)| window).collect()
}

/// Every window of the plaintext bodies.
fn secrets(bodies: &[record::Opened]) -> HashSet<Window> {
    bodies.iter().flat_map(telling).collect()
}

fn readable(folder: &Path, secrets: &HashSet<Window>) -> Vec<String> {
    let hits = files(folder).into_iter().filter_map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        let place = bytes.windows(WINDOW_BYTES).position(|window| secrets.contains(window))?;
        Some(format!("{} at byte {place}", path.display()))
    });
    hits.collect()
}

/// The metrics once the ward has an alarm and enough readings on record: a busy machine takes longer.
fn when_there_is_something_to_find(address: &str) -> String {
    let mut metrics = String::new();
    for _ in 0..LOOKS_MAX {
        metrics = get(address, "/metrics");
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok())
        };
        let rings = value("aceso_alarms_unanswered{priority=\"high\"}") > Some(0.0)
            || value("aceso_alarms_unanswered{priority=\"medium\"}") > Some(0.0);
        if rings && value("aceso_log_size") >= Some(LOG_SIZE_MIN) {
            return metrics;
        }
        pause(LOOK_EVERY);
    }
    panic!("no alarm, or a log of fewer than {LOG_SIZE_MIN} envelopes: {metrics}");
}

#[test]
fn no_name_and_no_plaintext_is_readable_in_files_logs_or_metrics() {
    let folder = Folder::new();
    let mut random = [0u8; 16];
    host::clock::entropy(&mut random);
    let canaries =
        [format!("Canary{}", hex::encode(&random[..8])), format!("Canary{}", hex::encode(&random[8..]))];
    std::fs::write(folder.path("names"), canaries.join("\n")).unwrap();
    let (data, names) = (folder.text("data"), folder.text("names"));
    let script = "at 1 s: tachycardia for 30 s";
    let arguments = ["--http", "--patients", "2", "--data", &data, "--names", &names, "--script", script];
    let mut child = Command::new(ward_binary()).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines
        .find_map(|line| Some(line.strip_prefix("Open http://")?.trim_end_matches('/').to_owned()))
        .unwrap();
    let metrics = when_there_is_something_to_find(&address);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let rest: String = lines.collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success(), "{rest}");
    let spoken = metrics + &rest + &get_missing();

    let bodies = record::open(&folder);
    let secret = secrets(&bodies);
    assert!(secret.len() > 500, "only {} windows to look for", secret.len());
    assert!(
        bodies
            .iter()
            .any(|opened| matches!(&opened.body, Body::Profile(profile) if profile.name == canaries[0]))
    );
    assert!(
        bodies.iter().any(|opened| matches!(&opened.body, Body::Alarms(_))),
        "the script raises an alarm"
    );

    let found = readable(&folder.path("data"), &secret);
    assert!(found.is_empty(), "plaintext is readable: {found:#?}");
    for canary in &canaries {
        let bytes = canary.as_bytes();
        for path in files(&folder.path("data")) {
            let content = std::fs::read(&path).unwrap();
            assert!(
                !content.windows(bytes.len()).any(|window| window == bytes),
                "a name is readable in {}",
                path.display()
            );
        }
        assert!(!spoken.contains(canary.as_str()), "a name is in the output or the metrics");
    }
    assert!(!windows(spoken.as_bytes()).any(|window| secret.contains(&window)));

    // The control: one unsealed body, found by the same search.
    let control = folder.path("control");
    std::fs::create_dir(&control).unwrap();
    // The longest body of readings: a body shorter than a window is found by nobody's search.
    let readings = bodies.iter().filter(|opened| matches!(opened.body, Body::Readings(_)));
    let plaintext = readings.map(|opened| opened.body.encode(opened.first_ms)).max_by_key(Vec::len).unwrap();
    assert!(plaintext.len() >= 2 * WINDOW_BYTES, "a body of {} bytes is no control", plaintext.len());
    let leak = [vec![7; 1000], plaintext, vec![9; 1000]].concat();
    std::fs::write(control.join("segment"), leak).unwrap();
    assert_eq!(readable(&control, &secret).len(), 1);
}

/// What the command says of a file that is not there: an error text to search as well.
fn get_missing() -> String {
    stdout(&crate::support::aceso(&["verify", "/nonexistent"]))
}
