//! Where everything of a ward lies. A ward of one organisation has its folders at the top; of several,
//! each organisation has a folder of its own, as if it were another machine.

use crate::clock;
use anyhow::{Context, Result};
use durable::FolderLock;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder that goes when the run ends.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    pub(super) fn new() -> Result<Self> {
        let name = format!("aceso-ward-{}", hex::encode(clock::random::<6>()));
        let folder = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The ward's folder.
pub(super) struct Places {
    pub(super) data: PathBuf,
    _lock: FolderLock,
}

impl Places {
    /// Makes and locks it.
    pub(super) fn open(data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data)
            .with_context(|| format!("making the data folder {}", data.display()))?;
        let data = data.canonicalize()?;
        for folder in ["boards", "logs"] {
            std::fs::create_dir_all(data.join(folder))?;
        }
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700))?;
        let lock = lock(&data)?;
        Ok(Self { data, _lock: lock })
    }

    /// How many organisations an earlier start founded here; 0 if none did.
    pub(super) fn houses_founded(&self) -> usize {
        if self.data.join("node").exists() {
            return 1;
        }
        (1..).take_while(|number| self.data.join(folder_of(*number)).exists()).count()
    }

    /// The organisations' places.
    pub(super) fn houses(&self, count: usize) -> Result<Vec<House>> {
        let house = |number: usize| {
            let alone = count == 1;
            let root = if alone { self.data.clone() } else { self.data.join(folder_of(number)) };
            House { number, alone, root, logs: self.data.join("logs") }
        };
        let houses: Vec<House> = (1..=count).map(house).collect();
        houses.iter().try_for_each(House::make)?;
        Ok(houses)
    }

    pub(super) fn boards(&self) -> PathBuf {
        self.data.join("boards")
    }

    pub(super) fn genesis(&self) -> PathBuf {
        self.data.join("genesis")
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }
}

fn folder_of(number: usize) -> String {
    format!("hospital-{number}")
}

/// One organisation's places.
#[derive(Debug, Clone)]
pub(super) struct House {
    /// From 1.
    pub(super) number: usize,
    alone: bool,
    root: PathBuf,
    logs: PathBuf,
}

impl House {
    fn make(&self) -> Result<()> {
        for folder in [self.node(), self.gateway()] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// Forgets a start that did not get through: nothing was recorded yet.
    pub(super) fn forget(&self) -> Result<()> {
        for folder in [self.node(), self.gateway()] {
            std::fs::remove_dir_all(folder)?;
        }
        self.make()
    }

    pub(super) fn name(&self) -> String {
        if self.alone { "Demo Hospital".to_owned() } else { format!("Hospital {}", self.number) }
    }

    /// Where a sentence is about, when there are several.
    pub(super) fn at(&self) -> String {
        if self.alone { String::new() } else { format!(" at {}", self.name()) }
    }

    /// What a process of this organisation is called, in sentences and log files.
    pub(super) fn role(&self, role: &str) -> String {
        if self.alone { role.to_owned() } else { format!("{role}-{}", self.number) }
    }

    pub(super) fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    pub(super) fn gateway(&self) -> PathBuf {
        self.root.join("gateway")
    }

    pub(super) fn log(&self, role: &str) -> PathBuf {
        self.logs.join(format!("{}.log", self.role(role)))
    }

    pub(super) fn memory(&self) -> PathBuf {
        self.root.join("ward.json")
    }

    pub(super) fn passphrase(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    pub(super) fn card(&self) -> PathBuf {
        self.root.join("card.toml")
    }

    pub(super) fn node_config(&self) -> PathBuf {
        self.root.join("node.toml")
    }

    pub(super) fn gateway_config(&self) -> PathBuf {
        self.root.join("gateway.toml")
    }

    pub(super) fn rpc_token(&self) -> PathBuf {
        self.node().join("rpc.token")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.node().join("control.sock")
    }
}

fn lock(data: &Path) -> Result<FolderLock> {
    FolderLock::take_as(data, "ward.lock").map_err(|why| match why.kind() {
        ErrorKind::WouldBlock => anyhow::anyhow!("another ward is running in {}", data.display()),
        _ => why.into(),
    })
}

/// Writes a file under another name first: a crash leaves the old file or the new one.
pub(super) fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::replace(&durable::Os, path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
