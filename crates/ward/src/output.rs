//! What a ward says to the person who started it.

/// Prints one line on standard output. A ward goes on when nobody reads it, or the disk behind it is full.
pub(crate) fn say(sentence: &str) {
    let _ = host::output::print_line(sentence);
}
