//! What must always hold, checked by an observer that reads every honest node and trusts none.

use super::{FOUNDERS, Violation};
use crate::{machine::Machine, replica::Replica};
use alloy_primitives::Address;
use std::collections::{BTreeMap, HashMap};
use vitals::{
    ids::Hash,
    proof::{
        certificate::Certificate,
        genesis::GenesisDocument,
        header::{BlockHeader, digest},
        verify_header,
    },
};

/// Keeps what was ever seen as final.
pub(super) struct InvariantChecker {
    document: GenesisDocument,
    /// The one header of each height.
    headers: BTreeMap<u64, Vec<u8>>,
    last: Hash,
    /// Committees, by the first epoch in which they stand.
    committees: BTreeMap<u64, Vec<[u8; 32]>>,
    nonces: HashMap<Address, u64>,
    /// How far each node had come.
    seen: BTreeMap<usize, u64>,
    /// Newest certificate checked of each node.
    proven: BTreeMap<usize, u64>,
    pub(super) transactions: u64,
    pub(super) certificates: u64,
}

impl InvariantChecker {
    pub(super) fn new(document: &GenesisDocument, genesis: &BlockHeader) -> Self {
        Self {
            document: document.clone(),
            headers: BTreeMap::new(),
            last: genesis.digest(),
            committees: BTreeMap::from([(0, document.committee.clone())]),
            nonces: HashMap::new(),
            seen: BTreeMap::new(),
            proven: BTreeMap::new(),
            transactions: 0,
            certificates: 0,
        }
    }

    pub(super) fn height(&self) -> u64 {
        self.headers.len() as u64
    }

    /// The committee that the newest boundary names.
    pub(super) fn newest_committee(&self) -> &[[u8; 32]] {
        self.committees.last_key_value().map_or(&[], |(_, committee)| committee)
    }

    /// Looks at a node. `afresh`: at every height it has, for it was just started.
    pub(super) fn check(&mut self, who: usize, machine: &Machine, afresh: bool) -> Result<u64, Violation> {
        let tip = machine.tip();
        let before = self.seen.get(&who).copied().unwrap_or(0);
        if tip.height < before {
            return Err(format!("validator {who} went back from height {before} to {}", tip.height));
        }
        let from = if afresh { 1 } else { before + 1 };
        for height in from..=tip.height {
            let bytes =
                machine.header(height).unwrap().ok_or(format!("validator {who} lost height {height}"))?;
            match self.headers.get(&height) {
                Some(first) if *first != bytes => {
                    return Err(format!(
                        "two blocks are final at height {height}; the other is validator {who}'s"
                    ));
                }
                Some(_) => {}
                None => self.first(height, bytes, machine)?,
            }
        }
        self.seen.insert(who, tip.height);
        let view = machine.view();
        if view.snapshot().state_root() != view.tip().state_root {
            return Err(format!("validator {who} has another state than its newest header names"));
        }
        Ok(tip.height)
    }

    fn first(&mut self, height: u64, bytes: Vec<u8>, machine: &Machine) -> Result<(), Violation> {
        let header = BlockHeader::decode(&bytes).map_err(|why| format!("height {height}: {why}"))?;
        if header.height != height || header.parent != self.last || self.height() + 1 != height {
            return Err(format!("the header at height {height} does not follow the one before"));
        }
        if !header.committee.is_empty() {
            self.committees.insert(header.epoch + 1, header.committee.clone());
        }
        self.last = digest(&bytes);
        for raw in machine.transactions(height).unwrap() {
            let tx = machine
                .check(&raw)
                .map_err(|why| format!("height {height} holds a transaction that {why}"))?;
            let next = self.nonces.entry(tx.sender).or_default();
            if tx.nonce() != *next {
                return Err(format!("height {height} executes nonce {} where {next} is due", tx.nonce()));
            }
            *next += 1;
            self.transactions += 1;
        }
        self.headers.insert(height, bytes);
        Ok(())
    }

    /// Checks the newest proof of a node as a stranger does.
    pub(super) fn check_proof(&mut self, who: usize, replica: &Replica) -> Result<(), Violation> {
        // None yet since its start.
        let Ok(proof) = replica.prove(&[]) else { return Ok(()) };
        let header = BlockHeader::decode(&proof.header).map_err(|why| format!("validator {who}: {why}"))?;
        if self.proven.insert(who, header.height) == Some(header.height) {
            return Ok(());
        }
        let certificate =
            Certificate::decode(&proof.certificate).map_err(|why| format!("validator {who}: {why}"))?;
        let committee = self.committees.range(..=header.epoch).next_back().map(|(_, committee)| committee);
        let committee = committee.ok_or("an epoch has no committee")?;
        if header.epoch != certificate.epoch || self.headers.get(&header.height) != Some(&proof.header) {
            return Err(format!("validator {who} proves another block at height {}", header.height));
        }
        certificate
            .verify(&digest(&proof.header), self.document.hash(), committee)
            .map_err(|why| format!("validator {who}, height {}: {why}", header.height))?;
        // And as one who has nothing but the genesis document.
        verify_header(&self.document, &proof)
            .map_err(|why| format!("validator {who}, height {}: {why}", header.height))?;
        self.certificates += 1;
        Ok(())
    }

    /// Only the byzantine may be accused.
    pub(super) fn check_evidence(
        &self,
        who: usize,
        replica: &Replica,
        byzantine: Option<[u8; 32]>,
    ) -> Result<u64, Violation> {
        let evidence = replica.evidence();
        match evidence.iter().find(|evidence| Some(evidence.validator) != byzantine) {
            Some(wrong) => Err(format!("validator {who} accuses an honest one: {:?}", wrong.conflict)),
            None => Ok(evidence.len() as u64),
        }
    }

    /// Drops a node whose disk is gone.
    pub(super) fn forget(&mut self, who: usize) {
        debug_assert!(who < FOUNDERS);
        self.seen.remove(&who);
        self.proven.remove(&who);
    }
}
