//! What a node says goes where its supervisor puts it, often onto the disk that is full.

use crate::crash::roles::Role;
use crate::support::Folder;
use std::path::PathBuf;
use std::time::Duration;

/// Takes no byte: every write fails as on a full disk.
const FULL: &str = "/dev/full";

#[test]
fn a_node_whose_log_cannot_be_written_serves_and_stops_in_order() {
    let folder = Folder::new();
    std::fs::write(folder.path("passphrase"), "correct horse\n").unwrap();
    let (data, passphrase) = (folder.text("node"), folder.text("passphrase"));
    let config = format!("data_dir = {data:?}\npassphrase_file = {passphrase:?}\nname = \"North\"\n");
    std::fs::write(folder.path("node.toml"), config).unwrap();
    // It logs that it serves before it says READY.
    let node = Role::keep_up("node", &["node", "--config", &folder.text("node.toml")], PathBuf::from(FULL));
    node.ready().unwrap();
    node.stop(Duration::from_secs(20)).unwrap();
}
