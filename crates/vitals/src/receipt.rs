//! Receipts and proofs as they travel: "durable, and in my log"; then "that log is anchored".

use crate::cbor::{self, NotCanonical, Reader, Writer};
use crate::cose::{self, Domain};
use crate::ids::{Genesis, Hash, OrgId};
use crate::log::{self, PATH_MAX};
use alloc::vec::Vec;

const VERSION: u64 = 1;
/// Longest signed tree head, bytes.
pub const HEAD_BYTES_MAX: usize = 256;
/// Longest receipt, bytes.
pub const RECEIPT_BYTES_MAX: usize = 4096;
/// Longest ledger proof inside a delivery, bytes.
pub const LEDGER_PROOF_BYTES_MAX: usize = crate::proof::LEDGER_PROOF_BYTES_MAX;
/// Most envelopes proven by one delivery.
pub const PROVEN_MAX: usize = 256;
/// Longest proof delivery, bytes.
pub const DELIVERY_BYTES_MAX: usize = LEDGER_PROOF_BYTES_MAX + PROVEN_MAX * (PATH_MAX * 34 + 64);

/// An organisation's log at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Ledger.
    pub genesis: Genesis,
    /// Whose log.
    pub org: OrgId,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// When it was signed, milliseconds, by the node's clock.
    pub at_ms: u64,
}

impl TreeHead {
    /// The signed bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(HEAD_BYTES_MAX);
        w.array(6).uint(VERSION).bytes(&self.genesis.0).bytes(&self.org.0);
        w.uint(self.size).bytes(&self.root).uint(self.at_ms);
        w.finish()
    }

    /// Reads the signed bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, HEAD_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(6)?;
        r.exactly(VERSION)?;
        let head = Self {
            genesis: Genesis(r.fixed()?),
            org: OrgId(r.fixed()?),
            size: r.uint()?,
            root: r.fixed()?,
            at_ms: r.uint()?,
        };
        r.end()?;
        Ok(head)
    }

    /// The bytes the record key signs.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        cose::to_be_signed(Domain::Head, self.genesis, &self.encode())
    }
}

/// A tree head with its organisation's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub head: TreeHead,
    /// Ed25519 signature by the record key.
    pub signature: [u8; 64],
}

impl SignedHead {
    /// Did the owner of `record_key` sign this?
    #[must_use]
    pub fn verify(&self, record_key: &[u8; 32]) -> bool {
        cose::verify_raw(record_key, &self.head.to_be_signed(), &self.signature)
    }

    /// Writes the COSE_Sign1.
    pub fn write(&self, w: &mut Writer) {
        cose::write(w, &self.head.encode(), &self.signature);
    }

    /// Reads the COSE_Sign1.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let (payload, signature) = cose::read(r, HEAD_BYTES_MAX)?;
        Ok(Self { head: TreeHead::decode(payload)?, signature })
    }
}

fn write_path(w: &mut Writer, path: &[Hash]) {
    w.array(path.len());
    for hash in path {
        w.bytes(hash);
    }
}

fn read_path(r: &mut Reader<'_>) -> Result<Vec<Hash>, NotCanonical> {
    r.list(PATH_MAX, |r| r.fixed::<32>())
}

/// "Durable, and in my log": the node's answer to an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Which envelope: [`crate::envelope::header_hash`].
    pub envelope: Hash,
    /// Its leaf's index.
    pub index: u64,
    /// Inclusion path in `head`.
    pub path: Vec<Hash>,
    /// The log that holds it.
    pub head: SignedHead,
}

impl Receipt {
    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Each hash of the path takes 34; the rest is the signed head.
        let mut w = Writer::with_capacity(64 + self.path.len() * 34 + HEAD_BYTES_MAX);
        w.array(5).uint(VERSION).bytes(&self.envelope).uint(self.index);
        write_path(&mut w, &self.path);
        self.head.write(&mut w);
        w.finish()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, RECEIPT_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(5)?;
        r.exactly(VERSION)?;
        let receipt = Self {
            envelope: r.fixed()?,
            index: r.uint()?,
            path: read_path(&mut r)?,
            head: SignedHead::read(&mut r)?,
        };
        r.end()?;
        Ok(receipt)
    }

    /// Does this receipt, signed by `record_key`, cover the envelope with these header bytes?
    #[must_use]
    pub fn verify(&self, genesis: Genesis, record_key: &[u8; 32], header: &[u8]) -> bool {
        let head = &self.head.head;
        head.genesis == genesis
            && self.envelope == crate::envelope::header_hash(header)
            && log::verify_inclusion(log::leaf(header), self.index, head.size, &self.path, &head.root)
            && self.head.verify(record_key)
    }
}

/// Where one envelope stands in an anchored log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Which envelope: [`crate::envelope::header_hash`].
    pub envelope: Hash,
    /// Its leaf's index.
    pub index: u64,
    /// Inclusion path in the anchored head.
    pub path: Vec<Hash>,
}

/// A proof sent to a gateway: one anchored head, and the envelopes it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose anchor.
    pub org: OrgId,
    /// Encoded [`crate::proof::LedgerProof`] of `Fact::Anchor(org)`.
    pub ledger: Vec<u8>,
    /// The envelopes.
    pub proven: Vec<Proven>,
}

impl Delivery {
    /// The wire form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let paths: usize = self.proven.iter().map(|proven| 48 + proven.path.len() * 34).sum();
        let mut w = Writer::with_capacity(64 + self.ledger.len() + paths);
        w.array(4).uint(VERSION).bytes(&self.org.0).bytes(&self.ledger).array(self.proven.len());
        for proven in &self.proven {
            w.array(3).bytes(&proven.envelope).uint(proven.index);
            write_path(&mut w, &proven.path);
        }
        w.finish()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        cbor::bounded(bytes, DELIVERY_BYTES_MAX)?;
        let mut r = Reader::new(bytes);
        r.array(4)?;
        r.exactly(VERSION)?;
        let delivery = Self {
            org: OrgId(r.fixed()?),
            ledger: r.bytes(LEDGER_PROOF_BYTES_MAX)?.to_vec(),
            proven: r.list(PROVEN_MAX, |r| {
                r.array(3)?;
                Ok(Proven { envelope: r.fixed()?, index: r.uint()?, path: read_path(r)? })
            })?,
        };
        r.end()?;
        Ok(delivery)
    }
}
