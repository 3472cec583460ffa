//! Drops undecodable blocks and blocks their sender, before they reach the engine's buffer, which would only
//! ignore them.

use crate::{PublicKey, block::Block};
use commonware_codec::DecodeExt as _;
use commonware_p2p::{Blocker, Message, Receiver};
use std::{fmt, num::NonZeroUsize};

/// Receives messages that decode as blocks.
pub(crate) struct ValidatingReceiver<R, B> {
    pub(crate) receiver: R,
    pub(crate) blocker: B,
}

impl<R, B> fmt::Debug for ValidatingReceiver<R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidatingReceiver").finish_non_exhaustive()
    }
}

impl<R, B> Receiver for ValidatingReceiver<R, B>
where
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    type Error = R::Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, R::Error> {
        loop {
            let (from, message) = self.receiver.recv().await?;
            match Block::decode(message.clone()) {
                Ok(_) => return Ok((from, message)),
                Err(why) => {
                    commonware_p2p::block!(self.blocker, from, "malformed block: {why}");
                }
            }
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.receiver.capacity()
    }
}
