//! One organisation on a chain of either kind.

use super::anvil::{Anvil, CHAIN_ID};
use crate::account::address_of;
use crate::chain::Chain;
use crate::embedded::{Config, EmbeddedChain, Keys};
use crate::genesis::{Founding, document};
use crate::remote::{Network, RemoteChain, deploy};
use crate::validator_key;
use std::time::Duration;
use tempfile::TempDir;
use vitals::eip712::ConsentDomain;
use vitals::ids::OrgId;
use vitals::ledger::{Act, ActId, Outcome};
use vitals::proof::genesis::{Founder, GenesisDocument};

pub(crate) const KEYS: Keys = Keys { validator: [5; 32], sender: [6; 32] };
const RECORD_KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn org() -> OrgId {
    OrgId::of(&RECORD_KEY)
}

/// Where the contracts of a world run.
pub(crate) enum Place {
    /// In this process.
    Embedded,
    /// On another network.
    Anvil(Box<(Anvil, Network)>),
}

/// A chain with one founding organisation, whose account it is.
pub(crate) struct World {
    pub(crate) chain: Box<dyn Chain>,
    pub(crate) document: GenesisDocument,
    pub(crate) folder: TempDir,
    pub(crate) place: Place,
}

pub(crate) fn founding() -> Founding {
    Founding {
        chain_id: CHAIN_ID,
        name: String::from("ward"),
        time_ms: 1_790_000_000_000,
        epoch_blocks: crate::EPOCH_BLOCKS,
        committee: vec![validator_key(&KEYS.validator).unwrap()],
        operators: vec![org()],
        founders: vec![Founder { record_key: RECORD_KEY, sender: address_of(&KEYS.sender).unwrap() }],
        salt: [8; 32],
    }
}

fn open(folder: &TempDir, place: &Place, document: &GenesisDocument) -> Box<dyn Chain> {
    match place {
        Place::Embedded => {
            let config = Config::new(folder.path().to_owned());
            Box::new(EmbeddedChain::start(&config, document, &KEYS).unwrap())
        }
        Place::Anvil(place) => {
            Box::new(RemoteChain::start(folder.path(), place.1.clone(), document, &KEYS.sender).unwrap())
        }
    }
}

impl World {
    pub(crate) fn embedded() -> Self {
        Self::at(Place::Embedded, document(founding()))
    }

    pub(crate) fn anvil() -> Self {
        let anvil = Anvil::start();
        let deployed = deploy(&anvil.network(), &[9; 32], founding()).unwrap();
        let network = Network { first_block: deployed.first_block, ..anvil.network() };
        Self::at(Place::Anvil(Box::new((anvil, network))), deployed.document)
    }

    fn at(place: Place, document: GenesisDocument) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = open(&folder, &place, &document);
        Self { chain, document, folder, place }
    }

    /// Stops the chain's part in this process and starts it again from its folder.
    pub(crate) fn restarted(self) -> Self {
        let Self { chain, document, folder, place } = self;
        drop(chain);
        let chain = open(&folder, &place, &document);
        Self { chain, document, folder, place }
    }

    pub(crate) fn domain(&self) -> ConsentDomain {
        ConsentDomain::of(&self.document).unwrap()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.chain.tip().time_ms
    }

    /// Waits until the chain has made up its mind.
    pub(crate) fn settled(&self, id: ActId) -> Outcome {
        let mut tip = self.chain.watch_tip();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let settled = async {
                loop {
                    match self.chain.outcome(id) {
                        Outcome::Pending => tip.changed().await.unwrap(),
                        outcome => return outcome,
                    }
                }
            };
            tokio::time::timeout(PATIENCE, settled).await.expect("the chain settles what it was given")
        })
    }

    pub(crate) fn act(&self, act: Act) -> Outcome {
        self.settled(self.chain.submit(act).unwrap())
    }

    /// An act that must be done.
    pub(crate) fn done(&self, act: Act) -> u64 {
        match self.act(act) {
            Outcome::Done { height } => height,
            other => panic!("{other:?}"),
        }
    }

    /// The reason why an act is refused.
    pub(crate) fn refused(&self, act: Act) -> String {
        match self.act(act) {
            Outcome::Refused { reason } => reason,
            other => panic!("{other:?}"),
        }
    }
}
