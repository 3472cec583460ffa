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
    // It logs that it serves before it says READY.
    let node = Role::keep_up("node", &["node", "--config", &folder.node_config()], PathBuf::from(FULL));
    node.ready().unwrap();
    node.stop(Duration::from_secs(20)).unwrap();
}
