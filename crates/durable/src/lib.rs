//! Files that survive a power cut: the one place that syncs, renames and locks.
//!
//! | task | item |
//! |---|---|
//! | replace a small file as a whole | [`replace`], [`read`] |
//! | write a new file | [`write_new`], [`write()`] |
//! | append, and know what a failed write left | [`AppendFile`] |
//! | tell a torn tail from damage at the next start | [`Watermark`] |
//! | believe what a file shows when it is opened again | [`write_again`] |
//! | keep a second process out of a folder | [`FolderLock`] |
//! | a store of flat files in one folder | [`Folder`] |
//!
//! Everything goes through the traits [`Disk`] and [`DiskFile`]. In production that is [`Os`]; crash tests
//! use the lossy disk of the crate `testkit`, which forgets, tears and reorders what was not synced.
//!
//! Two rules hold for every caller. Bytes are durable only after the file was synced, and a name that was
//! given, changed or taken away only after its folder was synced. After a failed sync nothing more is
//! appended: a second sync may succeed although pages were lost. Nor does reading the file tell what the
//! disk holds, for the kernel still shows those pages: what is not known to be durable is written again
//! when the file is next opened.

mod append;
mod disk;
mod folder;
mod page_cache;
mod watermark;
mod whole;

pub use append::{AppendError, AppendFile};
pub use disk::{Disk, DiskFile, Os};
pub use folder::{Folder, FolderLock, LOCK_FILE};
pub use page_cache::write_again;
pub use watermark::{Position, Watermark};
pub use whole::{read, read_all, rename, replace, write, write_new};
