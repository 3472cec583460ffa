//! A device that is never killed and believes nothing: it seals under load, keeps every envelope,
//! acknowledgement and signed head, and sends again what is not proven.

use super::operator_client::OperatorClient;
use crate::support::now_ms;
use device::{Identity, Sealer, SealerState, pairing};
use link::mqtt::Client;
use link::{Event, Events, PublishId, Rejection, Uplink};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vitals::alarm::{AlarmEvent, AlarmEventKind, Condition, Priority};
use vitals::body::Body;
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash, OrgId};
use vitals::metric::{Metric, Reading, Sample};
use vitals::pairing::PairingAnswer;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::{LedgerProof, contracts, verify_header};
use vitals::receipt::{Delivery, Receipt};
use vitals::{DeviceId, Genesis, PersonId, StreamId, log};

/// How often new envelopes are sealed.
const TICK: Duration = Duration::from_millis(20);
/// Between two tries to reach a node that is down.
const RECONNECT: Duration = Duration::from_millis(25);
/// How long everything may take to be acknowledged and proven once nobody kills any more.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);
/// What has no proof after this long is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Every so manieth envelope is an alarm.
const ALARM_EVERY: u64 = 25;

/// One envelope the witness sealed.
pub(crate) struct Held {
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) bytes: Vec<u8>,
    header: Vec<u8>,
    alarm: bool,
    pub(crate) acknowledged: u64,
    /// Leaf index a checked receipt gave.
    pub(crate) receipted: Option<u64>,
    pub(crate) proven: bool,
}

/// What the witness saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) held: Vec<Held>,
    /// Every signed head: root by size.
    pub(crate) heads: BTreeMap<u64, Hash>,
    pub(crate) connections: u64,
    pub(crate) receipts: u64,
    pub(crate) proofs: u64,
    /// What must never happen.
    pub(crate) problems: Vec<String>,
}

/// The witness before it runs.
pub(crate) struct Witness {
    device: DeviceId,
    seed: [u8; 32],
    answer: PairingAnswer,
    document: GenesisDocument,
    sealers: Vec<Sealer>,
    rng: StdRng,
}

impl Witness {
    /// Pairs a gateway of `sensors` sensors with patients of its own, however often the node dies
    /// while it is asked.
    pub(crate) fn pair(client: &OperatorClient, seed: u64, sensors: usize) -> Result<Self, String> {
        let mut rng = StdRng::seed_from_u64(seed);
        let patients = (0..sensors).map(|n| {
            let mut tries = 0;
            let said = client.insist(|| {
                tries += 1;
                // A try that died half way may have taken the login.
                json!({ "do": "patient", "login": format!("witness-{seed:x}-{n}-{tries}"),
                    "name": "Witness", "bed": "W", "password": "a long enough password" })
            })?;
            Ok(said["patient"].as_str().unwrap().to_owned())
        });
        let patients = patients.collect::<Result<Vec<_>, String>>()?;
        let gateway_seed: [u8; 32] = rng.random();
        let gateway = Identity::from_seeds(&gateway_seed, &rng.random());
        let own: Vec<Identity> =
            (0..sensors).map(|_| Identity::from_seeds(&rng.random(), &rng.random())).collect();
        let request = hex::encode(pairing::request(&gateway, &own).unwrap().encode());
        let said = client.insist(|| json!({ "do": "pair", "request": request, "patients": patients }))?;
        let answer = PairingAnswer::decode(&hex::decode(said["answer"].as_str().unwrap()).unwrap()).unwrap();
        let genesis = answer.genesis();
        let sealers = answer.streams.iter().filter(|key| matches!(key.class, Class::Vitals | Class::Alarms));
        let sealers = sealers.map(|key| {
            let sensor = own.iter().find(|sensor| sensor.id() == key.author).unwrap();
            let chain = sensor.unwrap_chain(key, genesis).unwrap();
            let state = SealerState { chain, epoch: key.epoch, next_seq: 0, prev: [0; 32] };
            Sealer::new(genesis, sensor.signing_key(), key.stream, key.class, rng.random(), state)
        });
        Ok(Self {
            device: gateway.id(),
            seed: gateway_seed,
            document: GenesisDocument::decode(&answer.genesis_document).unwrap(),
            sealers: sealers.collect(),
            answer,
            rng,
        })
    }

    /// Seals `rate` envelopes a second and delivers them to `address` until `over`; then until
    /// everything is acknowledged and proven.
    pub(crate) fn run(self, address: &str, rate: u64, over: &AtomicBool) -> Seen {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (certificate, key) = link::tls::self_signed(&self.seed).unwrap();
        let tls = Arc::new(link::tls::client_config(certificate, key, self.answer.record_key).unwrap());
        let mut running = Running {
            genesis: self.answer.genesis(),
            org: OrgId::of(&self.answer.record_key),
            witness: self,
            seen: Seen::default(),
            by_hash: HashMap::new(),
            to_send: VecDeque::new(),
            under_way: HashMap::new(),
            owed: 0,
            rate,
        };
        runtime.block_on(running.work(address, &tls, over));
        running.seen
    }
}

struct Running {
    witness: Witness,
    genesis: Genesis,
    org: OrgId,
    seen: Seen,
    by_hash: HashMap<Hash, usize>,
    to_send: VecDeque<usize>,
    under_way: HashMap<PublishId, usize>,
    /// Thousandths of an envelope that are due.
    owed: u64,
    rate: u64,
}

impl Running {
    async fn work(&mut self, address: &str, tls: &Arc<link::tls::Config>, over: &AtomicBool) {
        let mut client: Option<(Client, Events)> = None;
        let mut tick = tokio::time::interval(TICK);
        let mut retry = tokio::time::interval(RECONNECT);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ask_again = tokio::time::interval(ASK_AGAIN);
        let mut settle_by = None;
        loop {
            if let Some((up, _)) = &client {
                self.send(up);
            }
            let told = async {
                match &mut client {
                    Some((_, events)) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = told => match told {
                    Some(Event::Closed { .. }) | None => drop(client.take()),
                    Some(event) => self.hear(event),
                },
                _ = retry.tick() => {
                    if client.is_none() {
                        client = Client::connect(address, tls.clone(), self.witness.device).await.ok();
                        if client.is_some() {
                            self.seen.connections += 1;
                            self.queue_unproven();
                        }
                    }
                }
                _ = tick.tick() => {
                    if !over.load(Ordering::Acquire) {
                        self.seal();
                    } else if self.seen.held.iter().all(|held| held.proven && held.acknowledged > 0) {
                        return;
                    } else if settle_by.get_or_insert_with(tokio::time::Instant::now).elapsed() > SETTLE_WITHIN {
                        self.seen.problems.push("not everything was acknowledged and proven in the end".into());
                        return;
                    }
                }
                _ = ask_again.tick() => {
                    if self.to_send.is_empty() && self.under_way.is_empty() {
                        self.queue_unproven();
                    }
                }
            }
        }
    }

    fn seal(&mut self) {
        self.owed += self.rate * u64::try_from(TICK.as_millis()).unwrap();
        while self.owed >= 1_000 {
            self.owed -= 1_000;
            let count = self.seen.held.len() as u64;
            let at_ms = now_ms();
            let alarm = count % ALARM_EVERY == ALARM_EVERY - 1;
            let class = if alarm { Class::Alarms } else { Class::Vitals };
            let body = if alarm {
                Body::Alarms(vec![raised(at_ms)])
            } else {
                let sample = Sample::Measured(600 + self.witness.rng.random_range(0..300));
                Body::Readings(vec![Reading { metric: Metric::HeartRate, at_ms, sample }])
            };
            let mut fitting: Vec<&mut Sealer> =
                self.witness.sealers.iter_mut().filter(|sealer| sealer.class() == class).collect();
            let which = self.witness.rng.random_range(0..fitting.len());
            let sealed = fitting[which].seal(&body, ClockQuality::Synced).unwrap();
            let place = self.seen.held.len();
            self.by_hash.insert(sealed.hash, place);
            self.to_send.push_back(place);
            self.seen.held.push(Held {
                stream: sealed.header.stream,
                seq: sealed.header.seq,
                hash: sealed.hash,
                header: sealed.header.encode(),
                bytes: sealed.bytes,
                alarm,
                acknowledged: 0,
                receipted: None,
                proven: false,
            });
        }
    }

    /// After a break everything unproven goes again, as a gateway does, and some of what is proven.
    fn queue_unproven(&mut self) {
        self.under_way.clear();
        let held = &self.seen.held;
        self.to_send = (0..held.len()).filter(|place| !held[*place].proven).collect();
        if !held.is_empty() {
            for _ in 0..3 {
                self.to_send.push_back(self.witness.rng.random_range(0..held.len()));
            }
        }
    }

    fn send(&mut self, client: &Client) {
        while client.room() > 0
            && let Some(place) = self.to_send.pop_front()
        {
            let held = &self.seen.held[place];
            match client.publish(held.alarm, held.bytes.clone()) {
                Ok(id) => drop(self.under_way.insert(id, place)),
                Err(_) => return self.to_send.push_front(place),
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Acked { id } => {
                if let Some(place) = self.under_way.remove(&id) {
                    self.seen.held[place].acknowledged += 1;
                }
            }
            Event::Refused { id, why: Rejection::Busy, .. } => {
                self.to_send.extend(self.under_way.remove(&id));
            }
            Event::Refused { why, sentence, .. } => {
                self.seen.problems.push(format!("an envelope was refused ({why}): {sentence}"));
            }
            Event::Receipt(bytes) => {
                if let Err(why) = self.receipt(&bytes) {
                    self.seen.problems.push(why);
                }
            }
            Event::Proof(bytes) => {
                if let Err(why) = self.proof(&bytes) {
                    self.seen.problems.push(why);
                }
            }
            Event::Command(_) | Event::CommandTooLong(_) => {
                self.seen.problems.push("a command came to a bed that nobody asked anything of".into());
            }
            Event::Closed { .. } => {}
        }
    }

    fn receipt(&mut self, bytes: &[u8]) -> Result<(), String> {
        let receipt = Receipt::decode(bytes).map_err(|why| format!("a receipt is malformed: {why}"))?;
        let place = self.by_hash.get(&receipt.envelope).ok_or("a receipt of an envelope never sent")?;
        let held = &mut self.seen.held[*place];
        if !receipt.verify(self.genesis, &self.witness.answer.record_key, &held.header) {
            return Err(format!("the receipt of {} seq {} does not hold", held.stream, held.seq));
        }
        if held.receipted.replace(receipt.index).is_some_and(|index| index != receipt.index) {
            return Err(format!("{} seq {} stands at two places of the log", held.stream, held.seq));
        }
        self.seen.receipts += 1;
        let head = receipt.head.head;
        if let Some((size, _)) = self.seen.heads.last_key_value()
            && head.size < *size
        {
            return Err(format!("the log went back from {size} to {} leaves", head.size));
        }
        match self.seen.heads.insert(head.size, head.root) {
            Some(root) if root != head.root => Err(format!("two signed heads of {} leaves", head.size)),
            _ => Ok(()),
        }
    }

    fn proof(&mut self, bytes: &[u8]) -> Result<(), String> {
        let delivery = Delivery::decode(bytes).map_err(|why| format!("a proof is malformed: {why}"))?;
        let proof = LedgerProof::decode(&delivery.ledger).map_err(|why| why.to_string())?;
        let document = &self.witness.document;
        let header =
            verify_header(document, &proof).map_err(|why| format!("a proof does not check: {why}"))?;
        let account = proof.accounts.first().ok_or("a proof without an account")?;
        let anchor = contracts::read_anchor(&header.state_root, document, self.org, account)
            .map_err(|why| format!("a proof does not check: {why}"))?
            .ok_or("a proof without an anchor")?;
        for proven in &delivery.proven {
            let place = self.by_hash.get(&proven.envelope).ok_or("a proof of an envelope never sent")?;
            let held = &mut self.seen.held[*place];
            let leaf = log::leaf(&held.header);
            if !log::verify_inclusion(leaf, proven.index, anchor.size, &proven.path, &anchor.root) {
                return Err(format!("{} seq {} is not where its proof says", held.stream, held.seq));
            }
            held.proven = true;
            self.seen.proofs += 1;
        }
        // What is anchored must be in the log for ever, as much as what a receipt names.
        match self.seen.heads.insert(anchor.size, anchor.root) {
            Some(root) if root != anchor.root => {
                Err(format!("another head of {} leaves is anchored", anchor.size))
            }
            _ => Ok(()),
        }
    }
}

fn raised(at_ms: u64) -> AlarmEvent {
    AlarmEvent {
        at_ms,
        condition: Condition::Gap,
        episode: 1,
        kind: AlarmEventKind::Raised,
        priority: Priority::Low,
        value: 0,
        by: PersonId([0; 32]),
    }
}
