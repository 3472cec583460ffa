//! What a ward says to the person who started it.

/// Prints one line on standard output.
#[allow(clippy::print_stdout, reason = "a ward tells its user how it comes up")]
pub(crate) fn say(sentence: &str) {
    println!("{sentence}");
}
