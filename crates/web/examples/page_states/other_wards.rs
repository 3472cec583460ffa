//! Wards in which something is wrong, or missing, for everybody.

use crate::hospital::{Hospital, PATIENTS, Vitals, wave};
use clinic::LATE_BLOCKS;
use clinic::POLICY_RETRY_MS;
use clinic::VIEW_AGE_MAX_MS;
use clinic::{InviteOutcome, InviteRequest};
use vitals::alarm::Condition;
use vitals::command::Outcome;
use vitals::ledger::{Purpose, Role};
use vitals::metric::{Absence, Metric};

/// Beds of a small ward.
const FEW: usize = 3;

fn well(board: usize, at_ms: u64) -> Vitals {
    let (heart, warmth) = (700 + wave(at_ms, 311.0, board), 3680 + wave(at_ms, 997.0, board) / 4);
    Vitals { heart: Some(Ok(heart)), warmth, behind_ms: 0 }
}

/// An ordinary afternoon: most patients are well, one alarm is new, one is answered, one sensor has come off.
pub(crate) fn ordinary() -> Hospital {
    const HIGH: usize = 1;
    const WARM: usize = 2;
    const OFF: usize = 5;
    let mut hospital = Hospital::with(&PATIENTS[..8]);
    hospital.consent("b", "lee", Purpose::Treatment);
    let until_ms = hospital.ward.now_ms + 7_200_000;
    let vitals = move |board: usize, at_ms: u64| {
        let left_s = until_ms.saturating_sub(at_ms) / 1000;
        let usual = well(board, at_ms);
        match board {
            HIGH if left_s < 75 => Vitals { heart: Some(Ok(1342)), ..usual },
            WARM if left_s < 1500 => Vitals { warmth: 3921, ..usual },
            OFF if left_s < 300 => Vitals { heart: Some(Err(Absence::SensorOff)), ..usual },
            _ => usual,
        }
    };
    hospital.pass(7_200 - 80, 10, vitals);
    hospital.sign_in_again();
    let (kim, bed) = (hospital.as_("kim"), hospital.beds[WARM]);
    let hot = Condition::Above(Metric::BodyTemperature);
    hospital.ward.clinic.acknowledge(&kim, bed, hot, hospital.ward.now_ms).unwrap();
    hospital.bedside_says(WARM, Outcome::InForce);
    hospital.pass(80, 1, vitals);
    let high = format!("/patients/{}", hospital.beds[HIGH]);
    hospital.show("ordinary-wall", "lee", "/wall");
    hospital.show("ordinary-patient", "lee", high);
    people(&mut hospital);
    hospital
}

/// The administrator's pages of people, with invitations in each state.
fn people(hospital: &mut Hospital) {
    let (root, now_ms) = (hospital.as_("root"), hospital.ward.now_ms);
    let clinic = hospital.ward.clinic.clone();
    let mut invited = ["Noor Demo", "Sam Sample", ""].into_iter().zip(1..).map(|(name, form)| {
        let bed = if form == 1 { "Bed 23" } else { "" };
        let role = if form == 1 { Role::Patient } else { Role::Clinician };
        let request = InviteRequest { role, name, bed, form: [form; 16] };
        match clinic.invite(&root, &request, now_ms) {
            Ok(InviteOutcome::Now(person, link)) => (person, format!("/invitations/{}", link.expose())),
            other => panic!("invited once: {other:?}"),
        }
    });
    let (patient, link) = invited.next().unwrap();
    let (withdrawn, _) = invited.next().unwrap();
    invited.next().unwrap();
    clinic.withdraw_invitation(&root, withdrawn, 1, now_ms).unwrap();
    let fay = hospital.as_("fay").person;
    clinic.suspend(&root, fay, 1, "moved away", now_ms).unwrap();
    let avery = hospital.as_("auditor").person;
    let password = clinic.offer_password(&root, avery, 1, now_ms).unwrap();
    for (name, login, path) in [
        ("people", "root", "/admin/people".into()),
        ("people-found", "root", "/admin/people?find=kim".into()),
        ("people-nobody", "root", "/admin/people?find=nobody".into()),
        ("people-invite", "root", "/admin/people/invite".into()),
        ("person", "root", format!("/admin/people/{}", hospital.as_("kim").person)),
        ("person-suspended", "root", format!("/admin/people/{fay}")),
        ("password-link", "", format!("/passwords/{}", password.expose())),
        ("person-invited", "root", format!("/admin/people/{patient}")),
        ("person-withdrawn", "root", format!("/admin/people/{withdrawn}")),
        ("invitation", "", link),
        ("invitation-dead", "", format!("/invitations/{}", "0".repeat(64))),
    ] {
        hospital.show(name, login, path);
    }
}

/// Twenty silent beds behind one gateway.
pub(crate) fn silent_gateway() -> Hospital {
    let mut hospital = Hospital::with(&PATIENTS[..20]);
    hospital.pass(600, 10, well);
    for _ in 0..70 {
        hospital.ward.pass(1_000);
    }
    hospital.settle();
    hospital.show("wall-silent-gateway", "lee", "/wall");
    hospital
}

/// Beds whose consents have a policy that does not answer; there is an alarm at the second.
pub(crate) fn silent_policy() -> Hospital {
    let mut hospital = Hospital::with(&PATIENTS[..FEW]);
    hospital.pass(600, 10, well);
    for login in ["amira", "b"] {
        let grant = hospital.monitoring(login);
        hospital.ward.ledger.put_under_policy(grant);
    }
    for says in [Some(true), None] {
        hospital.ward.ledger.policies_say(says);
        hospital.ward.pass(POLICY_RETRY_MS);
        hospital.ward.block();
        hospital.ward.clinic.refresh_policies(hospital.ward.now_ms);
    }
    hospital.pass(30, 1, |board, at_ms| {
        let heart = if board == 1 { 1390 } else { 700 };
        Vitals { heart: Some(Ok(heart)), ..well(board, at_ms) }
    });
    hospital.show("wall-silent-policy", "lee", "/wall");
    hospital
}

/// A ledger that left a withdrawal out, and then stopped.
pub(crate) fn ledger_stands_still() -> Hospital {
    let mut hospital = Hospital::with(&PATIENTS[..FEW]);
    let grant = hospital.consent("amira", "lee", Purpose::Treatment);
    hospital.pass(600, 10, well);
    hospital.ward.ledger.set_withholding_withdrawals(true);
    let amira = hospital.as_("amira");
    hospital.ward.clinic.revoke_grant(&amira, grant, hospital.ward.now_ms).unwrap();
    for _ in 0..=LATE_BLOCKS {
        hospital.ward.pass(1_000);
        hospital.ward.block();
    }
    for _ in 0..VIEW_AGE_MAX_MS / 10_000 + 6 {
        hospital.ward.pass(10_000);
        let at_ms = hospital.ward.now_ms;
        let pulses: Vec<Vec<u8>> = (0..FEW)
            .map(|board| hospital.gateway.sensors[board].pulse(700 + wave(at_ms, 311.0, board), at_ms))
            .collect();
        hospital.ward.carry(hospital.gateway.id(), &pulses);
    }
    hospital.ward.clinic.write_alarm_events(hospital.ward.now_ms);
    hospital.show("wall-ledger-stands-still", "lee", "/wall");
    hospital.show("me-ledger-stands-still", "amira", "/me");
    hospital.show("admin-ledger-stands-still", "root", "/admin");
    hospital
}

/// A ward without patients.
pub(crate) fn nobody_yet() -> Hospital {
    let mut hospital = Hospital::with(&[]);
    hospital.show("wall-nobody", "lee", "/wall");
    hospital
}
