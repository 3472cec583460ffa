//! The crash campaign: kill −9 of node and gateway at random moments under load, in start-up, both at
//! once, everything at once; then every promise that was ever given is held against the record.
//!
//! `make crash` runs it in full length; `ACESO_CRASH_KILLS` and `ACESO_CRASH_SEED` change it.

mod judge;
pub(crate) mod operator_client;
pub(crate) mod roles;
mod witness;

use crate::support::{Folder, aceso, said, ward};
use judge::Verdict;
use operator_client::OperatorClient;
use roles::{Plan, Role, Roles, Together};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use witness::{Seen, Witness};

/// What a campaign is made of.
struct Campaign {
    plan: Plan,
    beds: usize,
    /// Seconds of the boards in one second.
    speed: u32,
    /// Envelopes a second that the witness seals.
    rate: u64,
    /// Devices paired while the node dies.
    newcomers: u64,
}

/// From the environment, or as given.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn ten_kills_of_each_lose_nothing_and_double_nothing() {
    let plan =
        Plan { seed: setting("ACESO_CRASH_SEED", 11), kills: 10, life_max: Duration::from_millis(600) };
    Campaign { plan, beds: 2, speed: 10, rate: 100, newcomers: 1 }.run();
}

#[test]
fn a_whole_campaign_loses_nothing_and_doubles_nothing() {
    let kills = setting("ACESO_CRASH_KILLS", 0);
    if kills == 0 {
        println!("the whole campaign runs with `make crash`");
        return;
    }
    let plan = Plan { seed: setting("ACESO_CRASH_SEED", 1), kills, life_max: Duration::from_millis(1_500) };
    Campaign { plan, beds: 6, speed: 20, rate: 200, newcomers: 6 }.run();
}

impl Campaign {
    fn run(&self) {
        let folder = Folder::new();
        println!("seed {}: {} kills of node and of gateway", self.plan.seed, self.plan.kills);
        let began = roles::now();
        let beds = self.beds.to_string();
        let founded = ward(&folder, &["--patients", &beds, "--duration", "1s"]);
        let data = folder.path("data");
        let memory: Value = serde_json::from_slice(&std::fs::read(data.join("ward.json")).unwrap()).unwrap();
        assert_eq!(memory["paired"], true, "{}", said(&founded, &folder));
        let client = OperatorClient::of(&data);

        let roles = self.start(&folder);
        let ready = roles.node.ready().unwrap();
        let address = ready["mqtt"].as_str().unwrap().to_owned();
        let first = Witness::pair(&client, self.plan.seed, 4).unwrap();
        let over = AtomicBool::new(false);
        let (together, seen) = std::thread::scope(|scope| {
            let mut witnesses = vec![scope.spawn(|| first.run(&address, self.rate, &over))];
            let killing =
                scope.spawn(|| roles.kill_by(self.plan, &|node, gateway| self.progress(node, gateway)));
            for n in 1..=self.newcomers {
                let witness = Witness::pair(&client, self.plan.seed + (n << 32), 1);
                let witness =
                    witness.unwrap_or_else(|why| panic!("pairing under fire: {why}\n{}", logs(&folder)));
                witnesses.push(scope.spawn(|| witness.run(&address, 5, &over)));
            }
            let together = killing.join().unwrap();
            over.store(true, Ordering::Release);
            let seen: Vec<Seen> = witnesses.into_iter().map(|witness| witness.join().unwrap()).collect();
            (together, seen)
        });
        println!("  killing ended after {:.0} s", began.elapsed().as_secs_f64());
        let verdict = self.end(&folder, &client, &roles, &ready, &seen);
        println!("  all brought home, stopped and read back after {:.0} s", began.elapsed().as_secs_f64());
        self.print(&roles, &together, &seen, &verdict);
        let logs = if verdict.problems.is_empty() { String::new() } else { logs(&folder) };
        assert!(verdict.problems.is_empty(), "{:#?}\n{logs}", verdict.problems);
    }

    fn start(&self, folder: &Folder) -> Roles {
        let (beds, speed, seed) = (self.beds.to_string(), self.speed.to_string(), self.plan.seed.to_string());
        let (boards, node, gateway) =
            (folder.text("data/boards"), folder.text("data/node.toml"), folder.text("data/gateway.toml"));
        // An alarm is under way whenever something dies.
        let script = "at 1 s: tachycardia for 60 s; at 90 s: tachycardia for 600 s";
        let log = |name: &str| folder.path(&format!("data/logs/{name}.log"));
        let boards = [
            "simulate", "--dir", &boards, "--boards", &beds, "--seed", &seed, "--speed", &speed, "--script",
            script,
        ];
        let boards = Role::keep_up("boards", &boards, log("boards"));
        boards.ready().unwrap();
        Roles {
            boards,
            node: Role::keep_up("node", &["node", "--config", &node], log("node")),
            gateway: Role::keep_up("gateway", &["gateway", "--config", &gateway, "--drain"], log("gateway")),
        }
    }

    fn progress(&self, node: u64, gateway: u64) {
        if node.is_multiple_of((self.plan.kills / 10).max(5)) {
            println!("  killed: node {node}, gateway {gateway}");
        }
    }

    /// Brings everything home, stops it in order, and judges.
    fn end(
        &self,
        folder: &Folder,
        client: &OperatorClient,
        roles: &Roles,
        ready: &Value,
        seen: &[Seen],
    ) -> Verdict {
        let mut problems = roles.faults();
        let mut collect = |outcome: Result<Value, String>| {
            outcome.unwrap_or_else(|why| {
                problems.push(why);
                Value::Null
            })
        };
        collect(roles.boards.stop(Duration::from_secs(20)));
        let gateway = collect(roles.gateway.stop(Duration::from_secs(60)));
        let node = collect(client.ask(&json!({ "do": "report" })));
        collect(client.act(json!({ "do": "bundle", "file": folder.text("bundle") })));
        collect(roles.node.stop(Duration::from_secs(20)));
        let genesis = ready["genesis"].as_str().unwrap();
        let proven = aceso(&["verify", &folder.text("bundle"), "--genesis", genesis]);
        if proven.status.code() != Some(0) {
            problems.push(format!("the bundle does not verify: {}", String::from_utf8_lossy(&proven.stderr)));
        }
        judge::judge(&folder.path("data"), genesis, &gateway, &node, seen, problems)
    }

    fn print(&self, roles: &Roles, together: &Together, seen: &[Seen], verdict: &Verdict) {
        println!(
            "\n{:<10} {:>6} {:>14} {:>7}   start-up ms, p50 / p99 / max",
            "role", "kills", "before READY", "starts"
        );
        for (name, role) in [("node", &roles.node), ("gateway", &roles.gateway), ("boards", &roles.boards)] {
            let suffered = role.suffered();
            let mut ms = suffered.start_up_ms;
            ms.sort_by(f64::total_cmp);
            let at = |percent: usize| ms.get((ms.len() * percent).div_ceil(100).saturating_sub(1)).copied();
            println!(
                "{name:<10} {:>6} {:>14} {:>7}   {:.0} / {:.0} / {:.0}",
                suffered.kills,
                suffered.kills_before_ready,
                suffered.starts,
                at(50).unwrap_or_default(),
                at(99).unwrap_or_default(),
                at(100).unwrap_or_default()
            );
        }
        println!(
            "together: node and gateway {} times, everything {} times; {} devices paired under fire",
            together.both.load(Ordering::Relaxed),
            together.all.load(Ordering::Relaxed),
            self.newcomers
        );
        let held = || seen.iter().flat_map(|seen| &seen.held);
        let of = |what: fn(&Seen) -> u64| seen.iter().map(what).sum::<u64>();
        let witnessed = held().count() as u64;
        let acknowledged = held().filter(|held| held.acknowledged > 0).count() as u64;
        let acknowledgements = held().map(|held| held.acknowledged).sum::<u64>();
        println!("\n{:<46} {:>10} {:>10}", "envelopes", "witnesses", "gateway");
        let row = |what: &str, witness: u64, gateway: Option<u64>| {
            println!("{what:<46} {witness:>10} {:>10}", gateway.map_or("–".to_owned(), |n| n.to_string()));
        };
        row("sealed", witnessed, Some(verdict.gateway_sealed));
        row("acknowledged", acknowledged, None);
        row("replayed and acknowledged again", acknowledgements - acknowledged, None);
        row("stored", verdict.witness_stored, Some(verdict.gateway_stored));
        row("proven", held().filter(|held| held.proven).count() as u64, Some(verdict.gateway_proven));
        row("lost", verdict.lost, Some(verdict.gateway_sealed.saturating_sub(verdict.gateway_stored)));
        row("doubled", verdict.doubled, Some(verdict.gateway_stored.saturating_sub(verdict.gateway_sealed)));
        println!(
            "sequence gaps {}, refused {}, kept as evidence {}",
            verdict.gaps, verdict.refused, verdict.evidence
        );
        println!(
            "receipts checked {}, proofs checked {}, failed {}; connections {}",
            of(|seen| seen.receipts),
            of(|seen| seen.proofs),
            seen.iter().map(|seen| seen.problems.len()).sum::<usize>(),
            of(|seen| seen.connections)
        );
        println!(
            "signed heads kept {}, all of them heads of the final log of {} leaves: {}",
            verdict.heads,
            verdict.log_size,
            if verdict.heads_wrong == 0 { "yes" } else { "NO" }
        );
    }
}

fn logs(folder: &Folder) -> String {
    let mut text = String::new();
    for name in ["boards", "node", "gateway"] {
        let log = std::fs::read_to_string(folder.path(&format!("data/logs/{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        text.push_str(&format!(
            "--- {name}, last lines ---\n{}\n",
            lines[lines.len().saturating_sub(40)..].join("\n")
        ));
    }
    text
}
