//! Every disk on which files may lie, a row each: what `durable` promises of a disk, and what the record store
//! needs of one, is tried on all of them.

use crate::lossy::Lossy;
use crate::switched::{Switched, Switches};
use durable::{Disk, Os};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk and a folder on it that is there and empty.
pub struct EmptyDisk {
    pub name: &'static str,
    pub disk: Arc<dyn Disk>,
    pub folder: PathBuf,
}

/// All of them; those of the operating system below `folder`.
pub fn disks(folder: &Path) -> Vec<EmptyDisk> {
    let row = |name, disk: Arc<dyn Disk>, folder: PathBuf| {
        disk.make_folder(&folder).unwrap();
        EmptyDisk { name, disk, folder }
    };
    let switched = Switched::new(&folder.join("lock"), Arc::new(Switches::default())).unwrap();
    vec![
        row("operating system", Arc::new(Os), folder.join("os")),
        row("switched", Arc::new(switched), folder.join("switched")),
        row("lossy", Arc::new(Lossy::default()), "/records".into()),
    ]
}
