//! Opens the record of a ward that has ended, the way only its own vault and passphrase can: on a
//! copy of the node's folder, as the patient, leaving a trace in that copy.

use crate::support::{Folder, now_ms};
use ledger::EmbeddedChain;
use std::path::Path;
use std::sync::Arc;
use vault::{Store, Vault};
use vitals::GrantId;
use vitals::body::{AccessEntry, Body};
use vitals::envelope::Envelope;
use vitals::ids::Class;
use vitals::ledger::Purpose;
use vitals::proof::genesis::GenesisDocument;

/// One opened envelope.
pub(crate) struct Opened {
    pub(crate) patient: usize,
    pub(crate) first_ms: u64,
    pub(crate) body: Body,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The seed of the node's validator: one half in the vault, the other beside its journals.
fn validator_seed(vault: &Vault, node: &Path) -> [u8; 32] {
    let birth = std::fs::read_to_string(node.join("ledger/consensus/birth")).unwrap();
    let born = hex::decode(birth.split_once(' ').unwrap().0).unwrap();
    vitals::ids::sha256(&[b"aceso/validator-birth/v1", vault.validator_seed().expose(), &born])
}

/// Every body in the record of the ward in `folder`, patients in the order of their registration.
pub(crate) fn open(folder: &Folder) -> Vec<Opened> {
    let node = folder.path("opened");
    if node.exists() {
        std::fs::remove_dir_all(&node).unwrap();
    }
    copy(&folder.path("data/node"), &node);
    let passphrase = std::fs::read_to_string(folder.path("data/passphrase")).unwrap();
    let entropy = Arc::new(|out: &mut [u8]| host::clock::entropy(out));
    let vault = Vault::open(&node.join("vault"), passphrase.trim_end(), entropy).unwrap();
    let document = GenesisDocument::decode(&vault.genesis_document().unwrap()).unwrap();
    let store = Store::open(&node.join("records"), document.hash()).unwrap();
    let keys =
        ledger::Keys { validator: validator_seed(&vault, &node), sender: *vault.sender_key().expose() };
    let chain = EmbeddedChain::start(&ledger::Config::new(node.join("ledger")), &document, &keys).unwrap();
    bodies(&vault, &store, &chain, now_ms())
}

/// Every body in the record, opened as each patient.
pub(crate) fn bodies(vault: &Vault, store: &Store, chain: &EmbeddedChain, now_ms: u64) -> Vec<Opened> {
    let mut opened = Vec::new();
    for (number, patient) in vault.patients().into_iter().enumerate() {
        let entry = AccessEntry {
            at_ms: now_ms,
            reader: patient.person,
            reader_name: String::new(),
            purpose: Purpose::Own,
            grant: GrantId([0; 32]),
            classes: Class::ALL.to_vec(),
            span_ms: (0, vitals::envelope::TIME_MAX_MS),
            session: [0; 16],
            person: None,
        };
        let access = vault.log_access(store, chain, patient.id, entry, now_ms).unwrap();
        let released = vault.release(&access);
        for stream in vault.streams_of(patient.id) {
            for item in store.scan(stream.stream, 0, u64::MAX) {
                let envelope = Envelope::decode(&item.unwrap().1).unwrap();
                let body = released.open(&envelope).unwrap();
                opened.push(Opened { patient: number, first_ms: envelope.header.first_ms, body });
            }
        }
    }
    opened
}
