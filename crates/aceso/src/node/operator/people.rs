//! People, patients and devices.

use super::{Decided, Operator};
use anyhow::{Context, Result};
use clinic::NewPerson;
use clinic::{GrantRequest, Session, Ticket};
use operator::{
    CreatePatient, CreateStaff, Done, FirstAdministrator, GrantConsent, PairGateway, Paired, PatientCreated,
    SignIn, StaffRole, Token,
};
use vitals::PatientId;
use vitals::ids::Class;
use vitals::ledger::{Purpose, Role};

const DAY_MS: u64 = 86_400_000;

impl Operator {
    pub(super) fn first_administrator(&self, call: &FirstAdministrator, now_ms: u64) -> Decided<Done> {
        let ticket = self.clinic.first_administrator(&call.login, &call.name, &call.password, now_ms)?;
        Ok((Done {}, vec![ticket]))
    }

    pub(super) fn sign_in(&self, call: &SignIn, now_ms: u64) -> Decided<Token> {
        let (token, _) = self.clinic.sign_in(&call.login, &call.password, now_ms)?;
        Ok((Token { token: token.expose().to_owned() }, Vec::new()))
    }

    pub(super) fn create_staff(&self, call: &CreateStaff, now_ms: u64) -> Decided<Done> {
        let session = self.session(&call.token, now_ms)?;
        let CreateStaff { login, name, password, role, .. } = call;
        let (_, ticket) = self.clinic.create_person(
            &session,
            &NewPerson { login, name, password, role: role_of(*role) },
            now_ms,
        )?;
        Ok((Done {}, vec![ticket]))
    }

    pub(super) fn create_patient(&self, call: &CreatePatient, now_ms: u64) -> Decided<PatientCreated> {
        let session = self.session(&call.token, now_ms)?;
        let CreatePatient { login, name, bed, password, .. } = call;
        let new = NewPerson { login, name, password, role: Role::Patient };
        let (patient, ticket) = self.clinic.create_patient(&session, &new, bed, now_ms)?;
        Ok((PatientCreated { patient: patient.to_string() }, vec![ticket]))
    }

    pub(super) fn pair_gateway(&self, call: &PairGateway, now_ms: u64) -> Decided<Paired> {
        let session = self.session(&call.token, now_ms)?;
        let request = hex::decode(&call.request).context("the pairing request is not hexadecimal")?;
        let patients: Vec<PatientId> =
            call.patients.iter().map(|id| id.parse()).collect::<Result<_, _>>().context("a patient id")?;
        let paired = self.clinic.pair(&session, &request, &patients, now_ms)?;
        let answer = Paired { answer: hex::encode(&paired.answer), gateway: paired.gateway.to_string() };
        Ok((answer, paired.tickets))
    }

    pub(super) fn grant_consent(&self, call: &GrantConsent, now_ms: u64) -> Decided<Done> {
        let session = self.session(&call.token, now_ms)?;
        Ok((Done {}, vec![self.grant(&session, &call.to, call.days, now_ms)?]))
    }

    fn grant(&self, session: &Session, to: &str, days: u64, now_ms: u64) -> Result<Ticket> {
        let account =
            self.clinic.vault().account(to).with_context(|| format!("nobody signs in as {to} here"))?;
        let request = GrantRequest {
            grantee: account.person,
            purpose: Purpose::Treatment,
            classes: vec![Class::Vitals, Class::Environment, Class::Alarms, Class::Profile],
            from_ms: now_ms.min(self.chain.tip().time_ms),
            until_ms: now_ms + days.min(366) * DAY_MS,
        };
        Ok(self.clinic.grant(session, &request, now_ms)?)
    }
}

fn role_of(role: StaffRole) -> Role {
    match role {
        StaffRole::Clinician => Role::Clinician,
        StaffRole::Administrator => Role::Administrator,
        StaffRole::Auditor => Role::Auditor,
    }
}
