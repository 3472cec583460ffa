//! What a process says on its standard streams. A reader that has gone (`… | head -1`, a log collector that was
//! stopped) is no fault of the process: `println!` and `eprintln!` would panic, in whatever thread they are called.
//! Here what nobody reads is dropped, and the process goes on.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output at once.
///
/// # Errors
/// Standard output takes nothing for another reason than that nobody reads it: a full disk, say.
pub fn print(text: impl Display) -> io::Result<()> {
    write(&mut io::stdout().lock(), text.to_string().as_bytes())
}

/// Writes a line to standard output at once.
///
/// # Errors
/// As [`print()`].
pub fn print_line(line: impl Display) -> io::Result<()> {
    print(format_args!("{line}\n"))
}

/// Writes a line to standard error. If that fails, there is nowhere left to say so.
pub fn complain(line: impl Display) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        drop(reader);
        write(&mut writer, b"a line").expect("nobody reads it");
        let mut full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let why = write(&mut full, b"a line").expect_err("the disk is full");
        assert_eq!(why.kind(), io::ErrorKind::StorageFull);
    }
}
