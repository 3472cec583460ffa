//! The people of a ward: accounts, patients, consents, and what the next start has to know of them.

use super::places::{House, save};
use super::tell;
use crate::clock;
use crate::control::{self, Request, StaffRole};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A consent of the ward lasts this long.
const CONSENT_DAYS: u64 = 30;

/// A login of the ward, kept so that the next start can show it again.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) role: String,
    pub(super) login: String,
    pub(super) password: String,
}

/// What the ward remembers of one organisation between starts.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) patients: usize,
    pub(super) logins: Vec<Login>,
    pub(super) paired: bool,
}

impl Memory {
    /// Reads what an earlier start remembered.
    pub(super) fn read(house: &House) -> Result<Option<Self>> {
        let path = house.memory();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("reading {}; `make ward-clean` forgets this ward", path.display()))
                .map(Some),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                // A new passphrase over the old one would close the vault for good.
                anyhow::ensure!(
                    !house.node().join("vault").exists(),
                    "{} is gone but the ward's records are still there: put it back, or `make ward-clean` forgets this ward",
                    path.display()
                );
                Ok(None)
            }
            Err(why) => Err(why).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Draws passwords for a new organisation of the ward.
    pub(super) fn new(house: &House, patients: usize) -> Result<Self> {
        let login = |role: &str, login: String| Login { role: role.to_owned(), login, password: password() };
        let mut logins =
            vec![login("doctor", "doctor".to_owned()), login("administrator", "admin".to_owned())];
        logins.extend((1..=patients).map(|n| login("patient", format!("patient-{n}"))));
        let memory = Self { patients, logins, paired: false };
        memory.save(house)?;
        save(&house.passphrase(), format!("{}\n", password()).as_bytes())?;
        Ok(memory)
    }

    pub(super) fn save(&self, house: &House) -> Result<()> {
        save(&house.memory(), &serde_json::to_vec_pretty(self)?)
    }

    fn login(&self, login: &str) -> Result<&Login> {
        self.logins
            .iter()
            .find(|entry| entry.login == login)
            .with_context(|| format!("this ward has no login {login}"))
    }

    pub(super) async fn sign_in(&self, socket: &Path, login: &str) -> Result<String> {
        let account = self.login(login)?;
        let (login, password) = (account.login.clone(), account.password.clone());
        let said = control::ask(socket, &Request::SignIn { login, password }).await?;
        Ok(said["token"].as_str().context("the node gives a token")?.to_owned())
    }
}

/// Sixteen letters and digits that cannot be mistaken for one another: 80 bits.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567892";
    let letters: Vec<u8> = clock::random::<16>().iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<&str> = letters.chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("-")
}

const DEMO_NAMES: [&str; 6] =
    ["Amira Demo", "Bo Sample", "Cleo Example", "Dana Test", "Emil Demo", "Fay Sample"];

/// A patient's name and bed.
#[derive(Clone)]
pub(super) struct Placed {
    name: String,
    bed: String,
}

/// Everybody who lies in this ward, in the order of the boards.
pub(super) fn placed(names: Option<&Path>, patients: usize) -> Result<Vec<Placed>> {
    let given = match names {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("reading {}", file.display()))?
            .lines()
            .map(str::to_owned)
            .collect(),
        None => Vec::new(),
    };
    let name = |n: usize| match (given.get(n), DEMO_NAMES.get(n)) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => (*name).to_owned(),
        (None, None) => format!("Patient {} Demo", n + 1),
    };
    Ok((0..patients).map(|n| Placed { name: name(n), bed: format!("Bed {:02}", n + 1) }).collect())
}

/// Registers people, gives the doctor the patients' consents, and pairs the gateway.
pub(super) async fn people(
    house: House,
    memory: Memory,
    placed: Vec<Placed>,
    record_key: String,
) -> Result<()> {
    let socket = house.socket();
    let ask = |request: Request| {
        let socket = socket.clone();
        async move { control::ask(&socket, &request).await }
    };
    let staff = memory.login("admin")?;
    let (login, password) = (staff.login.clone(), staff.password.clone());
    ask(Request::FirstAdministrator { login, name: "Ada Demo".to_owned(), password }).await?;
    let token = memory.sign_in(&socket, "admin").await?;
    let doctor = memory.login("doctor")?;
    ask(Request::Staff {
        token: token.clone(),
        login: doctor.login.clone(),
        name: "Dr Lee Demo".to_owned(),
        password: doctor.password.clone(),
        role: StaffRole::Clinician,
    })
    .await?;
    let mut patients = Vec::new();
    for (n, Placed { name, bed }) in placed.into_iter().enumerate() {
        let account = memory.login(&format!("patient-{}", n + 1))?;
        let (login, password) = (account.login.clone(), account.password.clone());
        let made = ask(Request::Patient { token: token.clone(), login, name, bed, password }).await?;
        patients.push(made["patient"].as_str().context("the node names the new patient")?.to_owned());
    }
    let at = house.at();
    tell(&format!("People:      1 doctor, 1 administrator, {} patients registered{at}", patients.len()));
    let request = gateway::first_boot(&house.gateway(), patients.len(), &mut clock::entropy)?;
    let answer =
        ask(Request::Pair { token, request: hex::encode(request.encode()), patients: patients.clone() })
            .await?;
    let answer = hex::decode(answer["answer"].as_str().context("the node answers the pairing")?)?;
    let record_key: [u8; 32] =
        hex::decode(&record_key)?.try_into().ok().context("a record key of 32 bytes")?;
    gateway::accept(&house.gateway(), &answer, Some(record_key))?;
    tell(&format!("Devices:     1 gateway and {} sensors paired{at}", patients.len()));
    for n in 1..=memory.patients {
        let token = memory.sign_in(&socket, &format!("patient-{n}")).await?;
        ask(Request::Grant { token, to: "doctor".to_owned(), days: CONSENT_DAYS }).await?;
    }
    tell(&format!(
        "Consents:    each patient lets the doctor see vitals, environment and alarms (keys kept by the vault){at}"
    ));
    Ok(())
}
