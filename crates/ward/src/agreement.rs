//! Do all nodes hold one history? Asked of each node apart, once nothing new comes in.

use crate::hospital::Hospital;
use crate::report::{Agreement, ChainFigures, ConsortiumFigures, HospitalFigures, latency_of};
use anyhow::Result;
use host::clock;
use operator::{Anchors, GetAnchors, GetHistory, GetLedger, GetTip, History};
use std::time::Duration;

/// How long the slowest node may take to reach the fastest, and their anchors to be the same.
const AGREE_WITHIN: Duration = Duration::from_secs(20);
/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until all nodes stand where the highest stands, then compares what they hold.
pub(crate) async fn check(hospitals: &[Hospital]) -> Result<Agreement> {
    let mut height = 0;
    for hospital in hospitals {
        height = height.max(tip(hospital).await?);
    }
    let began = clock::instant();
    loop {
        let agreement = compare(hospitals, height).await?;
        let all = hospitals.len();
        let same = agreement.reached == all && agreement.same_anchors == all;
        if same || clock::instant().duration_since(began) > AGREE_WITHIN {
            return Ok(agreement);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn tip(hospital: &Hospital) -> Result<u64> {
    Ok(hospital.ask(GetTip {}).await?.height)
}

async fn compare(hospitals: &[Hospital], height: u64) -> Result<Agreement> {
    let mut agreement = Agreement { height, ..Agreement::default() };
    let (mut headers, mut anchors): (Vec<History>, Vec<Anchors>) = (Vec::new(), Vec::new());
    for hospital in hospitals {
        agreement.reached += usize::from(tip(hospital).await? >= height);
        headers.push(hospital.ask(GetHistory { upto: height }).await?);
        anchors.push(hospital.ask(GetAnchors {}).await?);
    }
    agreement.same_headers = headers.iter().filter(|one| **one == headers[0]).count();
    agreement.same_anchors = anchors.iter().filter(|one| **one == anchors[0]).count();
    Ok(agreement)
}

/// What a node's ledger came to.
pub(crate) async fn figures(hospital: &Hospital) -> Result<ChainFigures> {
    Ok(hospital.ask(GetLedger {}).await?.into())
}

/// The ledger over all nodes.
pub(crate) fn together(
    hospitals: &[HospitalFigures],
    agreement: Agreement,
    blocks: u64,
    seconds: f64,
) -> ConsortiumFigures {
    let first = hospitals.first().map(|hospital| hospital.ledger.clone()).unwrap_or_default();
    let samples = hospitals.iter().flat_map(|hospital| hospital.ledger.finality_samples_ms.clone());
    ConsortiumFigures {
        height: first.height,
        epoch: first.epoch,
        authorities: first.committee.len(),
        blocks_per_s: blocks as f64 / seconds.max(0.001),
        finality_ms: latency_of(samples.collect()),
        agreement,
    }
}
