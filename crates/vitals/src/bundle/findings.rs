//! What the items of a bundle add up to: devices, openings of bindings and streams, each checked against the
//! log head and the devices that the ledger proved.

use super::batch::Batch;
use super::report::{Author, DeviceReport, Report, StreamReport};
use super::segment::Segment;
use super::{Broken, DEVICES_MAX, STREAMS_MAX, Sealed, Why, decode_sealed};
use crate::cose::{self, Domain};
use crate::envelope::{ClockQuality, Envelope, Header, Malformed};
use crate::ids::{DeviceId, Genesis, Hash, OrgId, PatientId, StreamId};
use crate::ledger::{Anchor, Device, DeviceKind, Organisation};
use crate::log;
use crate::proof::certificate::quorum;
use crate::proof::contracts::{read_anchor, read_device, read_organisation};
use crate::proof::genesis::GenesisDocument;
use crate::proof::header::BlockHeader;
use crate::proof::{AccountProof, Finalized};
use crate::receipt::{Receipt, SignedHead};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What the pinned genesis names.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) genesis: Genesis,
    pub(super) document: GenesisDocument,
    pub(super) org: OrgId,
}

/// The log head everything is held against, from the first proof.
#[derive(Debug)]
pub(super) struct Head {
    organisation: Organisation,
    anchor: Anchor,
    pub(super) final_by: Finalized,
}

/// What the items so far add up to.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) devices: BTreeMap<DeviceId, Device>,
    pub(super) openings: BTreeMap<DeviceId, PatientId>,
    streams: Vec<StreamReport>,
    /// Header hash of the envelope before, in the stream now read.
    last_hash: Hash,
    /// The last tree head whose signature went to the batch: receipts of one group share theirs.
    last_head: Option<SignedHead>,
    envelopes: u64,
    receipts: u64,
    ciphertext_bytes: u64,
}

/// Why an envelope of a segment was not entered.
enum NotEntered {
    Malformed(Malformed),
    Broken((&'static str, Why)),
}

impl From<Malformed> for NotEntered {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl From<NotEntered> for (&'static str, Why) {
    fn from(not: NotEntered) -> Self {
        match not {
            NotEntered::Malformed(why) => malformed(why),
            NotEntered::Broken(broken) => broken,
        }
    }
}

fn malformed(why: Malformed) -> (&'static str, Why) {
    match why {
        Malformed::Encoding(why) => ("encoding", Why::Encoding(why)),
        why => ("envelope", Why::Envelope(why)),
    }
}

/// A check; if it fails, the field and why.
pub(super) type Link<T> = Result<T, (&'static str, Why)>;

pub(super) fn broken<T>(field: &'static str, why: Why) -> Link<T> {
    Err((field, why))
}

pub(super) fn read_head(
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
    pub(super) fn add_device(
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

    pub(super) fn add_sealed(
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
        let hash = envelope.hash();
        self.enter(trusted, &envelope.header, hash, by).map_err(|(field, why)| here(field, why))?;
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

    /// Adds a segment of at most `left` envelopes; gives how many there are in it.
    pub(super) fn add_segment(
        &mut self,
        trusted: &Trusted,
        head: &Head,
        item: &[u8],
        left: u64,
        batch: &mut Batch,
        here: impl Fn(&'static str, Why) -> Broken,
    ) -> Result<u64, Broken> {
        let said = |(field, why)| here(field, why);
        let segment = Segment::decode(item).map_err(|why| said(malformed(why)))?;
        if segment.len() > left {
            return Err(here("segment", Why::Trailing));
        }
        let author = segment.shared.author;
        let (key, by) = self.author(head, author).map_err(said)?;
        // A signature by a key that was stolen vouches for nothing from before.
        let trusted_seq = self.trusted_seq(author);
        if segment.first_seq <= trusted_seq && segment.last_seq() > trusted_seq {
            return Err(here("segment", Why::AcrossRevocation));
        }
        let entered = segment.headers(trusted.genesis, |header, hash| {
            self.enter(trusted, header, hash, by).map_err(NotEntered::Broken)
        });
        let last = entered.map_err(|not| said(not.into()))?;
        let signed = cose::to_be_signed(Domain::Envelope, trusted.genesis, &last);
        batch.push(&key, &signed, &segment.signature, here("signature", Why::Signature))?;
        let Anchor { size, root, .. } = head.anchor;
        if !log::verify_inclusion(log::leaf(&last), segment.index, size, &segment.path, &root) {
            return Err(here("path or index", Why::Inclusion));
        }
        self.envelopes += segment.len();
        self.ciphertext_bytes += segment.ciphertext_bytes();
        Ok(segment.len())
    }

    /// Last sequence number of this author that is trusted.
    fn trusted_seq(&self, author: DeviceId) -> u64 {
        let revoked = self.devices.get(&author).and_then(|device| device.revoked);
        revoked.map_or(u64::MAX, |revocation| revocation.last_trusted_seq)
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
    fn enter(&mut self, trusted: &Trusted, header: &Header, hash: Hash, by: Author) -> Link<()> {
        let trusted_seq = self.trusted_seq(header.author);
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
        self.last_hash = hash;
        Ok(())
    }

    /// The patient of a stream, where an opening names one.
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

pub(super) fn report(
    trusted: Trusted,
    head: Head,
    findings: Findings,
    pinned: bool,
    known: Option<u64>,
) -> Report {
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
