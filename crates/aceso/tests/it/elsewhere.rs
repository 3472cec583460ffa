//! A node whose ledger stands on another Ethereum network.

use crate::crash::operator_client::OperatorClient;
use crate::crash::roles::Role;
use crate::operator::{done, refused};
use crate::support::{BINARY, Folder, aceso, get, pause};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Where `scripts/install-test-tools.sh` puts it.
const ANVIL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests-chain/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
);
const CHAIN_ID: u64 = 84_002;
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Looks before what must come is given up, and the time between two.
const LOOKS_MAX: u32 = 200;
const LOOK: Duration = Duration::from_millis(300);

/// An Ethereum network of one machine: a block of every transaction, and one a second.
struct Anvil {
    process: Child,
    address: String,
}

impl Anvil {
    fn start() -> Self {
        let mut process = Command::new(ANVIL)
            .args([
                "--port",
                "0",
                "--chain-id",
                &CHAIN_ID.to_string(),
                "--hardfork",
                "osaka",
                "--accounts",
                "1",
            ])
            .args(["--block-base-fee-per-gas", "0", "--disable-min-priority-fee", "--order", "fifo"])
            .args(["--block-time", "1", "--mixed-mining"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|why| panic!("anvil does not start ({why}): run scripts/install-test-tools.sh"));
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "anvil ended before it listened");
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { process, address }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The organisation's folder: `node` with its records, and beside it what an operator writes.
struct House<'a>(&'a Folder);

impl House<'_> {
    fn node_config(&self, more: &str) -> String {
        let text = format!(
            "data_dir = {:?}\npassphrase_file = {:?}\nname = \"Valley\"\n{more}",
            self.0.text("node"),
            self.0.text("passphrase")
        );
        std::fs::write(self.0.path("node.toml"), text).unwrap();
        self.0.text("node.toml")
    }

    fn node(&self) -> Arc<Role> {
        Role::keep_up("node", &["node", "--config", &self.0.text("node.toml")], self.0.path("node.log"))
    }
}

/// Asks until the answer is as it must become.
fn until(client: &OperatorClient, what: &str, request: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS_MAX {
        last = client.ask(request).unwrap();
        if holds(&last) {
            return last;
        }
        pause(LOOK);
    }
    panic!("{what} did not come: {last}");
}

#[test]
fn a_node_admits_anchors_and_reads_consents_on_another_network() {
    let (folder, anvil) = (Folder::new(), Anvil::start());
    let house = House(&folder);
    for (file, secret) in [("passphrase", "correct horse"), ("password", "a long password")] {
        std::fs::write(folder.path(file), format!("{secret}\n")).unwrap();
    }
    std::fs::write(folder.path("deployer.hex"), format!("{}\n", "09".repeat(32))).unwrap();
    let way = format!("url = \"http://{}\"\nchain_id = {CHAIN_ID}\nconfirmations = 0\n", anvil.address);
    std::fs::write(folder.path("chain.toml"), &way).unwrap();

    // The organisation's keys, then the contracts with it as their founder.
    let bare = house.node_config("");
    let shown = done(&aceso(&["account", "show", "--config", &bare]));
    let line = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let (founder, account) = (line(&shown, "Founder:"), line(&shown, "Account:"));
    let chain = folder.text("chain.toml");
    let deploy = |founder: &str, genesis: &str| {
        let key = folder.text("deployer.hex");
        aceso(&[
            "chain",
            "deploy",
            "--config",
            &chain,
            "--key",
            &key,
            "--name",
            "Valley",
            "--founder",
            founder,
            "--genesis",
            genesis,
        ])
    };
    let lines = done(&deploy(&founder, &folder.text("genesis.cbor")));
    let other =
        done(&deploy(&format!("{}:{}", "07".repeat(32), "06".repeat(20)), &folder.text("other.cbor")));

    // A ledger that others founded does not know this organisation.
    let config = house.node_config(&format!("[chain]\n{way}{other}"));
    let said = refused(&aceso(&["node", "--config", &config]));
    assert!(said.contains("nobody knows organisation"), "{said}");
    let config = house.node_config(&format!("[chain]\n{way}{lines}"));
    let said = refused(&aceso(&["found", "card", "--config", &config]));
    assert!(said.contains("runs no validator"), "{said}");

    let node = house.node();
    let ready = node.ready().unwrap();
    assert!(ready["validator"].is_null() && ready["rpc"].is_null(), "{ready}");
    let who = ["--config", &config, "--login", "admin", "--password-file", &folder.text("password")];
    done(&aceso(&[&["administrator"], &who[..], &["--name", "Ada Demo"]].concat()));
    let checked = done(&aceso(&[
        "chain",
        "check",
        "--config",
        &{
            std::fs::write(folder.path("whole.toml"), format!("{way}{lines}")).unwrap();
            folder.text("whole.toml")
        },
        "--sender",
        &account,
    ]));
    assert!(checked.contains("acts for organisation"), "{checked}");

    // What only a ledger of our own could show is said to be elsewhere.
    let said = refused(&aceso(&["validator", "status", "--config", &config]));
    assert!(said.contains("stands on another network"), "{said}");
    let said = refused(&aceso(&[&["ledger"], &who[..], &["blocks"]].concat()));
    assert!(said.contains("another network"), "{said}");

    let gateway = bedside(&folder, &ready);
    let client = operator_client_of(&folder);
    let report = json!({ "do": "report" });
    let admitted = until(&client, "readings on the page", &report, |said| {
        said["envelopes_admitted"].as_u64() > Some(5)
            && said["anchors"].as_u64() > Some(1)
            && said["sealed_to_live_ms"]["samples"].as_u64() > Some(3)
    });
    assert_eq!(admitted["envelopes_refused"], 0, "{admitted}");
    let web = ready["web"].as_str().unwrap();
    assert!(get(web, "/healthz").contains("well"));
    // No proof of ours, so no bundle; the refusal says why.
    let bundle = json!({ "do": "bundle", "file": folder.text("bundle") });
    assert!(client.act(bundle).unwrap_err().contains("no certificate of ours"));

    // It goes on from its folder; without its network it does not start, and with another table neither.
    let before = client.ask(&json!({ "do": "tip" })).unwrap();
    for role in gateway {
        role.kill_for_good();
    }
    node.stop(STOP_WITHIN).unwrap();
    house.node_config("");
    let said = refused(&aceso(&["node", "--config", &config]));
    assert!(said.contains("no [chain]"), "{said}");
    house.node_config(&format!("[chain]\n{way}{other}"));
    let said = refused(&aceso(&["node", "--config", &config]));
    assert!(said.contains("this data folder belongs to"), "{said}");
    house.node_config(&format!("[chain]\n{way}{lines}"));
    let node = house.node();
    node.ready().unwrap();
    let after = client.ask(&json!({ "do": "tip" })).unwrap();
    assert!(after["height"].as_u64() >= before["height"].as_u64(), "{before} {after}");
    node.stop(STOP_WITHIN).unwrap();
    drop(anvil);
    let said = refused(&aceso(&["node", "--config", &config]));
    assert!(said.contains("the node does not answer"), "{said}");
}

/// The client of this node, as tests of a ward have it.
fn operator_client_of(folder: &Folder) -> OperatorClient {
    let logins = json!({ "logins": [{ "login": "admin", "password": "a long password" }] });
    std::fs::write(folder.path("ward.json"), logins.to_string()).unwrap();
    OperatorClient::of(folder.path("node").parent().unwrap())
}

/// One patient who lets one doctor in, one board and a gateway.
fn bedside(folder: &Folder, ready: &Value) -> [Arc<Role>; 2] {
    let client = operator_client_of(folder);
    let (login, password) = ("patient-1", "another password");
    let doctor = json!({ "do": "staff", "login": "doctor", "name": "Dr Lee Demo", "password": "a third password",
        "role": "clinician" });
    client.act(doctor).unwrap();
    let patient = json!({ "do": "patient", "login": login, "name": "Amira Demo", "bed": "Bed 01", "password": password });
    let patient = client.act(patient).unwrap()["patient"].clone();
    let place = folder.path("gateway");
    let mut seed = 7_u8;
    let request = gateway::first_boot(&place, 1, &mut |out: &mut [u8]| {
        for byte in out {
            seed = seed.wrapping_mul(29).wrapping_add(41);
            *byte = seed;
        }
    })
    .unwrap();
    let pair = json!({ "do": "pair", "request": hex::encode(request.encode()), "patients": [patient] });
    let answer = client.act(pair).unwrap();
    let key = hex::decode(ready["record_key"].as_str().unwrap()).unwrap().try_into().unwrap();
    gateway::accept(&place, &hex::decode(answer["answer"].as_str().unwrap()).unwrap(), Some(key)).unwrap();
    let token =
        client.ask(&json!({ "do": "sign_in", "login": login, "password": password })).unwrap()["token"]
            .clone();
    client.ask(&json!({ "do": "grant", "token": token, "to": "doctor", "days": 1 })).unwrap();

    let boards = folder.text("boards");
    std::fs::create_dir_all(&boards).unwrap();
    let boards =
        Role::keep_up("boards", &["simulate", "--dir", &boards, "--boards", "1"], folder.path("boards.log"));
    let board = boards.ready().unwrap()["boards"][0].clone();
    let config = format!("data_dir = {:?}\nnode = {}\nboards = [{board}]\n", place, ready["mqtt"]);
    std::fs::write(folder.path("gateway.toml"), config).unwrap();
    let config = folder.text("gateway.toml");
    let gateway = Role::keep_up("gateway", &["gateway", "--config", &config], folder.path("gateway.log"));
    gateway.ready().unwrap();
    assert!(Path::new(BINARY).exists());
    [gateway, boards]
}
