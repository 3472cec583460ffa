//! The documented configurations: what `aceso config` prints, and the manual of every field.

/// The documented node configuration.
pub(crate) const NODE_TOML: &str = r#"# An organisation's node.

# Folder for keys, records, log and ledger. One node at a time may use it.
data_dir = "/var/lib/aceso/node"

# File whose first line is the passphrase of the vault. Readable by the node's user only.
passphrase_file = "/etc/aceso/passphrase"

# The ledger's name for people; used once, when the node founds its ledger.
name = "Demo Hospital"

# Address of the pages. Only a loopback address is accepted without web_tls.
# Port 0 picks a free one and keeps it.
web = "127.0.0.1:8080"

# Certificate (with its chain) and key of the pages, PEM: the node then speaks HTTPS only, TLS 1.3, HTTP/2 and
# HTTP/1.1. Only the node's user, and its group, may read the key. New files are taken within seconds, without a
# restart; files of no use leave the certificate in force, and the log says why.
# web_tls = { certificate = "/etc/aceso/web.pem", key = "/etc/aceso/web.key" }

# Instead of web_tls: true when a TLS terminator on this machine stands in front of the pages. It must keep the Host header
# and add X-Forwarded-For: its last entry says who asks, for the quotas. Cookies then go over TLS only.
web_behind_proxy = false

# Address of the MQTT ingress (TLS 1.3, client certificates).
mqtt = "0.0.0.0:8883"

# An idle ledger makes a block this often, milliseconds (100 to 10000). Without this line: 2000 alone, 500
# among others, who notice a dead leader the sooner the shorter it is. All nodes of a ledger use the same.
heartbeat_ms = 500

# A ledger shared with other organisations. Without this section the node founds one of its own.
[ledger]
# The genesis document that the founders assembled (`aceso found`); read at the first start, and held
# against the ledger in the data folder at every other.
genesis = "/etc/aceso/genesis"

# Where this node's validator listens for the others; absent, the node is its ledger's only validator.
listen = "0.0.0.0:9700"

# What the others dial, host:port, if it is not `listen`. The node says it on the ledger, where the others
# read it.
address = "hospital-1.example:9700"

# The other organisations' validators; these addresses win over those on the ledger.
peers = [
    { key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", address = "hospital-2.example:9700" },
]

# How many faulty validators the committee must survive: f needs 3f+1 authorities, or the node does not start.
max_faulty = 0

# Epochs (of 128 blocks) whose transactions, receipts and events this node keeps, at least 2. Without this line
# 2, or 512 with [rpc]. What is older is pruned: proofs of it still hold, pages and JSON-RPC say that it is pruned.
keep_epochs = 2

# True keeps every block for ever, instead: about 150 MB a day for each organisation that is at work.
# keep_all_blocks = true

# Ethereum's JSON-RPC, for tools and applications that read the ledger or send transactions. Without this
# table nothing listens.
[rpc]

# Only a loopback address: whoever must ask from elsewhere comes through a TLS terminator or a tunnel.
# Port 0 picks a free one and keeps it.
listen = "127.0.0.1:8545"

# Who asks must show the token in this file (Authorization: Bearer ...). The node makes the file if it is
# not there; left out, it is rpc.token in the data folder.
token_file = "/var/lib/aceso/node/rpc.token"

# True lets in anybody who reaches the port. There are no names on the ledger, but who acts when can be read.
allow_anonymous = false

# Pages of these origins may ask, as a browser names them: ["https://wallet.example"].
origins = []

# As web_behind_proxy, for this port.
behind_proxy = false
"#;

/// The documented table of a node whose ledger stands on another network; it goes without `[ledger]` and
/// `[rpc]`.
pub(crate) const CHAIN_TOML: &str = r#"
# The ledger on an Ethereum network that is there already, instead of [ledger] and [rpc] above: its
# validators agree on blocks, and this node believes the one node it asks. Public networks are refused.
# [chain]

# A node of that network on this machine; http only.
# url = "http://127.0.0.1:8545"
# chain_id = 1337

# Blocks that must follow one before it counts: 0 where blocks are final at once (QBFT, IBFT 2).
# confirmations = 0

# As `aceso chain deploy` printed and wrote them.
# first_block = 118
# genesis = "/etc/aceso/genesis.cbor"

# File with the token that node asks for.
# bearer_file = "/etc/aceso/chain.token"

# The node is elsewhere, and nobody can sit between.
# private_way = false

# Most wei a unit of gas may cost, and what the proposer gets of it: none on a network without fees.
# fee_wei_max = 0
# tip_wei = 0

# Use a public network all the same: who acts when is then for everybody to read, for ever.
# public_allowed = false
"#;

/// The documented gateway configuration.
pub(crate) const GATEWAY_TOML: &str = gateway::CONFIG_TOML;
