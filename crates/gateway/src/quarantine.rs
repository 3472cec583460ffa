//! Envelopes the node refused for good, in files of their own: the journal is let go of them, they are
//! not. What may only have come too early is offered again; what showed that another hand writes the
//! same stream closes that stream.

use durable::{Disk, Os};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use vitals::StreamId;
use vitals::envelope::Envelope;
use vitals::ids::sha256;

/// Most envelopes set aside; what is refused beyond that stays in the journal.
pub(crate) const ASIDE_MAX: usize = 20_000;
/// With so many of one stream set aside nothing more is sealed into it: an hour of one each second.
pub(crate) const ASIDE_PER_STREAM_MAX: usize = 3_600;
/// The node holds another envelope for the number, or refuses the stream for good.
pub(crate) const CODE_CONFLICT: u8 = 0x83;
/// The node does not know the author, or not any more.
pub(crate) const CODE_NOT_AUTHORIZED: u8 = 0x87;

/// One envelope set aside.
#[derive(Debug, Clone)]
pub(crate) struct Quarantined {
    pub(crate) path: PathBuf,
    /// The refusal's reason code.
    pub(crate) code: u8,
    pub(crate) stream: StreamId,
    pub(crate) seq: u64,
}

impl Quarantined {
    /// May it be welcome later? The bytes of others are wrong for good.
    pub(crate) fn may_be_offered(&self) -> bool {
        matches!(self.code, CODE_CONFLICT | CODE_NOT_AUTHORIZED)
    }
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// What is set aside, by stream and number. A file that holds no envelope is named and left alone.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Vec<(Quarantined, Envelope)>)> {
        let folder = Self { dir: dir.to_owned() };
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
            found.insert((stream, seq, envelope.hash()), (Quarantined { path, code, stream, seq }, envelope));
        }
        Ok((folder, found.into_values().collect()))
    }

    /// Stores a refused envelope, durable when this returns. It is sealed, like everything else on
    /// this disk.
    pub(crate) fn keep(&self, code: u8, bytes: &[u8], envelope: &Envelope) -> io::Result<Quarantined> {
        let name = format!("{}-{code:02x}.envelope", hex::encode(&sha256(&[bytes])[..8]));
        let path = self.dir.join(name);
        Os.make_folder(&self.dir)?;
        durable::write(&Os, &path, bytes)?;
        Ok(Quarantined { path, code, stream: envelope.header.stream, seq: envelope.header.seq })
    }
}
