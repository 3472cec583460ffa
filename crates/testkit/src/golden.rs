//! Golden files: bytes on the wire are promises. A changed golden file is a new version of the wire
//! format, never a quiet edit.

use std::{env, fs, path::PathBuf};

/// Compares bytes with `testdata/golden/<name>.hex`; writes the file instead when the environment
/// says `ACESO_GOLDEN=write`.
#[macro_export]
macro_rules! golden {
    ($name:expr, $bytes:expr) => {
        $crate::golden::compare($name, $bytes.as_ref())
    };
}

/// Where the golden file of this name stands.
pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../testdata/golden", &format!("{name}.hex")].iter().collect()
}

/// Compares bytes with `testdata/golden/<name>.hex`; writes the file instead when the environment
/// says `ACESO_GOLDEN=write`.
pub fn compare(name: &str, bytes: &[u8]) {
    let path = path(name);
    if env::var_os("ACESO_GOLDEN").is_some_and(|value| value == "write") {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<&str> =
            digits.as_bytes().chunks(96).map(|line| std::str::from_utf8(line).unwrap()).collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    assert!(
        read(name) == bytes,
        "{name} is not the golden file any more: a changed wire format is a new version"
    );
}

/// What a golden file holds.
pub fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
