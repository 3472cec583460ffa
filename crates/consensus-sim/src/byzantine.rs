//! Byzantine validators: two under one key, one that equivocates, one that sends garbage.

use crate::{SimulatedNetwork, key, name};
use bytes::Bytes;
use commonware_codec::{DecodeExt as _, Encode as _, ReadExt as _, varint::UInt};
use commonware_consensus::simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote};
use commonware_p2p::{
    Receiver as _, Recipients, Sender as _,
    simulated::{Sender, SplitOrigin, SplitTarget},
};
use commonware_runtime::{IoBuf, Spawner as _, Supervisor as _, deterministic::Context};
use commonware_utils::ordered::Set;
use consensus::{Config, Digest, Fault, PublicKey, Scheme, StartError, StateMachine};
use std::{collections::BTreeSet, sync::Arc};
use vitals::{
    ids::sha256,
    proof::{certificate::namespace, genesis::GenesisDocument},
};

/// The recipients of a message from one twin of a validator. One type for all, so that the engine is
/// compiled once.
pub(crate) type Forward = &'static (
             dyn Fn(SplitOrigin, &Recipients<PublicKey>, &IoBuf) -> Option<Recipients<PublicKey>>
                 + Send
                 + Sync
         );

fn to_all(
    _half: SplitOrigin,
    recipients: &Recipients<PublicKey>,
    _message: &IoBuf,
) -> Option<Recipients<PublicKey>> {
    Some(recipients.clone())
}

/// An honest validator's: no twin, all recipients.
pub(crate) const FORWARD_TO_ALL: Forward = &to_all;

/// Which peers talk with which twin of a validator that runs twice under one key. A peer in neither set
/// hears neither twin; a peer in both hears both.
#[derive(Debug, Clone, Default)]
pub struct TwinPeers {
    /// Peers of the first twin.
    pub first: BTreeSet<PublicKey>,
    /// Peers of the second twin.
    pub second: BTreeSet<PublicKey>,
}

impl TwinPeers {
    pub(crate) fn forward(&self) -> Forward {
        let halves = self.clone();
        // Never freed: a simulation ends with its process.
        Box::leak(Box::new(move |half: SplitOrigin, recipients: &Recipients<PublicKey>, _: &IoBuf| {
            let peers = match half {
                SplitOrigin::Primary => &halves.first,
                SplitOrigin::Secondary => &halves.second,
            };
            let chosen: Vec<PublicKey> = match recipients {
                Recipients::All => peers.iter().cloned().collect(),
                Recipients::Some(some) => some.iter().filter(|peer| peers.contains(*peer)).cloned().collect(),
                Recipients::One(one) => peers.get(one).cloned().into_iter().collect(),
            };
            (!chosen.is_empty()).then_some(Recipients::Some(chosen))
        }))
    }

    pub(crate) fn target(&self, from: &PublicKey) -> SplitTarget {
        match (self.first.contains(from), self.second.contains(from)) {
            (true, true) => SplitTarget::Both,
            (true, false) => SplitTarget::Primary,
            (false, true) => SplitTarget::Secondary,
            (false, false) => SplitTarget::None,
        }
    }
}

/// One of two validators under one key: its state machine, configuration and the name of its disk.
pub type Twin = (Arc<dyn StateMachine>, Config, String);

/// The seven channels, in the order of their numbers.
pub const CHANNELS: [&str; 7] =
    ["votes", "certificates", "resolver", "backfill", "broadcast", "gossip", "requests"];

/// The senders of a validator whose key is compromised.
pub struct CompromisedKey {
    senders: Vec<Sender<PublicKey, Context>>,
}

impl CompromisedKey {
    /// Sends these bytes to everybody on a channel (index in [`CHANNELS`]).
    pub fn send(&mut self, kind: usize, message: &[u8]) {
        if let Some(sender) = self.senders.get_mut(kind) {
            sender.send(Recipients::All, Bytes::copy_from_slice(message), true);
        }
    }
}

impl SimulatedNetwork {
    /// Takes over the key of a validator that does not run.
    pub async fn compromise_key(&self, seed: &[u8; 32]) -> CompromisedKey {
        let me = name(seed);
        self.register_peer(&me);
        let mut senders = Vec::new();
        for kind in 0..CHANNELS.len() {
            senders.push(self.register(&me, kind as u64).await.0);
        }
        CompromisedKey { senders }
    }

    /// Starts two validators under one key, which do not know of each other.
    ///
    /// # Errors
    /// As [`SimulatedNetwork::start`].
    pub async fn start_twins(
        &self,
        document: &GenesisDocument,
        seed: &[u8; 32],
        starts: u32,
        (first, second): (Twin, Twin),
        halves: &TwinPeers,
    ) -> Result<[commonware_runtime::Handle<Fault>; 2], StartError> {
        let (forward, me) = (halves.forward(), name(seed));
        self.register_peer(&me);
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for kind in 0..CHANNELS.len() {
            let (sender, receiver) = self.register(&me, kind as u64).await;
            let (first, second) = sender.split_with(forward);
            let halves = halves.clone();
            let context = self.context.child("router").with_attribute("kind", kind);
            let (hears, also) = receiver.split_with(context, move |(from, _)| halves.target(from));
            ones.push((first, hears));
            others.push((second, also));
        }
        let (one, _) = self.run(&first.1, document, first.0, seed, (&first.2, starts), ones)?;
        let (other, _) = self.run(&second.1, document, second.0, seed, (&second.2, starts), others)?;
        Ok([one, other])
    }

    /// Lets a validator that does not run equivocate: for each vote it receives, it votes for that block and
    /// for another one, or votes to skip the view that it votes to finalize.
    pub async fn equivocate(&self, document: &GenesisDocument, seed: &[u8; 32]) {
        let me = name(seed);
        self.register_peer(&me);
        let (mut sender, mut receiver) = self.register(&me, 0).await;
        let committee =
            document.committee.iter().filter_map(|key| PublicKey::decode(Bytes::copy_from_slice(key)).ok());
        let committee = Set::from_iter_dedup(committee);
        let Some(scheme) = Scheme::signer(&namespace(document.hash()), committee, key(seed)) else { return };
        self.context.child("equivocating").spawn(move |_| async move {
            let mut counter = 0u64;
            while let Ok((_, message)) = receiver.recv().await {
                let mut message: Bytes = message.into();
                let Ok(epoch) = UInt::<u64>::read(&mut message).map(u64::from) else { continue };
                let Ok(received) = Vote::<Scheme, Digest>::decode(message) else { continue };
                counter += 1;
                let invented = |of: &Proposal<Digest>| {
                    Proposal::new(
                        of.round,
                        of.parent,
                        Digest::from(sha256(&[b"perjury", &counter.to_be_bytes()])),
                    )
                };
                let votes: Vec<Option<Vote<Scheme, Digest>>> = match received {
                    Vote::Notarize(vote) if counter.is_multiple_of(2) => vec![
                        Nullify::sign::<Digest>(&scheme, vote.proposal.round).map(Vote::Nullify),
                        Finalize::sign(&scheme, vote.proposal).map(Vote::Finalize),
                    ],
                    Vote::Notarize(vote) => vec![
                        Notarize::sign(&scheme, invented(&vote.proposal)).map(Vote::Notarize),
                        Notarize::sign(&scheme, vote.proposal).map(Vote::Notarize),
                    ],
                    Vote::Finalize(vote) => vec![
                        Finalize::sign(&scheme, invented(&vote.proposal)).map(Vote::Finalize),
                        Finalize::sign(&scheme, vote.proposal).map(Vote::Finalize),
                    ],
                    Vote::Nullify(_) => Vec::new(),
                };
                for vote in votes.into_iter().flatten() {
                    let message = [UInt(epoch).encode(), vote.encode()].concat();
                    sender.send(Recipients::All, Bytes::from(message), true);
                }
            }
        });
    }
}
