//! The configured network, and the check that it is the one the genesis document was written for.

use super::code;
use super::rpc::{Rpc, RpcError, bytes, fixed, hex_bytes, hex_quantity, quantity};
use crate::account::AccountError;
use crate::genesis::GenesisError;
use alloy_primitives::Address;
use serde_json::json;
use std::{fmt, io, net::IpAddr, time::Duration};
use vitals::ids::Genesis;
use vitals::proof::genesis::GenesisDocument;

/// Chain ids of public main and test networks. What is written there can be read by everybody for ever, and
/// costs money.
pub const PUBLIC_CHAINS: [(u64, &str); 34] = [
    (1, "Ethereum"),
    (10, "OP Mainnet"),
    (14, "Flare"),
    (25, "Cronos"),
    (30, "Rootstock"),
    (40, "Telos"),
    (56, "BNB Smart Chain"),
    (61, "Ethereum Classic"),
    (97, "BNB Smart Chain testnet"),
    (100, "Gnosis"),
    (122, "Fuse"),
    (130, "Unichain"),
    (137, "Polygon"),
    (146, "Sonic"),
    (250, "Fantom"),
    (252, "Fraxtal"),
    (324, "ZKsync Era"),
    (480, "World Chain"),
    (1101, "Polygon zkEVM"),
    (1284, "Moonbeam"),
    (1329, "Sei"),
    (5000, "Mantle"),
    (8453, "Base"),
    (17_000, "Holesky"),
    (34_443, "Mode"),
    (42_161, "Arbitrum One"),
    (42_220, "Celo"),
    (43_114, "Avalanche C-Chain"),
    (59_144, "Linea"),
    (80_002, "Polygon Amoy"),
    (81_457, "Blast"),
    (534_352, "Scroll"),
    (560_048, "Hoodi"),
    (11_155_111, "Sepolia"),
];

/// How to reach a permissioned Ethereum network, and what is required of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    /// JSON-RPC address of one of its nodes: `http://127.0.0.1:8545`.
    pub url: String,
    /// Sent as `Authorization: Bearer` if the node asks for one.
    pub bearer: Option<String>,
    /// The way to the node is private although the node is not on this machine.
    pub private_way: bool,
    /// Its chain id.
    pub chain_id: u64,
    /// Use it even if it is a public one.
    pub public_allowed: bool,
    /// Blocks that must follow one before it counts: none where blocks are final at once (QBFT, IBFT 2).
    pub confirmations: u64,
    /// The block in which the first contract was created; nothing before it is read.
    pub first_block: u64,
    /// Highest price of a unit of gas, wei; zero where gas is free. The network's suggested price is not used.
    pub fee_wei_max: u64,
    /// Wei a unit of gas gives the proposer.
    pub tip_wei: u64,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How often the network is polled.
    pub poll: Duration,
    /// Most blocks whose events are asked for at once.
    pub log_blocks: u64,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address, which may hold a password, nor the token.
        f.debug_struct("Network")
            .field("chain_id", &self.chain_id)
            .field("confirmations", &self.confirmations)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// A network without fees, asked once a second.
    #[must_use]
    pub fn new(url: impl Into<String>, chain_id: u64, confirmations: u64) -> Self {
        Self {
            url: url.into(),
            bearer: None,
            private_way: false,
            chain_id,
            public_allowed: false,
            confirmations,
            first_block: 0,
            fee_wei_max: 0,
            tip_wei: 0,
            timeout: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            log_blocks: 1000,
        }
    }

    pub(super) fn connect(&self) -> Result<Rpc, RemoteError> {
        let url: reqwest::Url =
            self.url.parse().map_err(|why| RemoteError::Address(format!("it is no URL: {why}")))?;
        if url.scheme() != "http" {
            let why = "only http:// is spoken: put a TLS proxy on this machine in front of a node elsewhere";
            return Err(RemoteError::Address(why.to_owned()));
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !here && !self.private_way {
            let why = "the node is not on this machine, and somebody in between could forge its answers: \
                       use a node or a TLS proxy on this machine, or say that the way is private";
            return Err(RemoteError::Address(why.to_owned()));
        }
        Ok(Rpc::new(url, self.bearer.as_deref(), self.timeout)?)
    }

    /// Refuses a network that is not the configured one, or is a public one.
    pub(super) async fn check_chain(&self, rpc: &Rpc) -> Result<(), RemoteError> {
        const METHOD: &str = "eth_chainId";
        let found = quantity(METHOD, &rpc.call(METHOD, json!([])).await?)?;
        if found != self.chain_id {
            return Err(RemoteError::OtherChain { configured: self.chain_id, found });
        }
        match PUBLIC_CHAINS.iter().find(|(id, _)| *id == found) {
            Some((chain_id, name)) if !self.public_allowed => {
                Err(RemoteError::Public { chain_id: *chain_id, name })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a network that has other code than this build's at the addresses in `document`.
    pub(super) async fn check_codes(&self, rpc: &Rpc, document: &GenesisDocument) -> Result<(), RemoteError> {
        const METHOD: &str = "eth_getCode";
        if document.chain_id != self.chain_id {
            return Err(RemoteError::OtherChain { configured: self.chain_id, found: document.chain_id });
        }
        for (contract, expected) in document.contracts.iter().zip(code::deployed(document)?) {
            let params = json!([hex_bytes(contract.address), "latest"]);
            let found = bytes(METHOD, &rpc.call(METHOD, params).await?)?;
            if found != expected {
                let name = contract.name.clone();
                return Err(if found.is_empty() {
                    RemoteError::NoContract { name, address: contract.address.into() }
                } else {
                    RemoteError::OtherCode { name, address: contract.address.into() }
                });
            }
        }
        Ok(())
    }
}

/// The head of the network as its node sees it.
pub(super) async fn head(rpc: &Rpc) -> Result<u64, RpcError> {
    const METHOD: &str = "eth_blockNumber";
    quantity(METHOD, &rpc.call(METHOD, json!([])).await?)
}

/// The next nonce of an account after a block.
pub(super) async fn nonce(rpc: &Rpc, account: Address, block: u64) -> Result<u64, RpcError> {
    const METHOD: &str = "eth_getTransactionCount";
    quantity(METHOD, &rpc.call(METHOD, json!([hex_bytes(account), hex_quantity(block)])).await?)
}

/// The fields of a block that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) height: u64,
    pub(super) hash: [u8; 32],
    pub(super) time_s: u64,
    pub(super) state_root: [u8; 32],
}

/// The block at a height; `None` if the node has none.
pub(super) async fn block(rpc: &Rpc, height: u64) -> Result<Option<Block>, RpcError> {
    const METHOD: &str = "eth_getBlockByNumber";
    let answer = rpc.call(METHOD, json!([hex_quantity(height), false])).await?;
    if answer.is_null() {
        return Ok(None);
    }
    let field = |name| super::rpc::field(METHOD, &answer, name);
    if quantity(METHOD, field("number")?)? != height {
        return Err(RpcError::answer(METHOD, "it is another block"));
    }
    Ok(Some(Block {
        height,
        hash: fixed(METHOD, field("hash")?)?,
        time_s: quantity(METHOD, field("timestamp")?)?,
        state_root: fixed(METHOD, field("stateRoot")?)?,
    }))
}

/// Why a network is not used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The configured address cannot be used.
    #[error("the address of the network's node: {0}")]
    Address(String),
    /// Another network answers.
    #[error("chain {configured} is configured, but this is chain {found}")]
    OtherChain {
        /// As configured.
        configured: u64,
        /// As the node or the genesis document has it.
        found: u64,
    },
    /// A public network.
    #[error(
        "chain {chain_id} is {name}, a public network: what is written there can be read by everybody for ever. \
         Use a permissioned one (or allow it in the configuration)"
    )]
    Public {
        /// Its id.
        chain_id: u64,
        /// Its name.
        name: &'static str,
    },
    /// A contract is missing.
    #[error(
        "there is no contract {name} at {address}: deploy the contracts, or correct the genesis document"
    )]
    NoContract {
        /// The contract.
        name: String,
        /// Its expected address.
        address: Address,
    },
    /// A contract has other code.
    #[error("the code at {address} is not this build's {name}: its records cannot be trusted")]
    OtherCode {
        /// The contract.
        name: String,
        /// Where.
        address: Address,
    },
    /// The genesis document is not one this build can use.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The network does not answer as it should.
    #[error("the network: {0}")]
    Rpc(#[from] RpcError),
    /// The network has fewer blocks than its configuration requires.
    #[error(
        "the network's head is {head}, before block {first_block} with {confirmations} confirmations: wait, or correct the configuration"
    )]
    TooShort {
        /// Its head.
        head: u64,
        /// As configured.
        first_block: u64,
        /// As configured.
        confirmations: u64,
    },
    /// What counted as final was replaced.
    #[error(
        "block {height}, which had {confirmations} confirmations, was replaced by another: \
         raise the confirmations and start again"
    )]
    Replaced {
        /// The block.
        height: u64,
        /// As configured.
        confirmations: u64,
    },
    /// A contract was not created.
    #[error("contract {name} was not created: {why}")]
    NotCreated {
        /// The contract.
        name: String,
        /// Why.
        why: String,
    },
    /// The organisation's account does not open.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The outbox belongs to another account or chain.
    #[error("the outbox in this folder holds acts of another account or for another chain than {0}")]
    OtherOutbox(u64),
    /// This folder belongs to another ledger.
    #[error("this folder belongs to ledger {found}")]
    OtherLedger {
        /// The ledger it belongs to.
        found: Genesis,
    },
    /// The disk, or the thread beneath, fails.
    #[error("the ledger's folder or thread: {0}")]
    Io(#[from] io::Error),
}
