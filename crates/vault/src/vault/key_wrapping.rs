//! Handing a device its chain keys, at pairing: HPKE (RFC 9180) base mode, DHKEM(X25519,
//! HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use crate::error::VaultError;
use crate::sealed_tables::Table;
use crate::vault::Vault;
use crate::vault::streams::{ChainRow, StreamRecord};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeS, Serializable, single_shot_seal_with_rng};
use vitals::entropy::EntropyRng;
use vitals::ids::StreamId;
use vitals::keys::ChainKey;
use vitals::pairing::{DeviceKeys, PairingAnswer, PairingRequest, StreamKey, wrap_info};

impl Vault {
    /// Answers a pairing request: each stream's chain key at the start of `epoch`, wrapped to the
    /// stream's author, signed by the record key. Keys go only to authors whose signature, in the request, is
    /// for the key they are wrapped to, and never for an earlier day than before.
    ///
    /// # Errors
    /// [`VaultError::Unpaired`], [`VaultError::NoStream`], [`VaultError::Regressed`],
    /// [`VaultError::Epoch`], [`VaultError::NoGenesis`]; then no key was handed out.
    pub fn pairing_answer(
        &self,
        request: &PairingRequest,
        streams: &[StreamId],
        epoch: u32,
    ) -> Result<PairingAnswer, VaultError> {
        // The fields are public: only what decodes from its own bytes is known to be signed.
        let request = PairingRequest::decode(&request.encode()).map_err(|_| VaultError::Unpaired)?;
        let genesis_document = self.genesis_document().ok_or(VaultError::NoGenesis)?;
        let _changing = self.changing();
        let mut wrapped = Vec::with_capacity(streams.len());
        let mut rows = Vec::with_capacity(streams.len());
        for stream in streams {
            let record = self.stream(*stream).ok_or(VaultError::NoStream)?;
            let recipient = request.sensors.iter().find(|sensor| sensor.id() == record.author);
            let recipient = recipient.ok_or(VaultError::Unpaired)?;
            let row = self.chain_row(*stream)?;
            if epoch < row.given_epoch {
                return Err(VaultError::Regressed { given: row.given_epoch, asked: epoch });
            }
            let steps = epoch.checked_sub(record.first_epoch).ok_or(VaultError::Epoch)?;
            let chain = row.first.forward(steps).ok_or(VaultError::Epoch)?;
            wrapped.push(self.wrap(&chain, &record, recipient, epoch)?);
            rows.push((*stream, ChainRow { first: row.first, given_epoch: epoch }.encode()));
        }
        let puts: Vec<_> =
            rows.iter().map(|(stream, row)| (Table::Chains, stream.0.as_slice(), row.as_slice())).collect();
        self.tables.put(&puts)?;
        let mut answer = PairingAnswer {
            genesis_document,
            record_key: self.record_key(),
            gateway: request.gateway.id(),
            streams: wrapped,
            signature: [0; 64],
        };
        answer.signature = self.sign_record(&answer.to_be_signed());
        Ok(answer)
    }

    fn wrap(
        &self,
        chain: &ChainKey,
        record: &StreamRecord,
        recipient: &DeviceKeys,
        epoch: u32,
    ) -> Result<StreamKey, VaultError> {
        let info = wrap_info(self.genesis()?, record.stream, recipient.id(), epoch);
        let to = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&recipient.wrap_key)
            .map_err(|_| VaultError::Unpaired)?;
        let (encapsulated, wrapped) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &to,
            &info,
            chain.expose(),
            &[],
            &mut EntropyRng(|out: &mut [u8]| (self.entropy)(out)),
        )
        // A key of small order has no shared secret.
        .map_err(|_| VaultError::Unpaired)?;
        Ok(StreamKey {
            author: record.author,
            stream: record.stream,
            class: record.class,
            epoch,
            commitment: chain.commitment(),
            encapsulated: encapsulated.to_bytes().into(),
            wrapped: wrapped.try_into().expect("32 bytes and a tag of 16"),
        })
    }
}
