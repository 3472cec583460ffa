//! The page `docs/wire.md` says what the code says.

use std::fs;
use testkit::golden::path;

fn page() -> String {
    let file = [env!("CARGO_MANIFEST_DIR"), "../../docs/wire.md"].iter().collect::<std::path::PathBuf>();
    fs::read_to_string(file).unwrap()
}

#[test]
fn every_bound_stands_on_the_page_with_its_value() {
    let page = page();
    let mut bounds: Vec<(&str, u64)> = Vec::new();
    macro_rules! bound {
        ($($($name:ident)::+),* $(,)?) => {
            $({
                let whole = stringify!($($name)::+);
                let name = whole.rsplit(|c: char| c == ':' || c == ' ').next().unwrap();
                bounds.push((name, vitals::$($name)::+ as u64));
            })*
        };
    }
    bound!(
        envelope::ENVELOPE_BYTES_MAX,
        envelope::HEADER_BYTES_MAX,
        envelope::COUNT_MAX,
        envelope::SEQ_MAX,
        envelope::EPOCH_MAX,
        envelope::TIME_MAX_MS,
        body::BODY_BYTES_MAX,
        body::TEXT_BYTES_MAX,
        keys::STEPS_MAX,
        alarm::PERSISTENCE_MAX_MS,
        alarm::SILENCE_MAX_MS,
        command::COMMAND_BYTES_MAX,
        command::ANSWER_MS_MAX,
        command::LIMITS_MS_MAX,
        log::PATH_MAX,
        receipt::HEAD_BYTES_MAX,
        receipt::RECEIPT_BYTES_MAX,
        receipt::PROVEN_MAX,
        receipt::DELIVERY_BYTES_MAX,
        proof::LEDGER_PROOF_BYTES_MAX,
        proof::CHANGES_MAX,
        proof::checkpoint::CHECKPOINT_BYTES_MAX,
        proof::checkpoint::SIGNERS_MAX,
        proof::checkpoint::AHEAD_MAX_MS,
        proof::ACCOUNTS_MAX,
        proof::state::SLOTS_MAX,
        proof::state::NODES_MAX,
        proof::state::NODE_BYTES_MAX,
        proof::header::COMMITTEE_MAX,
        proof::genesis::GENESIS_BYTES_MAX,
        proof::genesis::NAME_BYTES_MAX,
        proof::genesis::CONTRACTS_MAX,
        proof::genesis::FOUNDERS_MAX,
        pairing::BOARDS_MAX,
        pairing::PAIRING_BYTES_MAX,
        bundle::ITEM_BYTES_MAX,
        bundle::DEVICES_PER_PROOF_MAX,
        bundle::DEVICES_MAX,
        bundle::STREAMS_MAX,
        bundle::SEGMENT_LEN_MAX,
    );
    for (name, value) in bounds {
        assert!(page.contains(&format!("| `{name}` | {value} |")), "{name} = {value} is not on the page");
    }
}

#[test]
fn every_label_and_golden_file_stands_on_the_page() {
    let page = page();
    use vitals::cose::Domain;
    let pairing = [Domain::PairingRequest, Domain::PairingAnswer];
    for domain in
        [Domain::Envelope, Domain::Head, Domain::Checkpoint, Domain::Command].into_iter().chain(pairing)
    {
        let label = std::str::from_utf8(domain.label()).unwrap();
        assert!(page.contains(&format!("`{label}`")), "{label}");
    }
    let folder = path("x");
    for entry in fs::read_dir(folder.parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".hex") {
            assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
        }
    }
    for metric in vitals::Metric::ALL {
        let row = format!("| {} | {} |", metric.code(), metric.info().name);
        assert!(page.contains(&row), "{row}");
    }
}
