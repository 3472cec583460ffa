//! Verifies receipts and proofs: the gateway relies on nothing else before it forgets an envelope.

use crate::ledger_witness::LedgerWitness;
use durable::Disk;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vitals::ids::{Hash, OrgId};
use vitals::ledger::Anchor;
use vitals::log;
use vitals::proof::witness::Alarm;
use vitals::proof::{BrokenLink, LedgerProof, contracts, genesis::GenesisDocument, state::NotProven};
use vitals::receipt::{Delivery, Receipt};

/// Why a receipt or a proof does not verify. The node is wrong, or somebody between.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotVerified {
    #[error("it is not encoded as the wire format says: {0}")]
    Encoding(#[from] vitals::cbor::NotCanonical),
    #[error("the receipt's signature or inclusion path does not hold")]
    Receipt,
    #[error("it is about another organisation's log")]
    ForeignLog,
    #[error("{0}")]
    Broken(#[from] BrokenLink),
    #[error("contract state: {0}")]
    State(#[from] NotProven),
    #[error("the ledger holds no anchor of the organisation")]
    NoAnchor,
    #[error("{0}")]
    Alarm(Alarm),
}

/// The pinned keys, and what was seen of the ledger since: nothing else is trusted.
pub(crate) struct Verifier {
    document: GenesisDocument,
    record_key: [u8; 32],
    witness: LedgerWitness,
}

/// One envelope of a delivery, to be compared with what the journal knows.
pub(crate) struct Claim {
    pub(crate) envelope: Hash,
    index: u64,
    path: Vec<Hash>,
    anchor: Anchor,
}

impl Claim {
    /// Is the envelope with this leaf in the anchored log?
    pub(crate) fn holds(&self, leaf: Hash) -> bool {
        log::verify_inclusion(leaf, self.index, self.anchor.size, &self.path, &self.anchor.root)
    }
}

impl Verifier {
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        document: GenesisDocument,
        record_key: [u8; 32],
    ) -> io::Result<Self> {
        let witness = LedgerWitness::open(disk, dir, document.hash())?;
        Ok(Self { document, record_key, witness })
    }

    /// What is wrong with the ledger the node shows.
    pub(crate) fn alarm(&self) -> Option<Alarm> {
        self.witness.alarm()
    }

    /// The envelope that a receipt is about and the node's time of signing, if the receipt verifies with
    /// the header that `header_of` gives for it; none when `header_of` knows no such envelope.
    pub(crate) fn receipt(
        &self,
        bytes: &[u8],
        header_of: impl FnOnce(&Hash) -> Option<Vec<u8>>,
    ) -> Result<Option<(Hash, u64)>, NotVerified> {
        let receipt = Receipt::decode(bytes)?;
        if receipt.head.head.org != OrgId::of(&self.record_key) {
            return Err(NotVerified::ForeignLog);
        }
        let Some(header) = header_of(&receipt.envelope) else { return Ok(None) };
        match receipt.verify(self.document.hash(), &self.record_key, &header) {
            true => Ok(Some((receipt.envelope, receipt.head.head.at_ms))),
            false => Err(NotVerified::Receipt),
        }
    }

    /// Verifies a delivery from the newest block seen, or the pinned genesis, to the anchored head. Gives
    /// the ledger's height and the claims that rest on it. A block below the newest seen proves nothing;
    /// a node that catches up has a newer one soon.
    pub(crate) fn delivery(&mut self, bytes: &[u8], now_ms: u64) -> Result<(u64, Vec<Claim>), NotVerified> {
        let delivery = Delivery::decode(bytes)?;
        if delivery.org != OrgId::of(&self.record_key) {
            return Err(NotVerified::ForeignLog);
        }
        let proof = LedgerProof::decode(&delivery.ledger)?;
        let header = match self.witness.verify(&self.document, &proof, now_ms) {
            Err(BrokenLink::OlderThanKnown { height, known }) => {
                tracing::warn!(height, known, "The node shows block {height}; block {known} was seen before");
                return Ok((height, Vec::new()));
            }
            verdict => verdict?.header,
        };
        let account = proof.accounts.first().ok_or(NotVerified::NoAnchor)?;
        let anchor = contracts::read_anchor(&header.state_root, &self.document, delivery.org, account)?
            .ok_or(NotVerified::NoAnchor)?;
        self.witness.saw_log(&anchor, now_ms);
        if let Some(alarm) = self.witness.alarm().filter(|alarm| matches!(alarm, Alarm::Log { .. })) {
            return Err(NotVerified::Alarm(alarm));
        }
        let claims = delivery.proven.into_iter();
        let claims = claims
            .map(|it| Claim { envelope: it.envelope, index: it.index, path: it.path, anchor })
            .collect();
        Ok((header.height, claims))
    }
}
