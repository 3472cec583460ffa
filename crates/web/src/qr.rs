//! A QR code as one path of an SVG picture: black on white in dark colours as well, for cameras.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// Light modules around the code (ISO/IEC 18004).
const QUIET: i32 = 4;

/// A QR code to be drawn.
pub(crate) struct Qr {
    /// Modules along a side, with the quiet zone.
    pub(crate) side: i32,
    /// The dark modules, a row of them in one stroke.
    pub(crate) path: String,
}

impl Qr {
    /// The code of a text; none if it is too long for one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
        let mut path = String::new();
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
                if run != 0 {
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
                }
                x += i32::try_from(run).unwrap_or(0) + 1;
            }
        }
        Some(Self { side: code.size() + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_covers_the_dark_modules_and_no_other() {
        let text = "otpauth://totp/Test%20Hospital:lee?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let (code, qr) = (QrCode::encode_text(text, QrCodeEcc::Medium).unwrap(), Qr::of(text).unwrap());
        let mut drawn = vec![vec![false; qr.side as usize]; qr.side as usize];
        for run in qr.path.split('M').skip(1) {
            let numbers: Vec<usize> = run
                .split(|c: char| !c.is_ascii_digit())
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().unwrap())
                .collect();
            let [x, y, run, 1, back] = numbers[..] else { panic!("{run}") };
            assert_eq!(run, back);
            drawn[y][x..x + run].iter_mut().for_each(|module| *module = true);
        }
        for y in 0..qr.side {
            for x in 0..qr.side {
                assert_eq!(drawn[y as usize][x as usize], code.get_module(x - QUIET, y - QUIET), "{x} {y}");
            }
        }
        assert!(Qr::of(&"x".repeat(5000)).is_none(), "longer than a code can be");
    }
}
