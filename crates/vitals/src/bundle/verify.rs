//! Checks a bundle, item by item, from the pinned genesis to every byte of every envelope.

use super::batch::Batch;
use super::findings::{Findings, Head, Link, Trusted, broken, read_head, report};
use super::report::Report;
use super::{Broken, Counts, Part, Start, Why, decode_opening, decode_proof, split_item};
use crate::cbor::NotCanonical;
use crate::ids::{Genesis, binding};
use crate::proof::checkpoint::{Checkpoint, Pins};
use crate::proof::genesis::GenesisDocument;
use crate::proof::{self, Known, LedgerProof};
use alloc::vec::Vec;

/// Checks a whole bundle against a pinned genesis hash. Without one, the report's `pinned` is false:
/// a bundle never supplies its own trust.
pub fn verify(bundle: &[u8], pinned: Option<Genesis>) -> Result<Report, Broken> {
    let mut verifier = Verifier::new(pinned);
    verifier.push(bundle)?;
    verifier.finish()
}

/// Checks a bundle as its bytes arrive. Holds one item and what the ledger has of devices and
/// streams; never the envelopes.
#[derive(Debug)]
pub struct Verifier {
    pinned: Option<Genesis>,
    checkpoint: Option<(Checkpoint, Pins, u64)>,
    known: Option<Known>,
    /// The beginning of an item whose end has not arrived.
    buffer: Vec<u8>,
    item: u64,
    at_byte: u64,
    left: Counts,
    batch: Batch,
    trusted: Option<Trusted>,
    head: Option<Head>,
    /// The envelopes come in segments: version 3.
    segments: bool,
    findings: Findings,
}

impl Verifier {
    /// Begins; `pinned` is the genesis hash the caller trusts.
    #[must_use]
    pub fn new(pinned: Option<Genesis>) -> Self {
        Self {
            pinned,
            checkpoint: None,
            known: None,
            buffer: Vec::new(),
            item: 0,
            at_byte: 0,
            left: Counts { proofs: 0, openings: 0, envelopes: 0 },
            batch: Batch::default(),
            trusted: None,
            head: None,
            segments: false,
            findings: Findings::default(),
        }
    }

    /// Begins at a checkpoint, if enough of the pinned organisations signed it and it is valid at `now_ms`.
    #[must_use]
    pub fn starting_at(self, checkpoint: Checkpoint, pins: Pins, now_ms: u64) -> Self {
        Self { checkpoint: Some((checkpoint, pins, now_ms)), ..self }
    }

    /// The next bytes of the bundle, as many as there are at hand.
    ///
    /// # Errors
    /// The first link that does not hold. Nothing that follows it can be trusted.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let held = core::mem::take(&mut self.buffer);
        let joined;
        let mut rest = if held.is_empty() {
            bytes
        } else {
            joined = [held.as_slice(), bytes].concat();
            joined.as_slice()
        };
        while !rest.is_empty() {
            if self.part() == Part::End {
                return Err(self.named("length", Why::Trailing));
            }
            let split = split_item(rest).map_err(|why| self.named("length", Why::Encoding(why)))?;
            let Some((item, taken)) = split else { break };
            self.take(item)?;
            self.item += 1;
            self.at_byte += taken as u64;
            rest = &rest[taken..];
        }
        self.buffer = rest.to_vec();
        Ok(())
    }

    /// The end of the bundle: what it proves.
    ///
    /// # Errors
    /// The first link that does not hold.
    pub fn finish(mut self) -> Result<Report, Broken> {
        if self.part() != Part::End || !self.buffer.is_empty() {
            return Err(self.named("length", Why::Missing));
        }
        self.batch.flush()?;
        match (self.trusted, self.head) {
            (Some(trusted), Some(head)) => {
                let known = self.known.map(|known| known.height);
                Ok(report(trusted, head, self.findings, self.pinned.is_some(), known))
            }
            _ => unreachable!("the end comes after the first proof"),
        }
    }

    fn part(&self) -> Part {
        match self.left {
            _ if self.trusted.is_none() => Part::Start,
            Counts { proofs: 1.., .. } => Part::Proof,
            Counts { openings: 1.., .. } => Part::Opening,
            Counts { envelopes: 1.., .. } => Part::Envelope,
            _ => Part::End,
        }
    }

    fn place(&self, field: &'static str, why: Why) -> Broken {
        Broken { item: self.item, at_byte: self.at_byte, part: self.part(), field, why }
    }

    /// This place, unless a signature that waits in the batch is bad.
    fn named(&mut self, field: &'static str, why: Why) -> Broken {
        let here = self.place(field, why);
        self.batch.first(here)
    }

    fn take(&mut self, item: &[u8]) -> Result<(), Broken> {
        let taken = match self.part() {
            Part::Start => self.start(item),
            Part::Proof => self.proof(item),
            Part::Opening => self.opening(item),
            Part::Envelope | Part::End => return self.sealed(item),
        };
        taken.map_err(|(field, why)| self.named(field, why))
    }

    fn start(&mut self, item: &[u8]) -> Link<()> {
        let start = Start::decode(item).map_err(|why| ("encoding", Why::Encoding(why)))?;
        let genesis = GenesisDocument::hash_of(start.genesis_document);
        if let Some(pinned) = self.pinned.filter(|pinned| *pinned != genesis) {
            return broken("genesis document", Why::OtherGenesis { found: genesis, pinned });
        }
        let document = GenesisDocument::decode(start.genesis_document)
            .map_err(|why| ("genesis document", Why::Encoding(why)))?;
        self.segments = start.version == 3;
        if !self.segments && start.version != document.version() {
            return broken("genesis document", Why::Version);
        }
        if let Some((checkpoint, pins, now_ms)) = self.checkpoint.take() {
            let trusted = checkpoint.trust(&document, &pins, now_ms);
            self.known = Some(trusted.map_err(|why| ("checkpoint", Why::Checkpoint(why)))?);
        }
        if start.counts.proofs == 0 {
            return broken("number of proofs", Why::Encoding(NotCanonical::Unexpected));
        }
        self.left = start.counts;
        self.trusted = Some(Trusted { genesis, document, org: start.org });
        Ok(())
    }

    fn proof(&mut self, item: &[u8]) -> Link<()> {
        let (devices, bytes) = decode_proof(item).map_err(|why| ("encoding", Why::Encoding(why)))?;
        let proof = LedgerProof::decode(bytes).map_err(|why| ("ledger proof", Why::Encoding(why)))?;
        let trusted = self.trusted.as_ref().expect("a proof comes after the start");
        if proof.changes.is_some() != (trusted.document.version() == 2) {
            return broken("ledger proof", Why::Version);
        }
        let final_by = proof::verify(&trusted.document, self.known.as_ref(), &proof)
            .map_err(|why| ("ledger proof", Why::Ledger(why)))?;
        let block = final_by.header.clone();
        let own = if self.head.is_none() { 2 } else { 0 };
        if proof.accounts.len() != devices.len() + own {
            return broken("ledger proof", Why::Accounts);
        }
        let (organisation, accounts) = proof.accounts.split_at(own);
        match (&self.head, organisation) {
            (None, [organisation, anchor]) => {
                self.head = Some(read_head(trusted, final_by, organisation, anchor)?);
            }
            // An older state might hide a revocation.
            (Some(head), _) if block.height < head.final_by.header.height => {
                return broken("ledger proof", Why::OlderBlock);
            }
            _ => {}
        }
        for (id, account) in devices.iter().zip(accounts) {
            self.findings.add_device(trusted, &block, *id, account)?;
        }
        self.left.proofs -= 1;
        Ok(())
    }

    fn opening(&mut self, item: &[u8]) -> Link<()> {
        let opening = decode_opening(item).map_err(|why| ("encoding", Why::Encoding(why)))?;
        let trusted = self.trusted.as_ref().expect("an opening comes after the start");
        let findings = &mut self.findings;
        if findings.openings.last_key_value().is_some_and(|(last, _)| *last >= opening.device) {
            return broken("device", Why::Order);
        }
        let device = findings.devices.get(&opening.device).ok_or(("device", Why::NoDevice))?;
        let bound = binding(trusted.genesis, opening.device, opening.patient, &opening.salt);
        if bound != device.binding {
            return broken("patient or salt", Why::Binding);
        }
        findings.openings.insert(opening.device, opening.patient);
        self.left.openings -= 1;
        Ok(())
    }

    fn sealed(&mut self, item: &[u8]) -> Result<(), Broken> {
        let (item_number, at_byte) = (self.item, self.at_byte);
        let here = |field, why| Broken { item: item_number, at_byte, part: Part::Envelope, field, why };
        let (Some(trusted), Some(head)) = (&self.trusted, &self.head) else {
            unreachable!("an envelope comes after the proofs")
        };
        let added = if self.segments {
            let left = self.left.envelopes;
            self.findings.add_segment(trusted, head, item, left, &mut self.batch, here)
        } else {
            self.findings.add_sealed(trusted, head, item, &mut self.batch, here).map(|()| 1)
        };
        self.left.envelopes -= added.map_err(|broken| self.batch.first(broken))?;
        Ok(())
    }
}
