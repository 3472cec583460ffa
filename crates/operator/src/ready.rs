//! What a node and a gateway print after `READY` (decision 002).

use serde::{Deserialize, Serialize};

/// Where a node serves, and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReady {
    /// Address of the pages.
    pub web: String,
    /// Address of the MQTT ingress.
    pub mqtt: String,
    /// Where its ledger answers Ethereum's tools, if it does.
    pub rpc: Option<String>,
    /// The ledger's genesis hash.
    pub genesis: String,
    /// The organisation's id.
    pub org: String,
    /// Its record key.
    pub record_key: String,
    /// Its validator's key; none on a network of others.
    pub validator: Option<String>,
    /// Where the others dial its validator, if there are others.
    pub ledger: Option<String>,
}

/// What a gateway found in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReady {
    /// Envelopes set aside, because the node refused them.
    pub envelopes_aside: u64,
    /// Streams into which nothing is sealed any more.
    pub streams_closed: u64,
}
