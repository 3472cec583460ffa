//! What is proven about one sealed envelope, step by step. The page shows what this node says;
//! proof against the node itself is `aceso verify`.

use super::me::{looking, reason};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::At;
use crate::labels;
use crate::layout::Layout;
use crate::time::Moment;
use askama::Template;
use axum::extract::State;
use clinic::views::{AccessView, EnvelopeProof, ProofState};
use vitals::PersonId;
use vitals::envelope::{ClockQuality, TIME_MAX_MS};
use vitals::ids::Class;

struct Step {
    title: &'static str,
    done: bool,
    at: Option<Moment>,
    text: String,
    detail: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "pages/proof.html")]
struct ProofPage {
    layout: Layout,
    lead: String,
    from: Moment,
    /// Who looked at what, for the patient whose access log it stands in.
    looking: Option<Looking>,
    verdict_icon: &'static str,
    verdict: &'static str,
    verdict_text: &'static str,
    steps: Vec<Step>,
    genesis: String,
}

/// What an entry of the access log says.
struct Looking {
    sentence: String,
    span: Option<(Moment, Moment)>,
}

impl Looking {
    fn of(entry: &AccessView, own: PersonId) -> Self {
        let (who, what) = looking(entry, own);
        let (from_ms, until_ms) = entry.span_ms;
        // The alarm engine and the own page read whatever there is: no times to tell.
        let span = (from_ms != 0 && until_ms < TIME_MAX_MS).then_some((Moment(from_ms), Moment(until_ms)));
        Self { sentence: format!("{who} {what}: {}.", reason(entry.purpose)), span }
    }
}

fn holds(proof: &EnvelopeProof) -> String {
    match (proof.class, proof.count) {
        (Class::Access, _) => "An entry of the access log".into(),
        (Class::Alarms, 1) => "An alarm, or a change of its limits".into(),
        (Class::Alarms, n) => format!("{n} events of an alarm"),
        (Class::Profile, _) => "A name and a bed".into(),
        (class, 1) => format!("One value of the {}", labels::class(class)),
        (class, n) => format!("{n} {}", labels::class(class)),
    }
}

fn steps(proof: &EnvelopeProof, hospital: &str, genesis: &str) -> Vec<Step> {
    let anchored = proof.anchored.as_ref();
    let handed = proof.proof != ProofState::Received;
    let clock = match proof.clock {
        ClockQuality::Synced => "set by the network",
        ClockQuality::Holding => "running on its own",
        ClockQuality::Unset => "never set: its times are uncertain",
    };
    vec![
        Step {
            title: "Sealed",
            done: true,
            at: Some(Moment(proof.span_ms.1)),
            text: match proof.class {
                Class::Access | Class::Profile => {
                    format!("{hospital}’s node wrote it, encrypted it and signed it.")
                }
                _ => {
                    "Its author encrypted it and signed it. Only the organisation’s vault can open it.".into()
                }
            },
            detail: vec![
                ("author", proof.author.to_string()),
                ("place in its stream", format::count(proof.seq)),
                ("header hash", format::hex(&proof.hash)),
                ("bytes", format::count(proof.bytes as u64)),
                ("author’s clock", clock.into()),
            ],
        },
        Step {
            title: "Received",
            done: true,
            at: None,
            text: format!("{hospital} wrote it durably into its log, which can only grow."),
            detail: vec![("leaf", format::count(proof.index)), ("log", "RFC 6962, SHA-256".into())],
        },
        Step {
            title: "Anchored",
            done: handed,
            at: None,
            text: if handed {
                "The state of that log was handed to the shared ledger.".into()
            } else {
                "The log’s newer state goes to the ledger within seconds.".into()
            },
            detail: anchored.map_or_else(Vec::new, |anchor| {
                vec![
                    ("log size", format::count(anchor.size)),
                    ("log root", format::hex(&anchor.root)),
                    ("steps from leaf to root", anchor.path.len().to_string()),
                ]
            }),
        },
        Step {
            title: "Final",
            done: anchored.is_some(),
            // Its own: newer blocks cover it again, and say nothing about when it became final.
            at: anchored.and_then(|anchor| anchor.since?.time_ms).map(Moment),
            text: anchored.map_or_else(
                || "The validators have not made it final yet.".into(),
                |anchor| match anchor.signers.len() {
                    1 => "The ledger’s one validator signed the block. It cannot be taken back.".into(),
                    n => format!("{n} validators signed the block. It cannot be taken back."),
                },
            ),
            detail: anchored.map_or_else(Vec::new, |anchor| {
                let first = anchor.since.map(|since| ("final since block", format::count(since.height)));
                let shown = [
                    ("shown by block", format::count(anchor.height)),
                    ("made at", Moment(anchor.block_time_ms).iso()),
                    ("hash of that block", format::hex(&anchor.block)),
                ];
                first.into_iter().chain(shown).collect()
            }),
        },
        Step {
            title: "In this ledger",
            done: anchored.is_some(),
            at: None,
            text: "The block belongs to the ledger with this name. Compare it with the one you noted down."
                .into(),
            detail: vec![("genesis", genesis.into())],
        },
    ]
}

/// `/proof/{index}`: the envelope at this place of the log, for those who may see its record.
pub(crate) async fn page(State(app): State<App>, At(index): At<String>, caller: Caller) -> Answer {
    let Some(index) = super::named::<u64>(&index) else {
        return Err(Error::not_found());
    };
    let session = caller.session.clone();
    let proof = app.ask(move |clinic, now_ms| clinic.proof_page(&session, index, now_ms)).await?;
    let caller = caller.with_ward(&app).await;
    let genesis = app.clinic().genesis().to_string();
    let (verdict_icon, verdict, verdict_text) = match proof.proof {
        ProofState::Final { .. } => (
            "shield",
            "All five steps hold",
            "This is what was sealed. Nobody has changed or removed it since.",
        ),
        ProofState::Anchored => (
            "stale",
            "On its way",
            "It is durable here and handed to the ledger. It becomes final in a moment.",
        ),
        ProofState::Received => {
            ("stale", "Received", "It is durable here. The ledger follows within seconds; reload to see.")
        }
    };
    let layout = Layout::of(&app, &caller, "/proof");
    Ok(app.render(&ProofPage {
        lead: holds(&proof),
        from: Moment(proof.span_ms.0),
        looking: proof.access.as_ref().map(|entry| Looking::of(entry, caller.session.person)),
        verdict_icon,
        verdict,
        verdict_text,
        steps: steps(&proof, &layout.hospital, &genesis),
        genesis,
        layout,
    }))
}
