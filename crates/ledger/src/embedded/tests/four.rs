//! Four organisations on loopback: the network between validators, transactions handed on, a dead
//! leader, one that was away.

use super::*;
use crate::Peer;
use consensus_sim::ByzantinePeer;
use std::net::TcpListener;

const N: u8 = 4;

fn seeds() -> Vec<Keys> {
    (1..=N).map(|i| Keys { validator: [i; 32], sender: [0x10 + i; 32] }).collect()
}

fn record_key(index: usize) -> [u8; 32] {
    [0x20 + u8::try_from(index).unwrap(); 32]
}

struct Four {
    folder: tempfile::TempDir,
    document: GenesisDocument,
    peers: Vec<Peer>,
    chains: Vec<Option<EmbeddedChain>>,
    logs: Vec<MerkleLog>,
}

impl Four {
    /// Four organisations, of which the first so many run the founding validators.
    fn found(validators: usize, epoch_blocks: u64) -> Self {
        // All at once, so that no port is given out twice.
        let sockets: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let keys = seeds();
        let public = |keys: &Keys| crate::validator_key(&keys.validator).unwrap();
        let peers = keys.iter().zip(&sockets).map(|(keys, socket)| Peer {
            key: public(keys),
            address: socket.local_addr().unwrap().to_string(),
        });
        let peers: Vec<Peer> = peers.collect();
        let document = crate::genesis::document(Founding {
            chain_id: 84_001,
            name: String::from("four hospitals"),
            time_ms: 1_790_000_000_000,
            epoch_blocks,
            committee: keys[..validators].iter().map(public).collect(),
            operators: (0..validators).map(|i| OrgId::of(&record_key(i))).collect(),
            founders: (0..usize::from(N))
                .map(|i| Founder { record_key: record_key(i), sender: address_of(&keys[i].sender).unwrap() })
                .collect(),
            salt: [8; 32],
        });
        drop(sockets);
        let logs = vec![MerkleLog::new(); usize::from(N)];
        let folder = tempfile::tempdir().unwrap();
        Self { folder, document, peers, chains: (0..N).map(|_| None).collect(), logs }
    }

    fn start(&mut self, index: usize) {
        let listen = self.peers[index].address.parse().unwrap();
        let folder = self.folder.path().join(index.to_string());
        // The founder's address is in the configuration; the others announce theirs on the ledger.
        let mut config =
            Config::among_others(folder, listen, self.peers[..self.document.committee.len()].to_vec());
        config.agreement.heartbeat = Duration::from_millis(100);
        let chain = EmbeddedChain::start(&config, &self.document, &seeds()[index]).unwrap();
        self.chains[index] = Some(chain);
    }

    fn chain(&self, index: usize) -> &EmbeddedChain {
        self.chains[index].as_ref().unwrap()
    }

    /// Every living one anchors one more leaf; returns when all of them see all of that final.
    fn anchor_all(&mut self) -> Duration {
        let start = Instant::now();
        let living: Vec<usize> = (0..self.chains.len()).filter(|i| self.chains[*i].is_some()).collect();
        for index in &living {
            let anchored = self.logs[*index].size();
            self.logs[*index].push(log::leaf(&anchored.to_be_bytes()));
            let size = self.logs[*index].size();
            let consistency = if anchored == 0 {
                Vec::new()
            } else {
                self.logs[*index].consistency(anchored, size).unwrap()
            };
            let root = self.logs[*index].root();
            self.chain(*index).submit(Act::Anchor { size, root, consistency }).unwrap();
        }
        for at in &living {
            let mut tip = self.chain(*at).watch_tip();
            for of in &living {
                let org = OrgId::of(&record_key(*of));
                while self.chain(*at).anchor(org).unwrap().map(|anchor| anchor.root)
                    != Some(self.logs[*of].root())
                {
                    assert!(start.elapsed() < PATIENCE, "validator {at} waits for the anchor of {of}");
                    self.chain(*at).moved(&mut tip);
                }
            }
        }
        start.elapsed()
    }

    /// All living ones have the same block at every height they share.
    fn agree(&self) -> u64 {
        let living: Vec<&EmbeddedChain> = self.chains.iter().flatten().collect();
        let lowest = living.iter().map(|chain| chain.tip().height).min().unwrap();
        for height in 1..=lowest {
            let header = living[0].machine().header(height).unwrap();
            assert!(header.is_some());
            for chain in &living[1..] {
                assert_eq!(chain.machine().header(height).unwrap(), header, "one block at {height}");
            }
        }
        lowest
    }
}

impl Four {
    fn act(&self, index: usize, act: Act) -> Outcome {
        let mut tip = self.chain(index).watch_tip();
        let id = self.chain(index).submit(act).unwrap();
        let start = Instant::now();
        loop {
            match self.chain(index).outcome(id) {
                Outcome::Pending => {}
                outcome => return outcome,
            }
            assert!(start.elapsed() < PATIENCE, "validator {index} waits for its act");
            self.chain(index).moved(&mut tip);
        }
    }

    fn done(&self, index: usize, act: Act) {
        let outcome = self.act(index, act);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }

    fn newest(&self, index: usize) -> vitals::governance::Proposal {
        self.chain(index).view().proposals(1).unwrap().remove(0)
    }

    fn epoch(&self, index: usize) -> u64 {
        self.chain(index).tip().height / self.document.epoch_blocks
    }

    /// Goes on until the newest proposal acts; readings go on flowing.
    fn until_it_acts(&mut self) -> Vec<[u8; 32]> {
        self.anchor_all();
        let accepted = self.newest(0).accepted.expect("carried out");
        while self.epoch(0) < accepted.acts_from_epoch {
            self.anchor_all();
        }
        // The committee of this epoch stands in the last header of the one before.
        let last = self.epoch(0) * self.document.epoch_blocks - 1;
        let header = self.chain(0).machine().header(last).unwrap().unwrap();
        vitals::proof::header::BlockHeader::decode(&header).unwrap().committee
    }

    /// Votes to add validator `index`, as those in `voters` do.
    fn seat(&mut self, index: usize, voters: &[usize]) {
        let motion = Motion::AddValidator {
            key: self.peers[index].key,
            org: OrgId::of(&record_key(index)),
            endpoint: self.peers[index].address.clone(),
        };
        self.done(voters[0], Act::Propose(motion));
        let proposal = self.newest(voters[0]);
        for voter in &voters[1..] {
            assert!(self.newest(voters[0]).accepted.is_none());
            // The others hear of it a moment later.
            self.anchor_all();
            self.done(*voter, Act::Vote { proposal: proposal.id });
        }
    }
}

#[test]
fn one_authority_becomes_four_then_three_then_four_by_votes_and_an_outsiders_vote_counts_for_nothing() {
    let mut four = Four::found(1, 16);
    four.start(0);
    four.anchor_all();
    // An invalid key is refused before anyone can vote for it.
    let nonsense =
        Motion::AddValidator { key: [2; 32], org: OrgId::of(&record_key(1)), endpoint: String::new() };
    assert!(matches!(four.chain(0).submit(Act::Propose(nonsense)), Err(LedgerError::Refused(_))));

    four.seat(1, &[0]);
    four.start(1);
    let committee = four.until_it_acts();
    assert_eq!(committee.len(), 2);
    // Two seats, one vote: not enough, and who has no seat does not count.
    four.start(2);
    let motion = Motion::AddValidator {
        key: four.peers[2].key,
        org: OrgId::of(&record_key(2)),
        endpoint: four.peers[2].address.clone(),
    };
    four.done(0, Act::Propose(motion));
    let proposal = four.newest(0);
    four.anchor_all();
    let outsider = four.act(2, Act::Vote { proposal: proposal.id });
    assert!(matches!(outsider, Outcome::Refused { .. }), "{outsider:?}");
    assert!(four.newest(0).accepted.is_none());
    four.done(1, Act::Vote { proposal: proposal.id });
    four.until_it_acts();
    four.start(3);
    four.seat(3, &[1, 2]);
    assert_eq!(four.until_it_acts().len(), 4);
    println!("four at height {}, epoch {}", four.agree(), four.epoch(0));

    four.done(0, Act::Propose(Motion::RemoveValidator { key: four.peers[3].key }));
    let proposal = four.newest(0).id;
    four.done(1, Act::Vote { proposal });
    four.done(2, Act::Vote { proposal });
    let three = four.until_it_acts();
    assert!(three.len() == 3 && !three.contains(&four.peers[3].key));
    // It follows on, and its readings are anchored as everybody's. Its key may come back once the
    // epochs in which it voted are dropped.
    let forgotten = four.epoch(0) + 2;
    while four.epoch(0) < forgotten {
        four.anchor_all();
    }
    four.seat(3, &[2, 0]);
    assert_eq!(four.until_it_acts().len(), 4);
    four.anchor_all();
    println!("four again at height {}, epoch {}", four.agree(), four.epoch(0));
    // A verifier with only the genesis document follows every change, whichever node proves; also
    // who came late and got the earlier blocks from others.
    for index in 0..4 {
        let proof = four.chain(index).prove(&[Fact::Anchor(OrgId::of(&record_key(0)))]).unwrap();
        let finalized = vitals::proof::verify(&four.document, None, &proof).unwrap();
        assert_eq!((finalized.committee.len(), finalized.changes), (4, 5), "shown by {index}");
    }
}

#[test]
fn four_hospitals_agree_on_loopback_though_one_dies_and_comes_back() {
    let mut four = Four::found(4, crate::EPOCH_BLOCKS);
    for index in 0..usize::from(N) {
        four.start(index);
    }
    four.anchor_all();
    let mut took: Vec<Duration> = (0..20).map(|_| four.anchor_all()).collect();
    took.sort();
    println!("four acts submitted to final at all four: p50 {:?}, max {:?}", took[10], took[19]);

    four.chains[3].take().unwrap().crash();
    let alone: Vec<Duration> = (0..20).map(|_| four.anchor_all()).collect();
    println!("with one dead: {alone:?}");

    four.start(3);
    let back = four.anchor_all();
    println!("the dead one is back and has caught up after {back:?}");
    println!("agreed on {} blocks", four.agree());
    let seen = four.chain(0).peer_statuses().all();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(four.chain(0).evidence().is_empty());

    // A stranger with the genesis document checks what any of them proves.
    let proof = four.chain(3).prove(&[Fact::Anchor(OrgId::of(&record_key(0)))]).unwrap();
    verify_header(&four.document, &proof).unwrap();
}

/// A batch of one transaction as one validator hands it to another.
fn handed(transaction: &[u8]) -> Vec<u8> {
    [&[1, 1, u8::try_from(transaction.len()).unwrap()], transaction].concat()
}

#[test]
fn a_peer_that_sends_garbage_after_the_handshake_is_blocked_and_the_others_go_on() {
    const VOTES: usize = 0;
    const BROADCAST: usize = 4;
    const GOSSIP: usize = 5;
    let mut four = Four::found(4, crate::EPOCH_BLOCKS);
    for index in 0..3 {
        four.start(index);
    }
    four.anchor_all();
    let (byzantine, listen) = (four.peers[3].key, four.peers[3].address.parse().unwrap());
    let folder = four.folder.path().join("byzantine");
    let genesis = four.document.hash();
    let byzantine_peer = ByzantinePeer::new(seeds()[3].validator, genesis, listen, &four.peers[..3], folder);
    // Messages of an honest one arrive: the handshake is done.
    let greeting = [1, 0];
    for victim in 0..3 {
        let mut tip = four.chain(victim).watch_tip();
        let start = Instant::now();
        while four
            .chain(victim)
            .peer_statuses()
            .all()
            .get(&byzantine)
            .is_none_or(|seen| seen.heard_at_ms == 0)
        {
            assert!(start.elapsed() < PATIENCE, "{victim} never hears it");
            byzantine_peer.send(&four.peers[victim].key, GOSSIP, &greeting);
            four.chain(victim).moved(&mut tip);
        }
        assert_eq!(four.chain(victim).peer_statuses().all()[&byzantine].drops, 0);
    }
    // A transaction nobody signed; a vote that is none; a block that is none.
    let lies = [(GOSSIP, handed(b"no transaction")), (VOTES, vec![0, 0xff, 0xff]), (BROADCAST, vec![7; 40])];
    for (victim, (kind, lie)) in lies.iter().enumerate() {
        let mut tip = four.chain(victim).watch_tip();
        let start = Instant::now();
        while four.chain(victim).peer_statuses().all()[&byzantine].drops == 0 {
            assert!(start.elapsed() < PATIENCE, "{victim} goes on listening");
            byzantine_peer.send(&four.peers[victim].key, *kind, lie);
            four.chain(victim).moved(&mut tip);
        }
    }
    let heard = |four: &Four| -> Vec<u64> {
        (0..3).map(|at| four.chain(at).peer_statuses().all()[&byzantine].heard_at_ms).collect()
    };
    let before = heard(&four);
    for _ in 0..5 {
        for peer in &four.peers[..3] {
            byzantine_peer.send(&peer.key, GOSSIP, &greeting);
        }
        four.anchor_all();
    }
    assert_eq!(heard(&four), before, "who was dropped is not listened to");
    let governance = four.chain(0).explorer().unwrap().governance().unwrap();
    let shown = governance.health.iter().find(|one| one.key == byzantine).unwrap();
    assert!(shown.drops > 0 && shown.dropped_at_ms.is_some());
    // The honest ones dropped only it.
    for at in 0..3 {
        let all = four.chain(at).peer_statuses().all();
        assert!(all.iter().all(|(key, seen)| *key == byzantine || seen.drops == 0), "{all:?}");
    }
    four.agree();
}

#[test]
fn validators_of_another_ledger_do_not_connect() {
    let mut four = Four::found(4, crate::EPOCH_BLOCKS);
    // The same four keys and addresses, and another genesis.
    let theirs = crate::genesis::document(Founding {
        chain_id: 84_001,
        name: String::from("four other hospitals"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: crate::EPOCH_BLOCKS,
        committee: four.document.committee.clone(),
        operators: (0..4).map(|i| OrgId::of(&record_key(i))).collect(),
        founders: four.document.founders.clone(),
        salt: [9; 32],
    });
    for index in 0..3 {
        four.start(index);
    }
    let ours = std::mem::replace(&mut four.document, theirs);
    four.start(3);
    four.document = ours;
    let stranger = four.chains[3].take().unwrap();
    for _ in 0..10 {
        four.anchor_all();
    }
    for at in 0..3 {
        let all = four.chain(at).peer_statuses().all();
        assert!(all.get(&four.peers[3].key).is_none_or(|seen| seen.heard_at_ms == 0));
    }
    assert_eq!(stranger.tip().height, 0, "alone it decides nothing");
    let own = four.peers[3].key;
    assert!(stranger.peer_statuses().all().keys().all(|key| *key == own), "it hears nobody but itself");
}

#[test]
fn a_late_validator_starts_from_a_snapshot_follows_and_is_voted_in() {
    let mut four = Four::found(3, 16);
    for index in 0..3 {
        four.start(index);
    }
    while four.epoch(0) < 2 {
        four.anchor_all();
    }
    // The others talk with it from the moment it is proposed.
    four.done(
        0,
        Act::Propose(Motion::AddValidator {
            key: four.peers[3].key,
            org: OrgId::of(&record_key(3)),
            endpoint: four.peers[3].address.clone(),
        }),
    );
    four.anchor_all();
    let (mut bytes, offer) = (Vec::new(), four.chain(1).offer().unwrap());
    offer.write(&mut bytes).unwrap();
    let base = offer.height();
    assert!(base >= 31 && base % 16 == 15, "{base}");

    // A key that has a vote already does not begin with a snapshot.
    let seated = four.folder.path().join("seated");
    crate::snapshot::import(&seated, &four.document, None, &mut &*bytes).unwrap();
    let config = Config::among_others(seated, "127.0.0.1:0".parse().unwrap(), four.peers[..1].to_vec());
    let refused = EmbeddedChain::start(&config, &four.document, &seeds()[1]).unwrap_err();
    assert!(refused.to_string().contains("join with a new validator key"), "{refused}");

    let folder = four.folder.path().join("3");
    crate::snapshot::import(&folder, &four.document, None, &mut &*bytes).unwrap();
    four.start(3);
    // It can prove before a message of any peer has arrived.
    assert!(four.chain(3).prove(&[]).is_ok());
    four.anchor_all();
    let machine = four.chain(3).machine();
    assert_eq!((machine.base().unwrap(), machine.header(base - 1).unwrap()), (base, None));
    four.chains[3].take().unwrap().crash();
    four.anchor_all();
    four.start(3);
    four.anchor_all();

    let proposal = four.newest(0).id;
    four.done(1, Act::Vote { proposal });
    assert_eq!(four.until_it_acts().len(), 4);
    four.anchor_all();
    let lowest = (0..4).map(|at| four.chain(at).tip().height).min().unwrap();
    for height in base..=lowest {
        let header = four.chain(0).machine().header(height).unwrap();
        assert_eq!(four.chain(3).machine().header(height).unwrap(), header, "one block at {height}");
    }
    // Without the blocks before its snapshot it still proves from genesis on, and hands out snapshots.
    let proof = four.chain(3).prove(&[Fact::Anchor(OrgId::of(&record_key(0)))]).unwrap();
    let finalized = vitals::proof::verify(&four.document, None, &proof).unwrap();
    assert_eq!((finalized.committee.len(), finalized.changes), (4, 1));
    let (mut next, offer) = (Vec::new(), four.chain(3).offer().unwrap());
    offer.write(&mut next).unwrap();
    assert!(offer.height() > base);
    let second = four.folder.path().join("second");
    crate::snapshot::import(&second, &four.document, None, &mut &*next).unwrap();
    println!("snapshot of {} bytes at height {base}, followed to {lowest}", bytes.len());
}

#[test]
fn a_snapshot_comes_over_the_links_also_when_one_peer_answers_with_garbage() {
    const REQUESTS: usize = 6;
    let mut four = Four::found(3, 16);
    for index in 0..3 {
        four.start(index);
    }
    four.anchor_all();
    four.done(
        0,
        Act::Propose(Motion::AddValidator {
            key: four.peers[3].key,
            org: OrgId::of(&record_key(3)),
            endpoint: four.peers[3].address.clone(),
        }),
    );
    while four.epoch(0) < 2 {
        four.anchor_all();
    }
    // A peer that sends an invalid request is dropped: here the newcomer's own key has sent one before.
    let (newcomer, listen) = (four.peers[3].key, four.peers[3].address.parse().unwrap());
    let folder = four.folder.path().join("byzantine");
    let genesis = four.document.hash();
    let byzantine_peer = ByzantinePeer::new(seeds()[3].validator, genesis, listen, &four.peers[..3], folder);
    let mut tip = four.chain(0).watch_tip();
    let start = Instant::now();
    while four.chain(0).peer_statuses().all().get(&newcomer).is_none_or(|seen| seen.drops == 0) {
        assert!(start.elapsed() < PATIENCE);
        byzantine_peer.send(&four.peers[0].key, REQUESTS, &[0; 20]);
        four.chain(0).moved(&mut tip);
    }
    drop(byzantine_peer);
    // Validator 0 does not talk with it any more; the others do.
    let folder = four.folder.path().join("3");
    let config = Config::among_others(folder, listen, four.peers[..3].to_vec());
    let began = Instant::now();
    let taken = crate::snapshot::fetch(&config, &four.document, &seeds()[3].validator, None).unwrap();
    println!("the state after block {} came after {:?}", taken.header.height, began.elapsed());
    assert!(taken.header.height >= 31);
    let again = crate::snapshot::fetch(&config, &four.document, &seeds()[3].validator, None);
    assert!(again.unwrap_err().to_string().contains("holds a ledger already"));
    four.start(3);
    four.anchor_all();
    assert_eq!(four.chain(3).machine().base().unwrap(), taken.header.height);
    assert_eq!(four.chain(3).machine().header(1).unwrap(), None);
}
