//! How the C library's allocator gives memory back. By its own rules a node that uses 14 MB holds 130 MB and grows:
//! after the first large block it keeps everything up to 32 MB, and each of its arenas keeps its own. Its rules are
//! read from the environment before `main`, so a process that was not told starts itself anew, once.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What it is told (`mallopt(3)`): blocks of this size and more are given back at once, free memory at the end of an
/// arena as well, and threads share a few arenas.
const RULES: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "262144"), ("MALLOC_ARENA_MAX", "4")];

/// Starts this program anew under these rules, with the same arguments and process id, unless any of them is set
/// already: an operator's own choice stands. Call it first, before threads and files. If it cannot be started anew it
/// goes on as it is.
pub fn give_back() {
    if RULES.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return;
    }
    let mut arguments = env::args_os();
    let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) else { return };
    // Comes back only if it failed.
    let _failed = Command::new(program).arg0(name).args(arguments).envs(RULES).exec();
}
