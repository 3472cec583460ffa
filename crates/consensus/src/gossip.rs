//! Sends transactions to the other validators: a transaction is submitted at one node, and the next leader
//! is usually another.
//!
//! Lost messages do no harm: [`StateMachine::unconfirmed`] returns a transaction until it is final.
//! Wire form: the sender's height (unsigned LEB128), then the transactions, each with its length before it.

use crate::{
    NodeClock, PublicKey, StateMachine,
    block::{BLOCK_TXS_MAX, GOSSIP_BYTES_MAX, TX_BYTES_MAX},
    peer_status::PeerStatusTable,
};
use bytes::{Bytes, BytesMut};
use commonware_codec::{EncodeSize as _, RangeCfg, Read as _, ReadExt as _, Write as _, varint::UInt};
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender};
use commonware_runtime::Clock;
use std::{sync::Arc, time::Duration};

/// How often a validator sends its height, and again the transactions that are not final.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the longest message.
pub(crate) const MESSAGE_BYTES_MAX: usize = GOSSIP_BYTES_MAX + TX_BYTES_MAX + 16 + 5 * BLOCK_TXS_MAX;

fn encode(height: u64, transactions: &Vec<Bytes>) -> Bytes {
    let mut message = BytesMut::with_capacity(16 + transactions.encode_size());
    UInt(height).write(&mut message);
    transactions.write(&mut message);
    message.freeze()
}

fn decode(mut message: Bytes) -> Option<(u64, Vec<Bytes>)> {
    let height = UInt::<u64>::read(&mut message).ok()?.into();
    let limits = (RangeCfg::from(0..=BLOCK_TXS_MAX), RangeCfg::from(0..=TX_BYTES_MAX));
    let transactions = Vec::<Bytes>::read_cfg(&mut message, &limits).ok()?;
    message.is_empty().then_some((height, transactions))
}

/// Exchanges transactions until the network ends.
pub(crate) async fn run(
    (runtime, clock): (impl Clock, Arc<dyn NodeClock>),
    machine: Arc<dyn StateMachine>,
    peer_statuses: PeerStatusTable,
    (mut sender, mut receiver): (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
    mut blocker: impl Blocker<PublicKey = PublicKey>,
) {
    let mut outgoing = machine.outgoing();
    let mut due = runtime.current() + INTERVAL;
    loop {
        select! {
            transactions = &mut outgoing => {
                let message = encode(machine.committed().0, &transactions);
                sender.send(Recipients::All, message, false);
                outgoing = machine.outgoing();
            },
            _ = runtime.sleep_until(due) => {
                sender.send(Recipients::All, encode(machine.committed().0, &machine.unconfirmed()), false);
                due = runtime.current() + INTERVAL;
            },
            message = receiver.recv() => {
                let Ok((from, message)) = message else { return };
                match decode(message.into()) {
                    Some((height, transactions)) => {
                        peer_statuses.heard(&from, height, clock.now_ms());
                        if !transactions.is_empty()
                            && let Err(why) = machine.incoming(transactions)
                        {
                            commonware_p2p::block!(blocker, from, "invalid gossip: {why}");
                        }
                    }
                    None => { commonware_p2p::block!(blocker, from, "malformed gossip"); },
                }
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_other_bytes_are_refused() {
        let transactions = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 300])];
        let message = encode(300, &transactions);
        assert_eq!(decode(message.clone()).unwrap(), (300, transactions));
        for at in 0..message.len() {
            assert!(decode(message.slice(..at)).is_none(), "cut at {at}");
        }
        let longer = [message.as_ref(), b"x"].concat();
        assert!(decode(longer.into()).is_none());
        let bomb = [1, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(decode(Bytes::copy_from_slice(&bomb)).is_none());
    }
}
