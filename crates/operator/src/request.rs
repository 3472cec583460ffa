//! What can be asked of a node. Requests hold passwords and session tokens, so they have no `Debug`.

use crate::answer::{
    Anchors, Authorities, Bundled, CheckpointSigned, Done, History, LedgerFigures, NodeFigures, Paired,
    PatientCreated, ProposalStatus, SnapshotWritten, Tip, Token,
};
use crate::change::Change;
use crate::explorer::{LedgerAnswer, LedgerQuery};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A request and the type of its answer.
pub trait Call: Into<Request> {
    /// What the node answers.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! requests {
    ($($word:literal $call:ident => $answer:ty, $doc:literal;)*) => {
        /// One line that a node is asked; the field `do` names the request.
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "do")]
        pub enum Request {
            $(#[doc = $doc] #[serde(rename = $word)] $call($call),)*
        }

        $(
            impl From<$call> for Request {
                fn from(call: $call) -> Self {
                    Self::$call(call)
                }
            }

            impl Call for $call {
                type Answer = $answer;
            }
        )*
    };
}

requests! {
    "first_administrator" FirstAdministrator => Done, "Create the first account of a new node.";
    "sign_in" SignIn => Token, "Open a session; every request that changes something names one.";
    "staff" CreateStaff => Done, "Create an account for staff.";
    "patient" CreatePatient => PatientCreated, "Create a patient with an account.";
    "pair" PairGateway => Paired, "Pair a gateway with the patients of its boards.";
    "grant" GrantConsent => Done, "The signed-in patient lets a clinician treat.";
    "look" QueryLedger => LedgerAnswer, "Query the ledger; for administrators and auditors.";
    "report" GetReport => NodeFigures, "Figures of the node for a report.";
    "tip" GetTip => Tip, "Where the ledger stands at this node.";
    "ledger" GetLedger => LedgerFigures, "The ledger's figures at this node.";
    "authorities" GetAuthorities => Authorities, "Validators and proposals.";
    "propose" Propose => ProposalStatus, "Propose a change of authorities; answered once it is final.";
    "vote" Vote => ProposalStatus, "Vote for a proposal; answered once it is final.";
    "history" GetHistory => History, "One digest over all headers up to a height.";
    "anchors" GetAnchors => Anchors, "The anchors of all founding organisations.";
    "bundle" ExportBundle => Bundled, "Write a verification bundle to a file.";
    "snapshot" WriteSnapshot => SnapshotWritten, "Write the ledger's newest snapshot; for administrators.";
    "checkpoint" SignCheckpoint => CheckpointSigned, "Sign a checkpoint, or make one; for administrators.";
}

/// See [`Request::FirstAdministrator`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstAdministrator {
    /// What the administrator signs in as.
    pub login: String,
    /// The name that people are shown.
    pub name: String,
    /// The password.
    pub password: String,
}

/// See [`Request::SignIn`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's login.
    pub login: String,
    /// Its password.
    pub password: String,
}

/// Roles of staff accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffRole {
    /// Treats patients.
    Clinician,
    /// Manages people, devices and consents.
    Administrator,
    /// Reads who did what.
    Auditor,
}

/// See [`Request::CreateStaff`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateStaff {
    /// An administrator's session.
    pub token: String,
    /// What the person signs in as.
    pub login: String,
    /// The name that people are shown.
    pub name: String,
    /// The password.
    pub password: String,
    /// The role.
    pub role: StaffRole,
}

/// See [`Request::CreatePatient`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePatient {
    /// An administrator's session.
    pub token: String,
    /// What the patient signs in as.
    pub login: String,
    /// The patient's name.
    pub name: String,
    /// The bed, as the wall shows it.
    pub bed: String,
    /// The password.
    pub password: String,
}

/// See [`Request::PairGateway`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairGateway {
    /// An administrator's session.
    pub token: String,
    /// The gateway's pairing request, hexadecimal.
    pub request: String,
    /// The patient's id for each of its boards, in their order.
    pub patients: Vec<String>,
}

/// See [`Request::GrantConsent`]. Signed by the key that the vault keeps for the patient.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantConsent {
    /// The patient's session.
    pub token: String,
    /// The clinician's login.
    pub to: String,
    /// How long the consent lasts, days; at most 366.
    pub days: u64,
}

/// See [`Request::QueryLedger`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryLedger {
    /// An administrator's or auditor's session.
    pub token: String,
    /// What to look up.
    #[serde(rename = "look")]
    pub query: LedgerQuery,
}

/// See [`Request::GetReport`].
#[derive(Serialize, Deserialize)]
pub struct GetReport {}

/// See [`Request::GetTip`].
#[derive(Serialize, Deserialize)]
pub struct GetTip {}

/// See [`Request::GetLedger`].
#[derive(Serialize, Deserialize)]
pub struct GetLedger {}

/// See [`Request::GetAuthorities`].
#[derive(Serialize, Deserialize)]
pub struct GetAuthorities {}

/// See [`Request::GetAnchors`].
#[derive(Serialize, Deserialize)]
pub struct GetAnchors {}

/// See [`Request::Propose`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// An administrator's session.
    pub token: String,
    /// The change.
    #[serde(rename = "motion")]
    pub change: Change,
}

/// See [`Request::Vote`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// An administrator's session.
    pub token: String,
    /// The proposal's number.
    pub proposal: u64,
}

/// See [`Request::GetHistory`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetHistory {
    /// The last height, counted from 1.
    pub upto: u64,
}

/// See [`Request::ExportBundle`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportBundle {
    /// The session whose rights decide what the bundle may hold.
    pub token: String,
    /// An absolute path outside the node's data folder.
    pub file: PathBuf,
}

/// See [`Request::WriteSnapshot`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteSnapshot {
    /// An administrator's session.
    pub token: String,
    /// An absolute path outside the node's data folder.
    pub file: PathBuf,
}

/// See [`Request::SignCheckpoint`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignCheckpoint {
    /// An administrator's session.
    pub token: String,
    /// The checkpoint to agree with, hexadecimal; absent, one is made of the newest block.
    pub checkpoint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_lines_that_other_programs_write() {
        let line = r#"{"do":"pair","token":"t","request":"00","patients":["p"]}"#;
        let Request::PairGateway(pair) = serde_json::from_str(line).unwrap() else {
            panic!("another request")
        };
        assert_eq!((pair.token.as_str(), pair.patients.len()), ("t", 1));
        assert_eq!(serde_json::to_string(&Request::from(pair)).unwrap(), line);
        assert_eq!(serde_json::to_string(&Request::from(GetTip {})).unwrap(), r#"{"do":"tip"}"#);
        let look = r#"{"do":"look","token":"t","look":{"block":{"height":7,"first":0}}}"#;
        let request: Request = serde_json::from_str(look).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), look);
    }

    #[test]
    fn a_field_nobody_knows_is_refused_and_named() {
        for line in [
            r#"{"do":"sign_in","login":"a","password":"b","remember":true}"#,
            r#"{"do":"propose","token":"t","motion":{"motion":"remove_validator","key":"k","why":"x"}}"#,
            r#"{"do":"dance"}"#,
        ] {
            let Err(why) = serde_json::from_str::<Request>(line) else { panic!("{line} was taken") };
            let why = why.to_string();
            assert!(why.contains("remember") || why.contains("why") || why.contains("dance"), "{why}");
        }
    }
}
