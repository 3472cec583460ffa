//! Founding a ledger by several organisations, and what goes wrong at it.

use crate::support::{Folder, aceso};
use std::process::Output;

/// An organisation's configuration; its ports are nobody's, since none of these nodes gets so far.
fn config(folder: &Folder, name: &str, ledger: &str) -> String {
    let data = folder.path(name);
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("passphrase"), "correct horse\n").unwrap();
    let text = format!(
        "data_dir = {:?}\npassphrase_file = {:?}\nname = {name:?}\n[ledger]\n{ledger}\n",
        data.join("node"),
        data.join("passphrase")
    );
    let path = data.join("node.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn card(folder: &Folder, name: &str, port: u16) -> String {
    let config = config(folder, name, &format!("listen = \"127.0.0.1:{port}\""));
    let card = folder.text(&format!("{name}.card"));
    let made = aceso(&["found", "card", "--config", &config, "--out", &card]);
    assert!(made.status.success(), "{}", why(&made));
    card
}

fn why(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The last words of a node that must not start.
fn refused(config: &str) -> String {
    let output = aceso(&["node", "--config", config]);
    assert_eq!(output.status.code(), Some(1), "{}", why(&output));
    why(&output)
}

#[test]
fn a_founding_that_cannot_be_is_refused_before_anything_is_signed() {
    let folder = Folder::new();
    let (north, south) = (card(&folder, "north", 1), card(&folder, "south", 2));
    let again = folder.text("north-again.card");
    let north_config = folder.text("north/node.toml");
    assert!(aceso(&["found", "card", "--config", &north_config, "--out", &again]).status.success());
    assert_eq!(std::fs::read(&north).unwrap(), std::fs::read(&again).unwrap(), "a card is made once");

    let genesis = folder.text("genesis");
    let found = |out: &str, cards: &[&str]| {
        let mut arguments = vec!["found", "genesis", "--name", "Valley", "--out", out];
        arguments.extend(cards);
        aceso(&arguments)
    };
    assert!(why(&found(&genesis, &[&north, &again])).contains("every organisation makes its own"));
    assert!(found(&genesis, &[&north, &south]).status.success());
    assert!(why(&found(&genesis, &[&north, &south])).contains("a ledger is founded once"));
    let elsewhere = folder.text("elsewhere");
    assert!(found(&elsewhere, &[&north]).status.success());

    // An organisation that is no founder; then no document at all.
    let listen = "listen = \"127.0.0.1:2\"\n";
    let south_config = config(&folder, "south", &format!("{listen}genesis = {elsewhere:?}"));
    assert!(refused(&south_config).contains("is not among the founders"));
    let peers = format!("peers = [{{ key = \"{}\", address = \"127.0.0.1:1\" }}]", "8a".repeat(32));
    let south_config = config(&folder, "south", &format!("{listen}{peers}"));
    assert!(refused(&south_config).contains("founded with `aceso found`"));
    std::fs::write(folder.path("rubbish"), b"rubbish").unwrap();
    let rubbish = folder.text("rubbish");
    let south_config = config(&folder, "south", &format!("{listen}genesis = {rubbish:?}"));
    assert!(refused(&south_config).contains("is not a genesis document"));

    // A key that was made anew after the card.
    std::fs::remove_dir_all(folder.path("south/node/ledger")).unwrap();
    let south_config = config(&folder, "south", &format!("{listen}genesis = {genesis:?}"));
    assert!(refused(&south_config).contains("from an older card"));

    // Who joins is bound to that ledger, and to no other afterwards.
    let east = config(&folder, "east", &format!("listen = \"127.0.0.1:3\"\n{peers}\ngenesis = {genesis:?}"));
    let joined = aceso(&["join", "--config", &east]);
    assert!(joined.status.success(), "{}", why(&joined));
    assert!(String::from_utf8_lossy(&joined.stdout).contains("aceso validator propose --add"));
    assert!(why(&aceso(&["join", "--config", &east])).contains("belongs to a ledger already"));
    let other =
        config(&folder, "east", &format!("listen = \"127.0.0.1:3\"\n{peers}\ngenesis = {elsewhere:?}"));
    assert!(refused(&other).contains("this data folder belongs to"));

    // A key that lost its journals is gone with them; a new one follows, under another name.
    std::fs::remove_dir_all(folder.path("east/node/ledger/consensus")).unwrap();
    let east = config(&folder, "east", &format!("listen = \"127.0.0.1:3\"\n{peers}"));
    assert!(refused(&east).contains("aceso validator renew"));
    let renewed = aceso(&["validator", "renew", "--config", &east]);
    assert!(renewed.status.success(), "{}", why(&renewed));
    let key = |said: &Output, before: &str| {
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        text.split(before).nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_ne!(key(&renewed, "--add "), key(&joined, "--add "));
}

#[test]
fn a_max_faulty_beyond_the_committee_size_does_not_start() {
    let folder = Folder::new();
    let alone = config(&folder, "alone", "max_faulty = 1");
    assert!(refused(&alone).contains("3f+1"));
    let alone = config(&folder, "alone", "");
    let renew = aceso(&["validator", "renew", "--config", &alone]);
    assert!(why(&renew).contains("the only validator of a ledger cannot start anew"));
}

#[test]
fn a_ledger_begins_with_a_snapshot_only_where_one_was_joined_and_only_with_one_of_its_own() {
    let folder = Folder::new();
    let (north, south) = (card(&folder, "north", 1), card(&folder, "south", 2));
    let genesis = folder.text("genesis");
    assert!(
        aceso(&["found", "genesis", "--name", "Valley", "--out", &genesis, &north, &south]).status.success()
    );
    let peers = format!("peers = [{{ key = \"{}\", address = \"127.0.0.1:1\" }}]", "8a".repeat(32));
    let east = config(&folder, "east", &format!("listen = \"127.0.0.1:3\"\n{peers}\ngenesis = {genesis:?}"));
    let rubbish = folder.text("rubbish");
    std::fs::write(&rubbish, [7; 100]).unwrap();
    let begin = || why(&aceso(&["snapshot", "import", &rubbish, "--config", &east]));
    assert!(begin().contains("`aceso join` first"), "{}", begin());
    assert!(aceso(&["join", "--config", &east]).status.success());
    assert!(begin().contains("this is not a snapshot"), "{}", begin());
    let other = [b"aceso/snapshot/1".as_slice(), &[9; 32]].concat();
    std::fs::write(&rubbish, &other).unwrap();
    assert!(begin().contains("the snapshot is of ledger 0909"), "{}", begin());
    std::fs::write(&rubbish, &other[..20]).unwrap();
    assert!(begin().contains("is not complete"), "{}", begin());
    assert!(!folder.path("east/node/ledger/state.redb").exists());
    let checkpoint =
        why(&aceso(&["snapshot", "import", &rubbish, "--config", &east, "--checkpoint", &rubbish]));
    assert!(checkpoint.contains("rubbish"), "{checkpoint}");
}
