//! What a ward says to the person who started it.

use std::io::Write as _;

/// Prints one line on standard output. Where that cannot be written (a full disk) the ward goes on.
pub(crate) fn say(sentence: &str) {
    let _ = writeln!(std::io::stdout(), "{sentence}");
}
