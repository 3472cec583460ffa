//! One bed in virtual time: board, serial frames, monitor and sealer of the gateway, then the node's
//! own admission, vault, store and ledger. Eleven minutes of a recording pass in a second.

use crate::record::{self, Opened};
use crate::support::now_ms;
use clinic::NewPerson;
use clinic::{Arrival, Clinic, Ticket, Verdict};
use device::frame::Message;
use device::pairing::{self, Identity};
use device::{Action, Decoder, Monitor, MonitorConfig, Sealer, SealerState, Up};
use ledger::EmbeddedChain;
use ledger::genesis::Founding;
use simulator::recording::{Hints, Recording};
use simulator::{BoardConfig, VirtualBoard};
use std::path::Path;
use std::sync::Arc;
use vault::{Costs, Store, Vault};
use vitals::PatientId;
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::Class;
use vitals::ledger::{Ledger, Outcome, Role};
use vitals::pairing::PairingAnswer;
use vitals::proof::genesis::Founder;

const PASSWORD: &str = "a long enough password";
/// Envelopes admitted as one group.
const GROUP: usize = 64;

struct Node {
    vault: Arc<Vault>,
    store: Arc<Store>,
    chain: Arc<EmbeddedChain>,
    clinic: Arc<Clinic>,
}

fn found(folder: &Path) -> Node {
    let entropy: vault::Entropy = Arc::new(|out: &mut [u8]| host::clock::entropy(out));
    let vault =
        Arc::new(Vault::create(&folder.join("vault"), PASSWORD, Costs::TEST_ONLY, entropy.clone()).unwrap());
    let keys =
        ledger::Keys { validator: *vault.validator_seed().expose(), sender: *vault.sender_key().expose() };
    let sender = ledger::account::address_of(&keys.sender).unwrap();
    let document = ledger::genesis::document(Founding {
        chain_id: 1,
        name: "Virtual".to_owned(),
        time_ms: now_ms(),
        epoch_blocks: ledger::EPOCH_BLOCKS,
        committee: vec![ledger::validator_key(&keys.validator).unwrap()],
        operators: vec![vault.org()],
        founders: vec![Founder { record_key: vault.record_key(), sender }],
        salt: [7; 32],
    });
    vault.put_genesis_document(&document.encode()).unwrap();
    let chain = Arc::new(
        EmbeddedChain::start(&ledger::Config::new(folder.join("ledger")), &document, &keys).unwrap(),
    );
    std::fs::create_dir_all(folder.join("records")).unwrap();
    let store = Arc::new(Store::create(&folder.join("records"), document.hash()).unwrap());
    let clinic = Clinic::open(vault.clone(), store.clone(), chain.clone(), entropy, now_ms()).unwrap();
    Node { vault, store, chain, clinic }
}

impl Node {
    /// Waits, block by block, until the ledger has taken an act.
    fn settle(&self, ticket: &Ticket) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut tip = self.chain.watch_tip();
        loop {
            match self.clinic.settle(ticket) {
                Outcome::Done { .. } => return,
                Outcome::Refused { reason } => panic!("{}: {reason}", ticket.what),
                Outcome::Pending | Outcome::Unknown => runtime.block_on(tip.changed()).unwrap(),
            }
        }
    }

    fn patient(&self, gateway: &Identity, sensor: &Identity) -> (PatientId, PairingAnswer) {
        self.settle(&self.clinic.first_administrator("admin", "Ada", PASSWORD, now_ms()).unwrap());
        let (_, admin) = self.clinic.sign_in("admin", PASSWORD, now_ms()).unwrap();
        let new = NewPerson { login: "amira", name: "Amira", password: PASSWORD, role: Role::Patient };
        let (patient, ticket) = self.clinic.create_patient(&admin, &new, "1", now_ms()).unwrap();
        self.settle(&ticket);
        let request = pairing::request(gateway, std::slice::from_ref(sensor)).unwrap().encode();
        let paired = self.clinic.pair(&admin, &request, &[patient], now_ms()).unwrap();
        paired.tickets.iter().for_each(|ticket| self.settle(ticket));
        (patient, PairingAnswer::decode(&paired.answer).unwrap())
    }

    fn admit(&self, from: &Identity, group: &mut Vec<Vec<u8>>, now_ms: u64) {
        let arrivals: Vec<Arrival> =
            group.drain(..).map(|bytes| Arrival { from: from.id(), bytes }).collect();
        for answer in self.clinic.admit(&arrivals, now_ms).unwrap() {
            assert!(matches!(answer.verdict, Verdict::Admitted { .. }), "{:?}", answer.verdict);
        }
    }
}

/// Plays a recording once at a bed and opens what stands in the record afterwards.
pub(crate) fn play(file: &Path) -> Vec<Opened> {
    let folder = tempfile::tempdir().unwrap();
    let node = found(folder.path());
    let (gateway, sensor) =
        (Identity::from_seeds(&[1; 32], &[2; 32]), Identity::from_seeds(&[3; 32], &[4; 32]));
    let (_, answer) = node.patient(&gateway, &sensor);
    let genesis = node.chain.genesis();
    let key = answer.streams.iter().find(|key| key.class == Class::Vitals).unwrap();
    let chain = sensor.unwrap_chain(key, genesis).unwrap();
    let state = SealerState { chain, epoch: key.epoch, next_seq: 0, prev: [0; 32] };
    let mut sealer = Sealer::new(genesis, sensor.signing_key(), key.stream, Class::Vitals, [9; 16], state);

    let recording = Recording::from_csv(file, &Hints::default()).unwrap();
    let length_ms = recording.length_ms();
    let mut board =
        VirtualBoard::with(BoardConfig { recording: Some(Arc::new(recording)), ..BoardConfig::default() });
    let (mut line, mut monitor) = (Decoder::<Up>::new(), Monitor::new(MonitorConfig::default()));
    let start_ms = now_ms();
    let mut group = Vec::new();
    for board_ms in (0..length_ms).step_by(100) {
        let at_ms = start_ms + board_ms;
        for frame in board.frames_until(board_ms) {
            line.feed_all(&frame.encode()).into_iter().for_each(|up| monitor.on_frame(up, at_ms));
        }
        for action in monitor.poll(at_ms) {
            let Action::Readings(mut readings) = action else { continue };
            readings.retain(|reading| reading.metric.info().class == Class::Vitals);
            if !readings.is_empty() {
                group.push(sealer.seal(&Body::Readings(readings), ClockQuality::Synced).unwrap().bytes);
            }
        }
        if group.len() == GROUP {
            node.admit(&gateway, &mut group, at_ms);
        }
    }
    node.admit(&gateway, &mut group, start_ms + length_ms);
    record::bodies(&node.vault, &node.store, &node.chain, start_ms + length_ms)
}
