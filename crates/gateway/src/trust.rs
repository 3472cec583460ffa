//! What the gateway checks itself before it believes that an envelope is recorded.

use vitals::ids::{Hash, OrgId};
use vitals::ledger::Anchor;
use vitals::log;
use vitals::proof::{
    BrokenLink, LedgerProof, contracts, genesis::GenesisDocument, state::NotProven, verify_header,
};
use vitals::receipt::{Delivery, Receipt};

/// Why a receipt or a proof is not believed. The node is wrong, or somebody between.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBelieved {
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
}

/// The pinned points: nothing else is trusted.
pub(crate) struct Trust {
    pub(crate) document: GenesisDocument,
    pub(crate) record_key: [u8; 32],
}

/// One envelope of a delivery, to be held against what the journal knows.
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

impl Trust {
    /// The envelope a receipt is about, if the header `header_of` gives for it makes it hold, and the
    /// node's time of signing. None
    /// when `header_of` knows no such envelope.
    pub(crate) fn receipt(
        &self,
        bytes: &[u8],
        header_of: impl FnOnce(&Hash) -> Option<Vec<u8>>,
    ) -> Result<Option<(Hash, u64)>, NotBelieved> {
        let receipt = Receipt::decode(bytes)?;
        if receipt.head.head.org != OrgId::of(&self.record_key) {
            return Err(NotBelieved::ForeignLog);
        }
        let Some(header) = header_of(&receipt.envelope) else { return Ok(None) };
        match receipt.verify(self.document.hash(), &self.record_key, &header) {
            true => Ok(Some((receipt.envelope, receipt.head.head.at_ms))),
            false => Err(NotBelieved::Receipt),
        }
    }

    /// Checks a delivery from the pinned genesis to the anchored head: the ledger's height, and the
    /// claims that stand on it.
    pub(crate) fn delivery(&self, bytes: &[u8]) -> Result<(u64, Vec<Claim>), NotBelieved> {
        let delivery = Delivery::decode(bytes)?;
        if delivery.org != OrgId::of(&self.record_key) {
            return Err(NotBelieved::ForeignLog);
        }
        let proof = LedgerProof::decode(&delivery.ledger)?;
        let header = verify_header(&self.document, &proof)?;
        let account = proof.accounts.first().ok_or(NotBelieved::NoAnchor)?;
        let anchor = contracts::read_anchor(&header.state_root, &self.document, delivery.org, account)?
            .ok_or(NotBelieved::NoAnchor)?;
        let claims = delivery.proven.into_iter();
        let claims = claims
            .map(|it| Claim { envelope: it.envelope, index: it.index, path: it.path, anchor })
            .collect();
        Ok((header.height, claims))
    }
}
