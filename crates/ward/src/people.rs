//! The people of a ward: accounts, patients, consents, and what the next start has to know of them.

use crate::folders::{HospitalFolder, save};
use crate::output::say;
use anyhow::{Context, Result};
use host::clock;
use operator::{
    Client, CreatePatient, CreateStaff, FirstAdministrator, GrantConsent, PairGateway, SignIn, StaffRole,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A consent of the ward lasts this long.
const CONSENT_DAYS: u64 = 30;

/// A login of the ward, kept so that the next start can show it again.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) role: String,
    pub(crate) login: String,
    pub(crate) password: String,
}

/// What the ward remembers of one organisation between starts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) patients: usize,
    pub(crate) logins: Vec<Login>,
    pub(crate) paired: bool,
}

impl Remembered {
    /// Reads what an earlier start remembered.
    pub(crate) fn read(folder: &HospitalFolder) -> Result<Option<Self>> {
        let path = folder.remembered();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("reading {}; `make ward-clean` forgets this ward", path.display()))
                .map(Some),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                // A new passphrase over the old one would close the vault for good.
                anyhow::ensure!(
                    !folder.node().join("vault").exists(),
                    "{} is gone but the ward's records are still there: put it back, or `make ward-clean` forgets this ward",
                    path.display()
                );
                Ok(None)
            }
            Err(why) => Err(why).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Draws passwords for a new organisation of the ward.
    pub(crate) fn new(folder: &HospitalFolder, patients: usize) -> Result<Self> {
        let login = |role: &str, login: String| Login { role: role.to_owned(), login, password: password() };
        let mut logins =
            vec![login("doctor", "doctor".to_owned()), login("administrator", "admin".to_owned())];
        logins.extend((1..=patients).map(|n| login("patient", format!("patient-{n}"))));
        let remembered = Self { patients, logins, paired: false };
        remembered.save(folder)?;
        save(&folder.passphrase(), format!("{}\n", password()).as_bytes())?;
        Ok(remembered)
    }

    pub(crate) fn save(&self, folder: &HospitalFolder) -> Result<()> {
        save(&folder.remembered(), &serde_json::to_vec_pretty(self)?)
    }

    fn login(&self, login: &str) -> Result<&Login> {
        self.logins
            .iter()
            .find(|entry| entry.login == login)
            .with_context(|| format!("this ward has no login {login}"))
    }

    pub(crate) async fn sign_in(&self, node: &Client, login: &str) -> Result<String> {
        let account = self.login(login)?;
        let (login, password) = (account.login.clone(), account.password.clone());
        Ok(node.ask(SignIn { login, password }).await?.token)
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
pub(crate) struct Placed {
    name: String,
    bed: String,
}

/// Everybody who lies in this ward, in the order of the boards.
pub(crate) fn placed(names: Option<&Path>, patients: usize) -> Result<Vec<Placed>> {
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
pub(crate) async fn people(
    folder: HospitalFolder,
    remembered: Remembered,
    placed: Vec<Placed>,
    record_key: String,
) -> Result<()> {
    let node = folder.client();
    let staff = remembered.login("admin")?;
    let (login, password) = (staff.login.clone(), staff.password.clone());
    node.ask(FirstAdministrator { login, name: "Ada Demo".to_owned(), password }).await?;
    let token = remembered.sign_in(&node, "admin").await?;
    let doctor = remembered.login("doctor")?;
    node.ask(CreateStaff {
        token: token.clone(),
        login: doctor.login.clone(),
        name: "Dr Lee Demo".to_owned(),
        password: doctor.password.clone(),
        role: StaffRole::Clinician,
    })
    .await?;
    let mut patients = Vec::new();
    for (n, Placed { name, bed }) in placed.into_iter().enumerate() {
        let account = remembered.login(&format!("patient-{}", n + 1))?;
        let (login, password) = (account.login.clone(), account.password.clone());
        let made = node.ask(CreatePatient { token: token.clone(), login, name, bed, password }).await?;
        patients.push(made.patient);
    }
    let at = folder.at();
    say(&format!("People:      1 doctor, 1 administrator, {} patients registered{at}", patients.len()));
    let request = gateway::first_boot(&folder.gateway(), patients.len(), &mut clock::entropy)?;
    let request = hex::encode(request.encode());
    let paired = node.ask(PairGateway { token, request, patients: patients.clone() }).await?;
    let answer = hex::decode(paired.answer)?;
    let record_key: [u8; 32] =
        hex::decode(&record_key)?.try_into().ok().context("a record key of 32 bytes")?;
    gateway::accept(&folder.gateway(), &answer, Some(record_key))?;
    say(&format!("Devices:     1 gateway and {} sensors paired{at}", patients.len()));
    for n in 1..=remembered.patients {
        let token = remembered.sign_in(&node, &format!("patient-{n}")).await?;
        node.ask(GrantConsent { token, to: "doctor".to_owned(), days: CONSENT_DAYS }).await?;
    }
    say(&format!(
        "Consents:    each patient lets the doctor see vitals, environment and alarms (keys kept by the vault){at}"
    ));
    Ok(())
}
