//! Envelopes that the node refused for good, each in a file of its own, out of the journal. One that may
//! have come too early is offered again; one that shows a second writer closes its stream.

use durable::Disk;
use link::Rejection;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitals::StreamId;
use vitals::envelope::Envelope;
use vitals::ids::sha256;

/// The folder's name in the data folder: what gateways have called it since their first version.
pub(crate) const FOLDER: &str = "aside";
/// Most envelopes in quarantine; what is refused beyond that stays in the journal.
pub(crate) const QUARANTINED_MAX: usize = 20_000;
/// With so many of one stream nothing more is sealed into it: an hour of one each second.
pub(crate) const QUARANTINED_PER_STREAM_MAX: usize = 3_600;

/// How a refusal stands in a file's name. These are MQTT's codes, whatever transport brought them.
fn code_of(why: Rejection) -> u8 {
    match why {
        Rejection::Conflict => 0x83,
        Rejection::NotAuthorized => 0x87,
        Rejection::Busy => 0x97,
        Rejection::PayloadInvalid => 0x99,
        Rejection::Other(code) => code,
    }
}

fn rejection_of(code: u8) -> Rejection {
    match code {
        0x83 => Rejection::Conflict,
        0x87 => Rejection::NotAuthorized,
        0x97 => Rejection::Busy,
        0x99 => Rejection::PayloadInvalid,
        code => Rejection::Other(code),
    }
}

/// One envelope in quarantine.
#[derive(Debug, Clone)]
pub(crate) struct Quarantined {
    pub(crate) path: PathBuf,
    pub(crate) why: Rejection,
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
}

impl Quarantined {
    /// May the node accept it later? The bytes of others are wrong for good.
    pub(crate) fn may_be_offered(&self) -> bool {
        matches!(self.why, Rejection::Conflict | Rejection::NotAuthorized)
    }
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Quarantine {
    /// Opens the folder and reads what is in it, by stream and number. A file that holds no envelope is
    /// logged and left alone.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<(Self, Vec<(Quarantined, Envelope)>)> {
        let folder = Self { disk, dir: dir.to_owned() };
        let mut found = BTreeMap::new();
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((folder, Vec::new())),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(code) = name.strip_suffix(".envelope").and_then(|name| name.rsplit_once('-')) else {
                continue;
            };
            let (Ok(code), Ok(envelope)) =
                (u8::from_str_radix(code.1, 16), Envelope::decode(&std::fs::read(&path)?))
            else {
                tracing::error!(path = %path.display(), "{} is no envelope any more; it is left alone", path.display());
                continue;
            };
            let (stream, seq) = (envelope.header.stream, envelope.header.seq);
            let why = rejection_of(code);
            found.insert((stream, seq, envelope.hash()), (Quarantined { path, why, stream, seq }, envelope));
        }
        Ok((folder, found.into_values().collect()))
    }

    /// Stores a refused envelope, durable when this returns. It is sealed, like everything else on
    /// this disk.
    pub(crate) fn keep(&self, why: Rejection, bytes: &[u8], envelope: &Envelope) -> io::Result<Quarantined> {
        let name = format!("{}-{:02x}.envelope", hex::encode(&sha256(&[bytes])[..8]), code_of(why));
        let path = self.dir.join(name);
        self.disk.make_folder(&self.dir)?;
        durable::write(&*self.disk, &path, bytes)?;
        Ok(Quarantined { path, why, stream: envelope.header.stream, seq: envelope.header.seq })
    }
}
