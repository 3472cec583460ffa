//! Writes the engine's finalization in the form that strangers check
//! ([`vitals::proof::certificate`]).

use crate::Finalization;
use commonware_codec::Encode as _;
use commonware_consensus::{Epochable as _, Viewable as _};
use vitals::proof::certificate::Certificate;

/// The certificate that says what `finalization` says, or nothing if one of its signatures is
/// malformed (marshal hands out verified ones only).
#[must_use]
pub fn transcode(finalization: &Finalization) -> Option<Certificate> {
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
