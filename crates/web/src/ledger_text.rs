//! What is on the ledger, as text: acts, proposals and evidence, for pages and for the command line. No person
//! is named. Hashes are shortened in sentences only; particulars show them whole.

use crate::format::{count, hex, short_hex};
use vitals::break_glass::Verdict;
use vitals::explorer::{Conflict, TxAction};
use vitals::governance::Motion;
use vitals::ids::OrgId;
use vitals::ledger::{Act, DeviceKind, RevokeReason, SignedGrant};

/// What the sender did, to stand behind its name: "anchored its log of 1 204 leaves".
#[must_use]
pub fn action(action: &TxAction) -> String {
    match action {
        TxAction::Act(done) => act(done),
        TxAction::Call { contract, function: Some(function) } => format!("called {function} of {contract}"),
        TxAction::Call { contract, function: None } => format!("called {contract}"),
        TxAction::Deploy { bytes } => format!("deployed a contract of {} bytes", count(*bytes as u64)),
    }
}

/// Its particulars, as label and text. No hash is shortened.
#[must_use]
pub fn action_particulars(action: &TxAction) -> Vec<(&'static str, String)> {
    match action {
        TxAction::Act(done) => act_particulars(done),
        TxAction::Call { .. } | TxAction::Deploy { .. } => Vec::new(),
    }
}

/// What two votes that contradict each other did.
#[must_use]
pub fn conflict(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Notarize => "voted for two blocks in one view",
        Conflict::Finalize => "voted to make two blocks of one view final",
        Conflict::NullifyFinalize => "voted to skip a view and to make a block of it final",
    }
}

fn act(act: &Act) -> String {
    match act {
        Act::Enrol { role: of, .. } => format!("enrolled {}", of.phrase()),
        Act::Register { kind: DeviceKind::Sensor, .. } => "registered a sensor".into(),
        Act::Register { kind: DeviceKind::Gateway, .. } => "registered a gateway".into(),
        Act::Revoke { reason: RevokeReason::Retired, .. } => "retired a device".into(),
        Act::Revoke { reason: RevokeReason::Stolen, .. } => "reported a device stolen".into(),
        Act::Grant(_) => "relayed a consent".into(),
        Act::RevokeGrant { .. } => "relayed the withdrawal of a consent".into(),
        Act::BurnGrant { .. } => "relayed the withdrawal of a consent that had not arrived".into(),
        Act::Anchor { size: 1, .. } => "anchored its log of 1 leaf".into(),
        Act::Anchor { size, .. } => format!("anchored its log of {} leaves", count(*size)),
        Act::Propose(what) => format!("proposed to {}", motion(what)),
        Act::Vote { proposal } => format!("voted for proposal {}", count(*proposal)),
        Act::Settle { proposal } => format!("carried out proposal {}", count(*proposal)),
        Act::Announce { .. } => "said where its validator is found".into(),
        Act::Suspend { .. } => "suspended a person".into(),
        Act::GrantUnder { .. } => "relayed a consent under a policy".into(),
        Act::AddPolicy { .. } => "offered a policy".into(),
        Act::WithdrawPolicy { .. } => "withdrew a policy".into(),
        Act::SupportRole { role: code, .. } => format!("voted for role {code}"),
        Act::AssignRole { role: code, .. } => format!("assigned role {code}"),
        Act::BreakGlass(_) => "logged an access without consent".into(),
        Act::Review { verdict: Verdict::Justified, .. } => {
            "relayed a review: an access without consent was justified".into()
        }
        Act::Review { verdict: Verdict::Unjustified, .. } => {
            "relayed a review: an access without consent was not justified".into()
        }
    }
}

fn act_particulars(act: &Act) -> Vec<(&'static str, String)> {
    match act {
        Act::Enrol { person, vault_kept, .. } => Vec::from([
            ("person", format!("{person}")),
            ("signing key", if *vault_kept { "kept by the vault" } else { "their own" }.into()),
        ]),
        Act::Register { key, via, .. } => Vec::from([("key", hex(key)), ("carried by", format!("{via}"))]),
        Act::Revoke { device, last_trusted_seq, .. } => Vec::from([
            ("device", format!("{device}")),
            ("last trusted envelope", format!("number {}", count(*last_trusted_seq))),
        ]),
        Act::Grant(signed) => grant(signed),
        Act::RevokeGrant { grant, .. } => Vec::from([("consent", format!("{grant}"))]),
        Act::BurnGrant { patient, nonce, .. } => {
            Vec::from([("patient", format!("{patient}")), ("nonce", hex(nonce))])
        }
        Act::Anchor { size, root, .. } => Vec::from([("leaves", count(*size)), ("root", hex(root))]),
        Act::Propose(what) => motion_particulars(what),
        Act::Vote { .. } | Act::Settle { .. } => Vec::new(),
        Act::Suspend { person } => Vec::from([("person", format!("{person}"))]),
        Act::GrantUnder { signed, policy } => {
            let mut particulars = grant(signed);
            particulars.push(("policy", hex(policy)));
            particulars
        }
        Act::AddPolicy { name, contract } => {
            Vec::from([("policy", plain_name(name)), ("contract", hex(contract))])
        }
        Act::SupportRole { name, base, .. } => {
            Vec::from([("name", plain_name(name)), ("enrolled as", base.phrase().into())])
        }
        Act::AssignRole { person, .. } => Vec::from([("person", format!("{person}"))]),
        Act::WithdrawPolicy { contract } => Vec::from([("contract", hex(contract))]),
        Act::BreakGlass(signed) => {
            let message = &signed.message;
            let mut particulars = Vec::from([
                ("patient", format!("{}", message.patient)),
                ("clinician", format!("{}", message.clinician)),
                ("reason (commitment)", hex(&message.reason)),
            ]);
            particulars.extend(message.second.map(|second| ("second clinician", format!("{second}"))));
            particulars
        }
        Act::Review { entry, auditor, remark, .. } => Vec::from([
            ("entry", hex(entry)),
            ("auditor", format!("{auditor}")),
            ("remark (commitment)", hex(remark)),
        ]),
        Act::Announce { validator, endpoint } => {
            Vec::from([("validator", hex(validator)), ("found at", place(endpoint))])
        }
    }
}

fn grant(signed: &SignedGrant) -> Vec<(&'static str, String)> {
    Vec::from([
        ("patient", format!("{}", signed.message.patient)),
        ("for", format!("{}", signed.message.grantee)),
        ("terms (commitment)", hex(&signed.message.terms)),
    ])
}

/// A name on the ledger. Any organisation may have written it: what is not a plain word is shown as bytes.
fn plain_name(name: &[u8; 32]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let plain = name[..end].iter().all(u8::is_ascii_graphic);
    if plain { name[..end].iter().map(|byte| char::from(*byte)).collect() } else { hex(name) }
}

fn place(endpoint: &str) -> String {
    if endpoint.is_empty() { "nowhere".into() } else { endpoint.into() }
}

/// What a proposal would do, as a clause without a subject: "seat validator 9c1e4a…40b2 of 3fa0…".
#[must_use]
pub fn motion(motion: &Motion) -> String {
    match motion {
        Motion::AddValidator { key, org, .. } => {
            format!("seat validator {} of organisation {}", short_hex(key), short_hex(&org.0))
        }
        Motion::RemoveValidator { key } => format!("unseat validator {}", short_hex(key)),
        Motion::ReplaceKey { old, new, .. } => {
            format!("let validator {} go on as {}", short_hex(old), short_hex(new))
        }
        Motion::AdmitOrganisation { record_key, .. } => {
            format!("admit organisation {}", short_hex(&OrgId::of(record_key).0))
        }
        Motion::RemoveOrganisation { org } => format!("expel organisation {}", short_hex(&org.0)),
    }
}

/// A proposal's particulars, as label and text. No hash is shortened.
#[must_use]
pub fn motion_particulars(motion: &Motion) -> Vec<(&'static str, String)> {
    match motion {
        Motion::AddValidator { key, org, endpoint } => Vec::from([
            ("validator", hex(key)),
            ("organisation", format!("{org}")),
            ("found at", place(endpoint)),
        ]),
        Motion::RemoveValidator { key } => Vec::from([("validator", hex(key))]),
        Motion::ReplaceKey { old, new, endpoint } => {
            Vec::from([("old key", hex(old)), ("new key", hex(new)), ("found at", place(endpoint))])
        }
        Motion::AdmitOrganisation { record_key, sender } => Vec::from([
            ("organisation", format!("{}", OrgId::of(record_key))),
            ("record key", hex(record_key)),
            ("sends from", hex(sender)),
        ]),
        Motion::RemoveOrganisation { org } => Vec::from([("organisation", format!("{org}"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitals::ids::{GrantId, PersonId};
    use vitals::ledger::Role;

    #[test]
    fn an_action_is_described_without_names() {
        let anchored = |size| TxAction::Act(Act::Anchor { size, root: [7; 32], consistency: vec![] });
        assert_eq!(action(&anchored(1_204)), "anchored its log of 1\u{202f}204 leaves");
        assert_eq!(action(&anchored(1)), "anchored its log of 1 leaf");
        let enrol =
            Act::Enrol { person: PersonId([2; 32]), role: Role::Auditor, signer: vec![], vault_kept: true };
        assert_eq!(action(&TxAction::Act(enrol.clone())), "enrolled an auditor");
        assert!(
            action_particulars(&TxAction::Act(enrol)).contains(&("signing key", "kept by the vault".into()))
        );
        let withdrawn = TxAction::Act(Act::RevokeGrant { grant: GrantId([3; 32]), signature: vec![] });
        assert_eq!(action_particulars(&withdrawn), vec![("consent", "03".repeat(32))]);
        let unknown = TxAction::Call { contract: "Directory".into(), function: Some("suspend".into()) };
        assert_eq!(action(&unknown), "called suspend of Directory");
        assert_eq!(action(&TxAction::Deploy { bytes: 4096 }), "deployed a contract of 4\u{202f}096 bytes");
    }

    #[test]
    fn a_sentence_shortens_ids_and_the_particulars_show_them_whole() {
        let seat =
            Motion::AddValidator { key: [0xab; 32], org: OrgId([1; 16]), endpoint: "node:9000".into() };
        let proposed = TxAction::Act(Act::Propose(seat));
        assert_eq!(action(&proposed), "proposed to seat validator ababab…abab of organisation 010101…0101");
        let whole = action_particulars(&proposed);
        assert!(
            whole.contains(&("validator", "ab".repeat(32)))
                && whole.contains(&("found at", "node:9000".into()))
        );
        assert_eq!(action(&TxAction::Act(Act::Vote { proposal: 9 })), "voted for proposal 9");
    }
}
