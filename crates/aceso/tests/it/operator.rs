//! The life of an operator, told with nothing but the commands of `docs/operate.md` against running nodes.

use crate::crash::roles::Role;
use crate::support::{Folder, aceso, files, pause};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

/// Tries before a state that must come is given up; a minute and a half in all.
const LOOKS_MAX: u32 = 300;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a command printed; a refusal fails the test.
pub(crate) fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a refused command complained of.
pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ports that nobody uses now; held together, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// One organisation with its operator.
struct Hospital {
    name: &'static str,
    root: PathBuf,
    port: u16,
    node: Option<Arc<Role>>,
}

impl Hospital {
    fn new(folder: &Folder, name: &'static str, port: u16) -> Self {
        let root = folder.path(name);
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("passphrase"), "correct horse\n").unwrap();
        std::fs::write(root.join("password"), "a long password\n").unwrap();
        let hospital = Self { name, root, port, node: None };
        hospital.configure("");
        hospital
    }

    fn file(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn configure(&self, ledger: &str) {
        let text = format!(
            "data_dir = {:?}\npassphrase_file = {:?}\nname = {:?}\nheartbeat_ms = 150\n[ledger]\nlisten = {:?}\n{ledger}",
            self.file("node"),
            self.file("passphrase"),
            self.name,
            self.address()
        );
        std::fs::write(self.root.join("node.toml"), text).unwrap();
    }

    fn card(&self) -> String {
        let card = self.file("card.toml");
        done(&aceso(&["found", "card", "--config", &self.file("node.toml"), "--out", &card]));
        card
    }

    /// A word of its card.
    fn word(&self, name: &str) -> String {
        let card = std::fs::read_to_string(self.root.join("card.toml")).unwrap();
        let line = card.lines().find(|line| line.starts_with(name)).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    fn launch(&mut self) {
        let config = self.file("node.toml");
        self.node =
            Some(Role::keep_up(self.name, &["node", "--config", &config], self.root.join("node.log")));
    }

    fn ready(&self) -> Value {
        self.node.as_ref().unwrap().ready().unwrap()
    }

    fn stop(&mut self) {
        self.node.take().unwrap().stop(STOP_WITHIN).unwrap();
    }

    fn administrator(&self, login: &str) -> Output {
        let (config, password) = (self.file("node.toml"), self.file("password"));
        let who = ["--config", &config, "--login", login, "--password-file", &password];
        aceso(&[&["administrator"], &who[..], &["--name", "Ada Demo"]].concat())
    }

    /// `aceso validator STEP` as its administrator.
    fn validator(&self, step: &str, rest: &[&str]) -> Output {
        let (config, password) = (self.file("node.toml"), self.file("password"));
        let who = ["--config", &config, "--login", "admin", "--password-file", &password];
        aceso(&[&["validator", step], &who[..], rest].concat())
    }

    /// The number of a new proposal.
    fn proposes(&self, what: &[&str]) -> String {
        let said = done(&self.validator("propose", what));
        said.strip_prefix("Proposal ").unwrap().split(':').next().unwrap().to_owned()
    }

    /// What stands after a vote.
    fn votes(&self, proposal: &str) -> String {
        done(&self.validator("vote", &[proposal]))
    }

    fn status(&self) -> Value {
        let said = done(&aceso(&["validator", "status", "--json", "--config", &self.file("node.toml")]));
        serde_json::from_str(&said).unwrap()
    }

    /// Waits until the node says so of its ledger.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..LOOKS_MAX {
            last = self.status();
            if holds(&last) {
                return last;
            }
            pause(LOOK);
        }
        panic!("{}: {what} did not come: {last:#}", self.name);
    }

    fn looks(&self, what: &[&str]) -> String {
        let (config, password) = (self.file("node.toml"), self.file("password"));
        let who = ["--config", &config, "--login", "admin", "--password-file", &password];
        done(&aceso(&[&["ledger"], &who[..], what].concat()))
    }

    fn signs(&self, checkpoint: &str) -> Output {
        let (data, password) = (self.file("node"), self.file("password"));
        let who = ["--data-dir", &data, "--login", "admin", "--password-file", &password];
        aceso(&[&["checkpoint", "sign", checkpoint], &who[..]].concat())
    }
}

fn acting(said: &Value, key: &str) -> bool {
    said["committee"].as_array().unwrap().iter().any(|one| one == key)
}

#[test]
fn a_consortium_is_founded_joined_and_mended_with_the_commands_of_its_manual() {
    let folder = Folder::new();
    let ports = free_ports::<4>();
    let names = ["north", "south", "east", "west"];
    let [mut north, mut south, mut east, mut west] =
        std::array::from_fn(|at| Hospital::new(&folder, names[at], ports[at]));

    // Founding: three cards, one document, and the lines it says to put into the configurations.
    let genesis = folder.text("genesis");
    let cards = [&north, &south, &east].map(Hospital::card);
    let mut arguments = vec!["found", "genesis", "--name", "Valley", "--epoch-blocks", "8"];
    arguments.extend(["--out", &genesis]);
    arguments.extend(cards.iter().map(String::as_str));
    let said = done(&aceso(&arguments));
    let peer = |hospital: &Hospital| {
        let line = said.lines().find(|line| line.trim_start().starts_with(hospital.name)).unwrap();
        line[line.find('{').unwrap()..].to_owned()
    };
    let all = [&north, &south, &east].map(&peer);
    let others = |but: usize| {
        [0, 1, 2].into_iter().filter(|at| *at != but).map(|at| all[at].clone()).collect::<Vec<_>>()
    };
    for (at, one) in [&mut north, &mut south, &mut east].into_iter().enumerate() {
        one.configure(&format!("genesis = {genesis:?}\npeers = [{}]\n", others(at).join(", ")));
        one.launch();
    }
    for one in [&north, &south, &east] {
        one.ready();
        done(&one.administrator("admin"));
        assert!(refused(&one.administrator("second")).contains("administrator"));
    }

    // Nobody announced anything, and still everybody's address comes to stand on the ledger.
    let told = north.until("every address", |said| {
        let all = said["validators"].as_array().unwrap();
        [&north, &south, &east].iter().all(|one| all.iter().any(|two| two["address"] == one.address()))
    });
    assert_eq!((told["authorities"].as_u64(), told["quorum"].as_u64()), (Some(3), Some(3)));

    // A fourth joins: its card goes to the others, who admit it and vote its validator in.
    west.configure(&format!("genesis = {genesis:?}\npeers = [{}]\n", all.join(", ")));
    let joined = done(&aceso(&["join", "--config", &west.file("node.toml")]));
    let card = west.card();
    assert!(joined.contains("--admit CARD") && joined.contains(&west.word("validator")), "{joined}");
    west.launch();
    west.ready();
    let early = refused(&north.validator("propose", &["--add-card", &card]));
    assert!(early.contains("organisation"), "{early}");
    let id = north.proposes(&["--admit", &card]);
    assert!(south.votes(&id).contains("accepted"));
    let id = north.proposes(&["--add-card", &card]);
    assert!(refused(&north.validator("vote", &[&id])).contains("already"));
    let standing = north.until("the proposal", |said| said["proposals"][0]["id"].as_u64() == id.parse().ok());
    assert_eq!(standing["proposals"][0]["votes"], 1, "a vote counts once");
    // It follows while the others vote.
    west.until("following", |said| said["height"].as_u64() > Some(3));
    assert!(south.votes(&id).contains("accepted: it acts from epoch"));
    let key = west.word("validator");
    for one in [&north, &south, &east, &west] {
        one.until("the newcomer's seat", |said| said["authorities"] == 4 && acting(said, &key));
    }
    done(&west.administrator("admin"));

    look_into(&north, &west);
    checkpoints(&folder, [&north, &south, &west]);

    // The last one loses its disk but for the vault, and comes back under another key.
    let old = east.word("validator");
    east.stop();
    std::fs::remove_dir_all(east.root.join("node/ledger/consensus")).unwrap();
    let _ = std::fs::remove_file(east.root.join("node/closed"));
    let gone = refused(&aceso(&["node", "--config", &east.file("node.toml")]));
    assert!(gone.contains("aceso validator renew"), "{gone}");
    let said = done(&aceso(&["validator", "renew", "--config", &east.file("node.toml")]));
    east.card();
    let (organisation, new) = (east.word("organisation"), east.word("validator"));
    let add = ["--add", &new, "--organisation", &organisation, "--address", &east.address()];
    assert!(new != old && said.contains(&add.join(" ")), "{said}");
    east.launch();
    east.ready();
    let id = north.proposes(&add);
    south.votes(&id);
    west.votes(&id);
    east.until("the new key's seat", |said| acting(said, &new));
    let id = south.proposes(&["--remove", &old]);
    north.votes(&id);
    east.votes(&id);
    for one in [&north, &east] {
        let said = one.until("the old key's end", |said| !acting(said, &old));
        assert_eq!(said["authorities"], 4);
    }
    east.until("its address", |said| {
        let all = said["validators"].as_array().unwrap();
        all.iter().any(|one| one["key"] == new.as_str() && one["address"] == east.address())
    });
    let log = std::fs::read_to_string(north.root.join("node.log")).unwrap();
    assert!(!log.contains("a long password") && !log.contains("correct horse"));
    for one in [&mut north, &mut south, &mut east, &mut west] {
        one.stop();
    }
}

/// The page's twin: everything it shows is to be had in a terminal.
fn look_into(north: &Hospital, west: &Hospital) {
    let blocks = north.looks(&["blocks", "--most", "100"]);
    assert!(blocks.contains("led by") && blocks.contains("organisation"), "{blocks}");
    let own = west.word("organisation");
    let newest: Value = serde_json::from_str(&north.looks(&["--json", "blocks", "--most", "100"])).unwrap();
    let of_blocks = newest["blocks"].as_array().unwrap();
    let busy = of_blocks.iter().find(|one| one["transactions"].as_u64() > Some(0)).unwrap();
    let height = busy["height"].to_string();
    let block: Value = serde_json::from_str(&north.looks(&["--json", "block", &height])).unwrap();
    let id = block["shown"][0]["id"].as_str().unwrap();
    let words = north.looks(&["tx", id]);
    assert!(words.contains(id), "{words}");
    let other = north.looks(&["blocks", "--organisation", &own]);
    assert!(
        other.contains("enrolled") || other.contains("registered") || other.contains("No blocks"),
        "{other}"
    );
    let authorities = north.looks(&["authorities"]);
    for one in [north, west] {
        assert!(authorities.contains(&one.address()), "{authorities}");
    }
    let said = north.looks(&["evidence"]);
    assert!(!said.trim().is_empty(), "nothing to show is said too");
    assert_eq!(north.looks(&["health"]).lines().filter(|line| line.contains("blocks behind")).count(), 4);
}

/// One makes a checkpoint, others agree and sign; a changed one nobody signs.
fn checkpoints(folder: &Folder, organisations: [&Hospital; 3]) {
    let file = folder.text("checkpoint");
    // The last block of an epoch is none to start from: the command says to ask again.
    let mut made = organisations[0].signs(&file);
    while !made.status.success() {
        assert!(refused(&made).contains("ask again"));
        pause(LOOK);
        made = organisations[0].signs(&file);
    }
    for one in &organisations[1..] {
        let mut signed = one.signs(&file);
        while !signed.status.success() {
            // It may lag by a block.
            assert!(refused(&signed).contains("yet") || refused(&signed).contains("ask again later"));
            pause(LOOK);
            signed = one.signs(&file);
        }
    }
    let shown = done(&aceso(&["checkpoint", "show", &file]));
    assert!(shown.contains("Signed with 3 record keys"), "{shown}");
    for one in organisations {
        assert!(shown.contains(&one.word("record_key")), "{shown}");
    }
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    let changed = folder.text("changed");
    std::fs::write(&changed, bytes).unwrap();
    refused(&organisations[0].signs(&changed));
    assert!(files(&folder.path("north")).len() > 3);
}
