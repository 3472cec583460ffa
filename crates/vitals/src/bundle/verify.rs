//! Checks a bundle, item by item, from the pinned genesis to every byte of every envelope.

use super::batch::Batch;
use super::report::{Author, DeviceReport, Report, StreamReport};
use super::{
    Broken, Counts, DEVICES_MAX, Part, STREAMS_MAX, Sealed, Start, Why, decode_opening, decode_proof,
    decode_sealed, split_item,
};
use crate::cose;
use crate::envelope::{ClockQuality, Envelope};
use crate::ids::{DeviceId, Genesis, Hash, OrgId, PatientId, StreamId, binding};
use crate::ledger::{Anchor, Device, DeviceKind, Organisation};
use crate::log;
use crate::proof::certificate::quorum;
use crate::proof::checkpoint::{Checkpoint, Pins};
use crate::proof::contracts::{read_anchor, read_device, read_organisation};
use crate::proof::genesis::GenesisDocument;
use crate::proof::header::BlockHeader;
use crate::proof::{self, AccountProof, Finalized, Known, LedgerProof};
use crate::receipt::Receipt;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Checks a whole bundle against a pinned genesis hash. Without one, the report's `pinned` is false:
/// a bundle never supplies its own trust.
pub fn verify(bundle: &[u8], pinned: Option<Genesis>) -> Result<Report, Broken> {
    let mut verifier = Verifier::new(pinned);
    verifier.push(bundle)?;
    verifier.finish()
}

/// Checks a bundle as its bytes arrive. Holds one item and what the ledger says of devices and
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
    findings: Findings,
}

/// What the pinned genesis names.
#[derive(Debug)]
struct Trusted {
    genesis: Genesis,
    document: GenesisDocument,
    org: OrgId,
}

/// The log head everything is held against, from the first proof.
#[derive(Debug)]
struct Head {
    organisation: Organisation,
    anchor: Anchor,
    final_by: Finalized,
}

#[derive(Debug, Default)]
struct Findings {
    devices: BTreeMap<DeviceId, Device>,
    openings: BTreeMap<DeviceId, PatientId>,
    streams: Vec<StreamReport>,
    /// Header hash of the envelope before, in the stream now read.
    last_hash: Hash,
    /// The last tree head whose signature went to the batch: receipts of one group share theirs.
    last_head: Option<crate::receipt::SignedHead>,
    envelopes: u64,
    receipts: u64,
    ciphertext_bytes: u64,
}

type Link<T> = Result<T, (&'static str, Why)>;

fn broken<T>(field: &'static str, why: Why) -> Link<T> {
    Err((field, why))
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
            findings: Findings::default(),
        }
    }

    /// Begins at a checkpoint, if enough of the pinned organisations vouch for it at `now_ms`.
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
        if start.version != document.version() {
            return broken("genesis document", Why::Version);
        }
        if let Some((checkpoint, pins, now_ms)) = self.checkpoint.take() {
            let trusted = checkpoint.trust(&document, &pins, now_ms);
            self.known = Some(trusted.map_err(|why| ("checkpoint", Why::Checkpoint(why)))?);
        }
        if start.counts.proofs == 0 {
            return broken("number of proofs", Why::Encoding(crate::cbor::NotCanonical::Unexpected));
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
        let added = self.findings.add_sealed(trusted, head, item, &mut self.batch, here);
        added.map_err(|broken| self.batch.first(broken))?;
        self.left.envelopes -= 1;
        Ok(())
    }
}

fn read_head(
    trusted: &Trusted,
    final_by: Finalized,
    organisation: &AccountProof,
    anchor: &AccountProof,
) -> Link<Head> {
    let (root, document, org) = (&final_by.header.state_root, &trusted.document, trusted.org);
    let organisation = read_organisation(root, document, org, organisation)
        .map_err(|why| ("organisation", Why::State(why)))?
        .ok_or(("organisation", Why::NoOrganisation))?;
    if !cose::is_strong(&organisation.record_key) {
        return broken("organisation", Why::WeakKey);
    }
    let anchor = read_anchor(root, document, org, anchor)
        .map_err(|why| ("log head", Why::State(why)))?
        .ok_or(("log head", Why::NoAnchor))?;
    Ok(Head { organisation, anchor, final_by })
}

impl Findings {
    fn add_device(
        &mut self,
        trusted: &Trusted,
        block: &BlockHeader,
        id: DeviceId,
        account: &AccountProof,
    ) -> Link<()> {
        if self.devices.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return broken("device", Why::Order);
        }
        if self.devices.len() >= DEVICES_MAX {
            return broken("device", Why::TooMany);
        }
        let device = read_device(&block.state_root, &trusted.document, id, account)
            .map_err(|why| ("device", Why::State(why)))?
            .ok_or(("device", Why::NoDevice))?;
        if DeviceId::of(&device.key) != id {
            return broken("device", Why::KeyNotItsId);
        }
        if !cose::is_strong(&device.key) {
            return broken("device", Why::WeakKey);
        }
        if device.org != trusted.org {
            return broken("device", Why::OtherOrganisation);
        }
        self.devices.insert(id, device);
        Ok(())
    }

    fn add_sealed(
        &mut self,
        trusted: &Trusted,
        head: &Head,
        item: &[u8],
        batch: &mut Batch,
        here: impl Fn(&'static str, Why) -> Broken,
    ) -> Result<(), Broken> {
        let sealed = decode_sealed(item).map_err(|why| here("encoding", Why::Encoding(why)))?;
        let envelope =
            Envelope::decode(sealed.envelope).map_err(|why| here("envelope", Why::Envelope(why)))?;
        if envelope.header.genesis != trusted.genesis {
            return Err(here("genesis hash", Why::ForeignLedger));
        }
        let (key, by) = self.author(head, envelope.header.author).map_err(|(field, why)| here(field, why))?;
        batch.push(&key, &envelope.to_be_signed(), &envelope.signature, here("signature", Why::Signature))?;
        self.enter(trusted, &envelope, by).map_err(|(field, why)| here(field, why))?;
        let leaf = log::leaf(&envelope.header_bytes);
        let Anchor { size, root, .. } = head.anchor;
        if !log::verify_inclusion(leaf, sealed.index, size, &sealed.path, &root) {
            return Err(here("path or index", Why::Inclusion));
        }
        if !sealed.receipt.is_empty() {
            self.receipt(trusted, head, &envelope, &sealed, batch, here)?;
        }
        self.envelopes += 1;
        self.ciphertext_bytes += envelope.ciphertext.len() as u64;
        Ok(())
    }

    /// The key that must have signed for this author, and what the author is.
    fn author(&self, head: &Head, author: DeviceId) -> Link<([u8; 32], Author)> {
        if author == DeviceId::of(&head.organisation.record_key) {
            return Ok((head.organisation.record_key, Author::Organisation));
        }
        let sensor = self.devices.get(&author).filter(|device| device.kind == DeviceKind::Sensor);
        let sensor = sensor.ok_or(("author", Why::UnknownAuthor))?;
        let gateway = self.devices.get(&sensor.via).map(|via| via.kind);
        if gateway != Some(DeviceKind::Gateway) {
            return broken("author", Why::GatewayMissing);
        }
        Ok((sensor.key, Author::Sensor { via: sensor.via }))
    }

    /// Enters the envelope into its stream: order, links, gaps.
    fn enter(&mut self, trusted: &Trusted, envelope: &Envelope, by: Author) -> Link<()> {
        let header = &envelope.header;
        let trusted_seq = self
            .devices
            .get(&header.author)
            .and_then(|device| device.revoked)
            .map_or(u64::MAX, |revocation| revocation.last_trusted_seq);
        let last = self.streams.last_mut();
        if last.as_ref().is_some_and(|last| last.stream > header.stream) {
            return broken("stream", Why::Order);
        }
        let report = match last.filter(|last| last.stream == header.stream) {
            Some(report) => {
                if (report.author, report.class) != (header.author, header.class) {
                    return broken("stream", Why::Stream);
                }
                if report.last_seq >= header.seq {
                    return broken("sequence number", Why::Order);
                }
                let missing = header.seq - report.last_seq - 1;
                if missing == 0 && header.prev != self.last_hash {
                    return broken("prev", Why::Prev);
                }
                if missing > 0 {
                    report.gaps += 1;
                    report.missing += missing;
                    report.first_gap.get_or_insert((report.last_seq + 1, header.seq - 1));
                }
                report
            }
            None => {
                if self.streams.len() >= STREAMS_MAX {
                    return broken("stream", Why::TooMany);
                }
                let patient = self.patient_of(trusted, header.stream, header.author, header.class, by)?;
                self.streams.push(StreamReport {
                    stream: header.stream,
                    author: header.author,
                    by,
                    class: header.class,
                    patient,
                    envelopes: 0,
                    readings: 0,
                    first_seq: header.seq,
                    last_seq: header.seq,
                    gaps: 0,
                    missing: 0,
                    first_gap: None,
                    first_ms: header.first_ms,
                    last_ms: header.last_ms,
                    clock_unset: 0,
                    untrusted: 0,
                });
                self.streams.last_mut().expect("pushed one line above")
            }
        };
        report.envelopes += 1;
        report.readings += u64::from(header.count);
        report.last_seq = header.seq;
        report.first_ms = report.first_ms.min(header.first_ms);
        report.last_ms = report.last_ms.max(header.last_ms);
        report.clock_unset += u64::from(header.clock == ClockQuality::Unset);
        report.untrusted += u64::from(header.seq > trusted_seq);
        self.last_hash = envelope.hash();
        Ok(())
    }

    /// The patient of a stream, where an opening tells.
    fn patient_of(
        &self,
        trusted: &Trusted,
        stream: StreamId,
        author: DeviceId,
        class: crate::ids::Class,
        by: Author,
    ) -> Link<Option<PatientId>> {
        let fits = |patient: PatientId| StreamId::of(trusted.genesis, author, patient, class) == stream;
        match by {
            Author::Sensor { .. } => match self.openings.get(&author) {
                Some(patient) if fits(*patient) => Ok(Some(*patient)),
                Some(_) => broken("stream", Why::Stream),
                None => Ok(None),
            },
            // The ledger binds no patient to a node; a patient opened for a sensor may fit.
            Author::Organisation => Ok(self.openings.values().copied().find(|patient| fits(*patient))),
        }
    }

    fn receipt(
        &mut self,
        trusted: &Trusted,
        head: &Head,
        envelope: &Envelope,
        sealed: &Sealed<'_>,
        batch: &mut Batch,
        here: impl Fn(&'static str, Why) -> Broken,
    ) -> Result<(), Broken> {
        let receipt = Receipt::decode(sealed.receipt).map_err(|why| here("receipt", Why::Encoding(why)))?;
        let tree = receipt.head.head;
        let own = tree.genesis == trusted.genesis
            && tree.org == trusted.org
            && receipt.envelope == envelope.hash()
            && receipt.index == sealed.index;
        if !own {
            return Err(here("receipt", Why::OtherReceipt));
        }
        let leaf = log::leaf(&envelope.header_bytes);
        if !log::verify_inclusion(leaf, receipt.index, tree.size, &receipt.path, &tree.root) {
            return Err(here("receipt", Why::ReceiptPath));
        }
        if self.last_head != Some(receipt.head) {
            let key = &head.organisation.record_key;
            let otherwise = here("receipt", Why::ReceiptSignature);
            batch.push(key, &tree.to_be_signed(), &receipt.head.signature, otherwise)?;
            self.last_head = Some(receipt.head);
        }
        if tree.size == head.anchor.size && tree.root != head.anchor.root {
            return Err(here("receipt", Why::Forked));
        }
        self.receipts += 1;
        Ok(())
    }
}

fn report(trusted: Trusted, head: Head, findings: Findings, pinned: bool, known: Option<u64>) -> Report {
    let Finalized { header, committee, signers, changes, .. } = head.final_by;
    let committee = committee.len();
    let devices = findings.devices.iter().map(|(id, device)| DeviceReport {
        device: *id,
        kind: device.kind,
        via: device.via,
        since_ms: device.since_ms,
        revoked: device.revoked,
    });
    Report {
        genesis: trusted.genesis,
        pinned,
        ledger_name: trusted.document.name,
        org: trusted.org,
        org_active: head.organisation.active,
        committee,
        quorum: quorum(committee),
        signers,
        changes,
        known,
        height: header.height,
        time_ms: header.time_ms,
        anchor: head.anchor,
        devices: devices.collect(),
        streams: findings.streams,
        envelopes: findings.envelopes,
        receipts: findings.receipts,
        ciphertext_bytes: findings.ciphertext_bytes,
    }
}
