//! The configuration of the parts that carry and keep blocks.

use super::{CACHED_VIEWS, FETCH_RETRY, FETCH_TIMEOUT, MAILBOX, PENDING_ACKS_MAX};
use crate::schemes::Schemes;
use crate::{Digest, PublicKey, Scheme, block::Block};
use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, Start, resolver::p2p as marshal_resolver},
    types::{FixedEpocher, ViewDelta},
};
use commonware_cryptography::Digested;
use commonware_p2p::{Blocker, Provider};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_utils::{NZDuration, NZU64, NZUsize};

/// Blocks that a leader sends to everybody.
pub(super) fn broadcast<N: Provider<PublicKey = PublicKey>>(
    public_key: PublicKey,
    peers: N,
) -> buffered::Config<PublicKey, (), N, Sequential> {
    buffered::Config {
        public_key,
        mailbox_size: NZUsize!(MAILBOX),
        deque_size: 16,
        priority: true,
        codec_config: (),
        peer_provider: peers,
        strategy: Sequential,
    }
}

/// Blocks and certificates that are fetched from others.
pub(super) fn backfill<N: Provider<PublicKey = PublicKey>, B: Blocker<PublicKey = PublicKey>>(
    public_key: PublicKey,
    peers: N,
    blocker: B,
) -> marshal_resolver::Config<PublicKey, N, B> {
    marshal_resolver::Config {
        public_key,
        peer_provider: peers,
        blocker,
        mailbox_size: NZUsize!(MAILBOX),
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        priority_requests: false,
        priority_responses: false,
    }
}

/// Marshal: keeps blocks and certificates, and hands out final blocks in order.
pub(super) fn marshal(
    schemes: Schemes,
    epocher: FixedEpocher,
    start: Start<Scheme, Digest, Digested<Block>>,
    partition: &str,
    page_cache: CacheRef,
) -> marshal::Config<Schemes, FixedEpocher, Sequential, Block, Digested<Block>, Digest> {
    marshal::Config {
        provider: schemes,
        epocher,
        start,
        partition_prefix: format!("{partition}marshal"),
        mailbox_size: NZUsize!(MAILBOX),
        view_retention: ViewDelta::new(CACHED_VIEWS),
        prunable_items_per_section: NZU64!(4096),
        page_cache,
        replay_buffer: NZUsize!(1 << 20),
        key_write_buffer: NZUsize!(1 << 20),
        value_write_buffer: NZUsize!(1 << 20),
        block_codec_config: (),
        max_repair: NZUsize!(20),
        max_pending_acks: NZUsize!(PENDING_ACKS_MAX),
        strategy: Sequential,
    }
}
