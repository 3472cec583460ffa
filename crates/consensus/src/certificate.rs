//! Converts between the engine's finalization and the certificate that independent verifiers check
//! ([`vitals::proof::certificate`]).

use crate::{Digest, Finalization};
use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::types::Proposal,
    types::{Epoch, Round, View},
};
use commonware_cryptography::{certificate::Signers, ed25519};
use commonware_utils::Participant;
use vitals::proof::{certificate::Certificate, header::BlockHeader};

/// The certificate with the content of `finalization`; `None` if one of its signatures is malformed, which
/// does not happen to a verified one.
#[must_use]
pub fn to_certificate(finalization: &Finalization) -> Option<Certificate> {
    let inner = &finalization.certificate;
    let mut signatures = Vec::with_capacity(inner.signers.count());
    for (signer, signature) in inner.signers.iter().zip(&inner.signatures) {
        let index = u16::try_from(signer.get()).ok()?;
        let signature = <[u8; 64]>::try_from(signature.get()?.encode().as_ref()).ok()?;
        signatures.push((index, signature));
    }
    Some(Certificate {
        epoch: finalization.proposal.epoch().get(),
        view: finalization.proposal.view().get(),
        parent_view: finalization.proposal.parent.get(),
        signatures,
    })
}

/// The engine's form of `certificate` for the block with this header and a committee of `seats` members;
/// `None` if it is malformed. The inverse of [`to_certificate`]. Does not verify the signatures.
#[must_use]
pub fn to_finalization(
    certificate: &Certificate,
    header: &BlockHeader,
    seats: usize,
) -> Option<Finalization> {
    let seats = u32::try_from(seats).ok()?;
    let places = certificate.signatures.iter().map(|(index, _)| Participant::new(u32::from(*index)));
    let signatures = certificate.signatures.iter().map(|(_, signature)| {
        ed25519::Signature::decode(Bytes::copy_from_slice(signature)).map(Into::into).ok()
    });
    let round = Round::new(Epoch::new(certificate.epoch), View::new(certificate.view));
    let digest = Digest::from(header.digest());
    Some(Finalization {
        proposal: Proposal::new(round, View::new(certificate.parent_view), digest),
        certificate: ed25519::certificate::Certificate {
            signers: Signers::new(seats, places).ok()?,
            signatures: signatures.collect::<Option<_>>()?,
        },
    })
}
