//! The proof of one envelope: everything but its content.

use crate::accounts::Session;
use crate::anchoring::{FinalSince, ProofState};
use crate::charts::AccessView;
use crate::clinic::Clinic;
use crate::consents::AccessRequest;
use crate::consents::policy::purposes;
use crate::errors::{ClinicError, Denied};
use vitals::envelope::ClockQuality;
use vitals::ids::{Class, Hash};
use vitals::ledger::{Fact, Role};
use vitals::proof::certificate::Certificate;
use vitals::proof::header::BlockHeader;
use vitals::{DeviceId, PatientId};

/// The proof page of one envelope: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeProof {
    /// Header hash.
    pub hash: Hash,
    /// Leaf index in the organisation's log.
    pub index: u64,
    /// How far it is vouched for.
    pub proof: ProofState,
    /// Consent class.
    pub class: Class,
    /// Who sealed and signed it.
    pub author: DeviceId,
    /// Position in its stream.
    pub seq: u64,
    /// Earliest and latest time in it, milliseconds.
    pub span_ms: (u64, u64),
    /// Readings or events in it.
    pub count: u32,
    /// Length on the wire, bytes.
    pub bytes: usize,
    /// How far its author trusted the clock.
    pub clock: ClockQuality,
    /// The finalized head that covers it.
    pub anchored: Option<AnchoredProof>,
    /// Who looked at what, if this is an entry of the asker's own access log.
    pub access: Option<AccessView>,
}

/// The finalized part of an envelope's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchoredProof {
    /// Leaves of the anchored head.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Inclusion path of the envelope.
    pub path: Vec<Hash>,
    /// Height of the certified block the head was read from.
    pub height: u64,
    /// That block's digest.
    pub block: Hash,
    /// That block's time, milliseconds: when the newest head was certified, not when this envelope
    /// became final.
    pub block_time_ms: u64,
    /// Since when the envelope is final; none where this node does not know it.
    pub since: Option<FinalSince>,
    /// Positions of the validators whose signatures certify the block.
    pub signers: Vec<u32>,
}

impl Clinic {
    /// The proof of the envelope that is leaf `index` of the log. Shown to those who may read it, and
    /// to auditors and administrators, for it holds no content.
    ///
    /// # Errors
    /// [`ClinicError::Denied`]; also for a leaf that is not there.
    pub fn proof_page(
        &self,
        session: &Session,
        index: u64,
        now_ms: u64,
    ) -> Result<EnvelopeProof, ClinicError> {
        self.require(session, Role::NAMED, now_ms).map_err(|why| self.denied(why))?;
        let nothing = || self.denied(Denied::NoSuchPatient);
        let bytes = self.store().read_index(index)?.ok_or_else(nothing)?;
        let envelope = self.envelope(index)?.ok_or_else(nothing)?;
        let header = &envelope.header;
        let record = self.stream(header.stream).ok_or_else(nothing)?;
        if !matches!(session.role, Role::Auditor | Role::Administrator) {
            // A profile is what is now, however long ago it was written.
            let from_ms = if header.class == Class::Profile { now_ms } else { header.last_ms };
            self.may_see(session, record.patient, header.class, from_ms, now_ms)
                .map_err(|why| self.denied(why))?;
        }
        let access = match (session.role, header.class) {
            (Role::Patient, Class::Access) => self.own_entry(session, &envelope, index, now_ms)?,
            _ => None,
        };
        let proof = self.proof_state(index);
        let anchored = match proof {
            ProofState::Final { .. } => self.anchored_proof(index),
            _ => None,
        };
        Ok(EnvelopeProof {
            hash: envelope.hash(),
            index,
            proof,
            class: header.class,
            author: header.author,
            seq: header.seq,
            span_ms: (header.first_ms, header.last_ms),
            count: header.count,
            bytes: bytes.len(),
            clock: header.clock,
            anchored,
            access,
        })
    }

    fn may_see(
        &self,
        session: &Session,
        patient: PatientId,
        class: Class,
        from_ms: u64,
        now_ms: u64,
    ) -> Result<(), Denied> {
        let patient = self.patient(patient)?;
        let purposes = purposes(session.role);
        let purpose = purposes.first().copied().ok_or(Denied::NoConsent)?;
        let classes = &[class];
        let ask =
            AccessRequest { reader: self.reader(session), patient: &patient, purpose, classes, from_ms };
        self.decide_any(&ask, purposes, now_ms).map(drop)
    }

    /// The finalized head that covers the leaf, and who certified it; nothing while the ledger has
    /// no certificate at hand.
    fn anchored_proof(&self, index: u64) -> Option<AnchoredProof> {
        let anchor = self.ledger().anchor(self.org()).ok()??;
        let proof = self.ledger().prove(&[Fact::Anchor(self.org())]).ok()?;
        let header = BlockHeader::decode(&proof.header).ok()?;
        let certificate = Certificate::decode(&proof.certificate).ok()?;
        Some(AnchoredProof {
            size: anchor.size,
            root: anchor.root,
            path: self.store().inclusion(index, anchor.size)?,
            height: header.height,
            block: header.digest(),
            block_time_ms: header.time_ms,
            since: self.final_since(index),
            signers: certificate.signatures.iter().map(|(at, _)| u32::from(*at)).collect(),
        })
    }
}
