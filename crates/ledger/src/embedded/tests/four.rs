//! Four organisations on loopback: the network between validators, transactions handed on, a dead
//! leader, one that was away.

use super::*;
use crate::Peer;
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
    fn found() -> Self {
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
            epoch_blocks: crate::EPOCH_BLOCKS,
            committee: keys.iter().map(public).collect(),
            operators: (0..usize::from(N)).map(|i| OrgId::of(&record_key(i))).collect(),
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
        let config = Config::among_others(folder, listen, self.peers.clone());
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

#[test]
fn four_hospitals_agree_on_loopback_though_one_dies_and_comes_back() {
    let mut four = Four::found();
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
    let seen = four.chain(0).observed().all();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(four.chain(0).evidence().is_empty());

    // A stranger with the genesis document checks what any of them proves.
    let proof = four.chain(3).prove(&[Fact::Anchor(OrgId::of(&record_key(0)))]).unwrap();
    verify_header(&four.document, &proof).unwrap();
}
