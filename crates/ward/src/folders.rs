//! Where everything of a ward lies. A ward of one organisation has its folders at the top; of several,
//! each organisation has a folder of its own, as if it were another machine.

use anyhow::{Context, Result};
use durable::FolderLock;
use host::clock;
use operator::Client;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder that goes when the run ends.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    pub(crate) fn new() -> Result<Self> {
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
pub(crate) struct WardFolder {
    pub(crate) data: PathBuf,
    _lock: FolderLock,
}

impl WardFolder {
    /// Makes and locks it.
    pub(crate) fn open(data: &Path) -> Result<Self> {
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

    /// The sockets that a ward of so many organisations opens in this data folder, which need not be there yet.
    pub(crate) fn sockets(data: &Path, nodes: usize) -> Result<Vec<PathBuf>> {
        let data = if data.exists() { data.canonicalize()? } else { std::path::absolute(data)? };
        let node =
            |number| if nodes == 1 { data.join("node") } else { data.join(folder_of(number)).join("node") };
        let folders = (1..=nodes).map(node).chain([data.join("boards")]);
        Ok(folders.map(|folder| folder.join(operator::SOCKET)).collect())
    }

    /// How many organisations an earlier start founded here; 0 if none did.
    pub(crate) fn hospitals_founded(&self) -> usize {
        if self.data.join("node").exists() {
            return 1;
        }
        (1..).take_while(|number| self.data.join(folder_of(*number)).exists()).count()
    }

    /// The organisations' folders.
    pub(crate) fn folders(&self, count: usize) -> Result<Vec<HospitalFolder>> {
        let folder = |number: usize| {
            let alone = count == 1;
            let root = if alone { self.data.clone() } else { self.data.join(folder_of(number)) };
            HospitalFolder { number, alone, root, logs: self.data.join("logs") }
        };
        let folders: Vec<HospitalFolder> = (1..=count).map(folder).collect();
        folders.iter().try_for_each(HospitalFolder::make)?;
        Ok(folders)
    }

    pub(crate) fn boards(&self) -> PathBuf {
        self.data.join("boards")
    }

    /// Authority and certificate of the pages.
    pub(crate) fn https(&self) -> PathBuf {
        self.data.join("https")
    }

    pub(crate) fn genesis(&self) -> PathBuf {
        self.data.join("genesis")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }
}

fn folder_of(number: usize) -> String {
    format!("hospital-{number}")
}

/// One organisation's folders.
#[derive(Debug, Clone)]
pub(crate) struct HospitalFolder {
    /// From 1.
    pub(crate) number: usize,
    alone: bool,
    root: PathBuf,
    logs: PathBuf,
}

impl HospitalFolder {
    fn make(&self) -> Result<()> {
        for folder in [self.node(), self.gateway()] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// Forgets a start that did not get through: nothing was recorded yet.
    pub(crate) fn forget(&self) -> Result<()> {
        for folder in [self.node(), self.gateway()] {
            std::fs::remove_dir_all(folder)?;
        }
        self.make()
    }

    pub(crate) fn name(&self) -> String {
        if self.alone { "Demo Hospital".to_owned() } else { format!("Hospital {}", self.number) }
    }

    /// Where a sentence is about, when there are several.
    pub(crate) fn at(&self) -> String {
        if self.alone { String::new() } else { format!(" at {}", self.name()) }
    }

    /// What a process of this organisation is called, in sentences and log files.
    pub(crate) fn role(&self, role: &str) -> String {
        if self.alone { role.to_owned() } else { format!("{role}-{}", self.number) }
    }

    pub(crate) fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    pub(crate) fn gateway(&self) -> PathBuf {
        self.root.join("gateway")
    }

    pub(crate) fn log(&self, role: &str) -> PathBuf {
        self.logs.join(format!("{}.log", self.role(role)))
    }

    pub(crate) fn remembered(&self) -> PathBuf {
        self.root.join("ward.json")
    }

    pub(crate) fn passphrase(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    pub(crate) fn card(&self) -> PathBuf {
        self.root.join("card.toml")
    }

    pub(crate) fn node_config(&self) -> PathBuf {
        self.root.join("node.toml")
    }

    pub(crate) fn gateway_config(&self) -> PathBuf {
        self.root.join("gateway.toml")
    }

    pub(crate) fn rpc_token(&self) -> PathBuf {
        self.node().join("rpc.token")
    }

    /// Asks the node.
    pub(crate) fn client(&self) -> Client {
        Client::of(&self.node())
    }
}

fn lock(data: &Path) -> Result<FolderLock> {
    FolderLock::take_as(data, "ward.lock").map_err(|why| match why.kind() {
        ErrorKind::WouldBlock => anyhow::anyhow!("another ward is running in {}", data.display()),
        _ => why.into(),
    })
}

/// Writes a file under another name first: a crash leaves the old file or the new one.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::replace(&durable::Os, path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
