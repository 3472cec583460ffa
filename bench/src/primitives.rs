//! What admission cannot do without, each alone in one thread's CPU time: the signature, the TLS
//! records, the hashes, the opening. Their sum is the floor that admission is measured against.

use crate::clock;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use anyhow::{Context, Result};
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, VerificationKeyBytes};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use vitals::DeviceId;
use vitals::envelope::{Envelope, header_hash};
use vitals::ids::sha256;
use vitals::log;

/// Passes over the same envelopes; the median counts.
const PASSES: usize = 7;
/// Bytes of a PUBLISH before its payload: fixed header, topic, packet id, properties.
const PUBLISH_BYTES: usize = 3 + 2 + 36 + 2 + 1;
/// An acknowledgement, and the receipt in a PUBLISH of its own: path of 17 hashes and the signed head.
const ANSWER_BYTES: usize = 4 + 44 + 32 + 8 + 17 * 34 + 190;

/// Microseconds of CPU per envelope.
pub(crate) struct Floor {
    /// Signatures of one batch, by its length.
    pub(crate) signature: Vec<(usize, f64)>,
    /// One signature alone.
    pub(crate) single: f64,
    /// One record in with the envelope, one out with acknowledgement and receipt.
    pub(crate) tls: f64,
    /// Hash of the ciphertext, of the header, the leaf, one node of the tree.
    pub(crate) hashes: f64,
    /// AES-256-GCM.
    pub(crate) opening: f64,
    /// Signatures a second with a batch on every core at once.
    pub(crate) on_all_cores: Vec<(usize, f64)>,
}

impl Floor {
    /// Signature in batches of 256, TLS, hashes and opening.
    pub(crate) fn sum(&self, with_tls: bool) -> f64 {
        let signature = self.signature.iter().find(|(len, _)| *len == 256).map_or(f64::NAN, |(_, us)| *us);
        signature + self.hashes + self.opening + if with_tls { self.tls } else { 0.0 }
    }
}

struct Machine;

impl TryRng for Machine {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        clock::entropy(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        clock::entropy(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        clock::entropy(out);
        Ok(())
    }
}

impl TryCryptoRng for Machine {}

type Signed = (VerificationKeyBytes, Signature, Vec<u8>);

fn batch(signed: &[Signed]) -> Result<()> {
    let mut verifier = Verifier::new();
    for (key, signature, message) in signed {
        verifier.queue(Item::from((*key, *signature, message)));
    }
    verifier.verify(Machine).map_err(|why| anyhow::anyhow!("{why}"))
}

/// Median over passes of `act`'s CPU time for `count` things, microseconds each.
fn each_us(count: usize, mut act: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut passes = Vec::with_capacity(PASSES);
    for _ in 0..PASSES {
        let before = clock::thread_cpu_s();
        act()?;
        passes.push((clock::thread_cpu_s() - before) * 1e6 / count as f64);
    }
    Ok(clock::median(&mut passes))
}

/// Measures on these envelopes of different authors.
pub(crate) fn measure(envelopes: &[(Vec<u8>, [u8; 32])]) -> Result<Floor> {
    let decoded: Vec<Envelope> = envelopes
        .iter()
        .map(|(bytes, _)| Envelope::decode(bytes).map_err(|why| anyhow::anyhow!("{why}")))
        .collect::<Result<_>>()?;
    let signed: Vec<Signed> = decoded
        .iter()
        .zip(envelopes)
        .map(|(envelope, (_, key))| {
            (VerificationKeyBytes::from(*key), Signature::from(envelope.signature), envelope.to_be_signed())
        })
        .collect();
    let lens: Vec<usize> = [64, 256, 1024].into_iter().filter(|len| *len <= signed.len()).collect();
    let (mut signature, mut on_all_cores) = (Vec::new(), Vec::new());
    for len in lens {
        let whole = signed.len() / len * len;
        let us = each_us(whole, || signed[..whole].chunks(len).try_for_each(batch))?;
        signature.push((len, us));
        on_all_cores.push((len, all_cores(&signed, len)?));
    }
    let single = each_us(64, || {
        signed.iter().take(64).try_for_each(|(key, signature, message)| {
            let item = Item::from((*key, *signature, message));
            item.verify_single().map_err(|why| anyhow::anyhow!("{why}"))
        })
    })?;
    let hashes = each_us(decoded.len(), || {
        for envelope in &decoded {
            black_box(sha256(&[&envelope.ciphertext]));
            let hash = black_box(header_hash(&envelope.header_bytes));
            black_box(log::node(&hash, &log::leaf(&envelope.header_bytes)));
        }
        Ok(())
    })?;
    Ok(Floor { signature, single, tls: tls(&decoded)?, hashes, opening: opening(&decoded)?, on_all_cores })
}

fn all_cores(signed: &[Signed], len: usize) -> Result<f64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let whole = signed.len() / len * len;
    let mut rates = Vec::new();
    for _ in 0..3 {
        let began = clock::instant();
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..cores).map(|_| scope.spawn(|| signed[..whole].chunks(len).try_for_each(batch))).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().map_err(|_| anyhow::anyhow!("a verifying thread panicked"))?
            })
        })?;
        rates.push((whole * cores) as f64 / began.elapsed().as_secs_f64());
    }
    Ok(clock::median(&mut rates))
}

/// Opening costs the same whatever the key: sealed here under one of our own.
fn opening(decoded: &[Envelope]) -> Result<f64> {
    let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from([7; 32]));
    let sealed: Vec<_> = decoded
        .iter()
        .map(|envelope| {
            let aad = envelope.header.associated_data();
            let msg = &envelope.ciphertext[..envelope.ciphertext.len() - 16];
            let nonce = Nonce::from(envelope.header.nonce());
            let sealed = cipher.encrypt(&nonce, Payload { msg, aad: &aad }).ok();
            Some((nonce, sealed?, aad))
        })
        .collect::<Option<_>>()
        .context("sealing")?;
    each_us(sealed.len(), || {
        for (nonce, msg, aad) in &sealed {
            black_box(cipher.decrypt(nonce, Payload { msg, aad }).ok().context("opening")?);
        }
        Ok(())
    })
}

struct AnyKey;

impl link::Registry for AnyKey {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        Ok(DeviceId::of(key))
    }
}

/// The node's side of a TLS 1.3 connection in memory: no sockets, no system calls.
fn tls(decoded: &[Envelope]) -> Result<f64> {
    let (certificate, key) = link::tls::self_signed(&[1; 32])?;
    let server = link::tls::server_config(certificate, key, Arc::new(AnyKey))?;
    let (certificate, key) = link::tls::self_signed(&[2; 32])?;
    let node_key: [u8; 32] = VerificationKeyBytes::from(&ed25519_zebra::SigningKey::from([1; 32])).into();
    let client = link::tls::client_config(certificate, key, node_key)?;
    let name = rustls::pki_types::ServerName::try_from("node.invalid")?;
    let mut client = rustls::ClientConnection::new(Arc::new(client), name)?;
    let mut server = rustls::ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes)?;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest)?;
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes)?;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
        }
    }
    let publish = [0; PUBLISH_BYTES];
    let answer = [0; ANSWER_BYTES];
    let mut passes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    for _ in 0..PASSES {
        let mut records = Vec::with_capacity(decoded.len());
        for envelope in decoded {
            client.writer().write_all(&[publish.as_slice(), &envelope.encode()].concat())?;
            let mut record = Vec::new();
            client.write_tls(&mut record)?;
            records.push(record);
        }
        let mut out = Vec::with_capacity(decoded.len() * (ANSWER_BYTES + 64));
        let before = clock::thread_cpu_s();
        for record in &records {
            server.read_tls(&mut record.as_slice())?;
            server.process_new_packets()?;
            black_box(server.reader().read(&mut buffer)?);
            server.writer().write_all(&answer)?;
            server.write_tls(&mut out)?;
        }
        passes.push((clock::thread_cpu_s() - before) * 1e6 / decoded.len() as f64);
        // The client has to keep up with the record numbers.
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
            while matches!(client.reader().read(&mut buffer), Ok(read) if read > 0) {}
        }
    }
    Ok(clock::median(&mut passes))
}
