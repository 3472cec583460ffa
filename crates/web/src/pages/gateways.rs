//! Silent beds behind one gateway are shown as one alarm, that of the gateway.

use super::alarm_card::AlarmCard;
use crate::app::App;
use crate::error::{Answer, Error};
use crate::format;
use crate::forms::{At, Posted};
use crate::labels::name_and_place;
use crate::time::Moment;
use axum::extract::State;
use clinic::views::{AlarmPhase, AlarmView, SilentGateway, Urgency, Wall};
use std::collections::BTreeSet;
use vitals::PatientId;
use vitals::alarm::Condition;
use vitals::ledger::Role;

/// The alarms of a wall and its hidden beds, the most urgent first; the alarms of beds behind a silent gateway as
/// one, where the first of them stands.
pub(crate) fn cards(wall: &Wall, role: Role) -> Vec<AlarmCard> {
    let mut shown = BTreeSet::new();
    let mut card = |alarm: &AlarmView| {
        if let Some(gateway) = behind(alarm, &wall.gateways) {
            return shown.insert(gateway.gateway).then(|| gateway_card(gateway, wall, role));
        }
        if let Some(bed) = wall.unwatched.iter().find(|bed| bed.alarm.as_ref() == Some(alarm)) {
            return Some(AlarmCard::of_unwatched(bed, alarm));
        }
        let tile = wall.tiles.iter().find(|tile| tile.patient == alarm.patient)?;
        Some(AlarmCard::of(alarm, tile, true, role, wall.at_ms))
    };
    let of_strip = wall.strip.iter().filter_map(|alarm| Some((alarm.urgency(), card(alarm)?)));
    let of_hidden = wall.hidden.iter().map(|bed| (bed.urgency(), AlarmCard::of_hidden(bed)));
    let mut cards: Vec<(Urgency, AlarmCard)> = of_strip.collect();
    cards.extend(of_hidden);
    cards.sort_by_key(|(urgency, _)| *urgency);
    cards.into_iter().map(|(_, card)| card).collect()
}

pub(crate) fn behind<'a>(alarm: &AlarmView, gateways: &'a [SilentGateway]) -> Option<&'a SilentGateway> {
    let holds = |gateway: &&SilentGateway| gateway.alarms.iter().any(|a| a.patient == alarm.patient);
    gateways.iter().find(holds).filter(|_| alarm.condition == Condition::Stale)
}

fn gateway_card(silent: &SilentGateway, wall: &Wall, role: Role) -> AlarmCard {
    let places: Vec<String> = silent.alarms.iter().filter_map(|alarm| place(wall, alarm.patient)).collect();
    let since_ms = silent.alarms.iter().map(|alarm| alarm.raised_at_ms).min().unwrap_or(wall.at_ms);
    let unanswered = silent.alarms.iter().any(|alarm| alarm.phase == AlarmPhase::Active);
    let owners: BTreeSet<String> = silent.alarms.iter().filter_map(|alarm| alarm.owner.clone()).collect();
    let name = format::short_hex(&silent.gateway.0);
    let active = || silent.alarms.iter().filter(|a| a.phase == AlarmPhase::Active);
    AlarmCard {
        active: active().next().is_some(),
        // It rings while one of its beds does.
        silenced_until_ms: active().map(|alarm| alarm.silenced_until_ms).min().unwrap_or(0),
        key: format!("alarm-gateway-{}", silent.gateway),
        action: format!("/gateways/{}", silent.gateway),
        patient: String::new(),
        code: Condition::Stale.code(),
        style: "tech",
        icon: "tech",
        stars: "",
        word: "Technical".into(),
        what: format!("Gateway {name}: no data from {} beds", silent.alarms.len()),
        place: format::joined(places.into_iter()),
        href: String::new(),
        raised: Moment(since_ms),
        seen: String::new(),
        owner: (!unanswered).then(|| format::joined(owners.into_iter())),
        silenced_until: None,
        note: "no new alarm of vital signs until it is back: look after these beds, and check the gateway"
            .into(),
        unanswered,
        over: false,
        answerable: role == Role::Clinician,
        silenceable: false,
        soundable: false,
    }
}

fn place(wall: &Wall, patient: PatientId) -> Option<String> {
    wall.tiles.iter().find(|tile| tile.patient == patient).map(|tile| name_and_place(tile).1)
}

/// Somebody takes care of a silent gateway, and of all beds behind it.
pub(crate) async fn acknowledge(State(app): State<App>, At(gateway): At<String>, posted: Posted) -> Answer {
    posted.fits(&["back?"])?;
    let Some(gateway) = super::named(&gateway) else {
        return Err(Error::not_found());
    };
    let session = posted.caller.session.clone();
    app.ask(move |clinic, now_ms| clinic.acknowledge_gateway(&session, gateway, now_ms)).await?;
    super::done(&posted, "/wall")
}
