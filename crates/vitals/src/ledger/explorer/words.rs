//! Acts and proposals in words. No person is named, and no hash is cut short but in a sentence.

use crate::break_glass::Verdict;
use crate::governance::Motion;
use crate::ids::OrgId;
use crate::ledger::{Act, DeviceKind, RevokeReason, SignedGrant};
use alloc::{format, string::String, vec::Vec};

/// What the sender did.
pub(super) fn of(act: &Act) -> String {
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

/// An act's particulars.
pub(super) fn particulars(act: &Act) -> Vec<(&'static str, String)> {
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
            let mut told = grant(signed);
            told.push(("policy", hex(policy)));
            told
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
            let mut told = Vec::from([
                ("patient", format!("{}", message.patient)),
                ("clinician", format!("{}", message.clinician)),
                ("reason (commitment)", hex(&message.reason)),
            ]);
            told.extend(message.second.map(|second| ("second clinician", format!("{second}"))));
            told
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

/// What a proposal would do, as a clause without a subject.
#[must_use]
pub fn motion(motion: &Motion) -> String {
    match motion {
        Motion::AddValidator { key, org, .. } => {
            format!("seat validator {} of organisation {}", short(key), short(&org.0))
        }
        Motion::RemoveValidator { key } => format!("unseat validator {}", short(key)),
        Motion::ReplaceKey { old, new, .. } => {
            format!("let validator {} go on as {}", short(old), short(new))
        }
        Motion::AdmitOrganisation { record_key, .. } => {
            format!("admit organisation {}", short(&OrgId::of(record_key).0))
        }
        Motion::RemoveOrganisation { org } => format!("expel organisation {}", short(&org.0)),
    }
}

/// A proposal's particulars, as label and text. No hash is cut short.
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

/// A count with thin spaces: `1 204`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = format!("{number}");
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The two ends of a long hex word: `9c1e4a…40b2`.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    let text = hex(bytes);
    match text.len() {
        0..=12 => text,
        len => format!("{}…{}", &text[..6], &text[len - 4..]),
    }
}
