//! The signing schemes of the running epochs.

use crate::{PrivateKey, PublicKey, Scheme};
use commonware_consensus::types::Epoch;
use commonware_cryptography::certificate::{Provider, Scheme as _, Scoped};
use commonware_utils::ordered::Set;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Which scheme signs and checks an epoch. Clones share everything.
#[derive(Clone)]
pub(crate) struct Schemes {
    me: PrivateKey,
    namespace: Vec<u8>,
    known: Arc<Mutex<BTreeMap<Epoch, Arc<Scheme>>>>,
}

impl Schemes {
    pub(crate) fn new(me: PrivateKey, namespace: Vec<u8>) -> Self {
        Self { me, namespace, known: Arc::default() }
    }

    /// The scheme of an epoch with this committee: one that signs if this validator is a member.
    pub(crate) fn enter(&self, epoch: Epoch, committee: Set<PublicKey>) -> Scheme {
        let scheme = Scheme::signer(&self.namespace, committee.clone(), self.me.clone())
            .unwrap_or_else(|| Scheme::verifier(&self.namespace, committee));
        let mut known = self.known.lock();
        known.insert(epoch, Arc::new(scheme.clone()));
        // Blocks of the previous epoch may still arrive.
        known.retain(|known, _| known.next().next() >= epoch);
        scheme
    }

    /// How many validators an epoch has; `None` if it is not running.
    pub(crate) fn validators(&self, epoch: Epoch) -> Option<usize> {
        self.known.lock().get(&epoch).map(|scheme| scheme.participants().len())
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        let known = self.known.lock();
        known.get(&epoch).cloned().map(Scoped::scheme)
    }
}
