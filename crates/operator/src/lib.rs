//! The operator API of a node: typed requests and answers over the Unix socket `control.sock` in its data folder,
//! which only the folder's owner can enter (decision 003). One JSON object a line each way: `{"do": …}`, answered by
//! `{"ok": …}` or `{"error": "sentence"}`. `docs/integrate.md` shows the lines as another program writes them.
//!
//! [`Request`] lists what can be asked; each request implements [`Call`], which names the type of its answer.
//! [`Client`] asks, [`serve`] answers. A new request is a struct and a row in `request.rs`, its answer in
//! `answer.rs`, and an arm in the node's `operator.rs`.

mod answer;
mod change;
mod client;
mod explorer;
mod ready;
mod request;
mod server;

pub use answer::{
    Anchors, Authorities, Bundled, CheckpointSigned, Done, History, Latency, LedgerFigures, MissingFigures,
    NodeFigures, Paired, PatientCreated, ProposalStatus, SnapshotWritten, Tip, Token, ValidatorStatus,
};
pub use change::{Change, ChangeError, check_address, parse_key};
pub use client::{Client, OperatorError};
pub use explorer::{
    Block, BlockSummary, Blocks, Evidence, EvidenceList, Governance, GovernanceProposal, Health,
    LedgerAnswer, LedgerQuery, Seat, Summary, Transaction, ValidatorHealth,
};
pub use ready::{GatewayReady, NodeReady};
pub use request::{
    Call, CreatePatient, CreateStaff, ExportBundle, FirstAdministrator, GetAnchors, GetAuthorities,
    GetHistory, GetLedger, GetReport, GetTip, GrantConsent, PairGateway, Propose, QueryLedger, Request,
    SignCheckpoint, SignIn, StaffRole, Vote, WriteSnapshot,
};
pub use server::{Reply, SocketPathTooLong, check_socket, serve};

/// Name of the socket inside the node's data folder.
pub const SOCKET: &str = "control.sock";
