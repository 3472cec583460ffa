//! Codes that people type: digits that are not mistaken for one another (Crockford's base 32), in groups.

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code of one digit, five random bits, for each byte; after every `group` digits stands a dash.
pub(super) fn written(random: &[u8], group: usize) -> String {
    let digits: Vec<char> = random.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = digits.chunks(group).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// The digits of a code however it is typed: small letters, dashes and blanks, `O` for `0`, `I` or `L` for `1`.
pub(super) fn digits(typed: &str) -> String {
    let typed = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let digits = typed.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_without_its_dashes() {
        let written = written(&[0, 1, 10, 11, 31, 32, 33, 255], 3);
        assert_eq!(written, "01A-BZ0-1Z");
        assert_eq!(digits(&format!(" {} ", written.to_lowercase())), "01ABZ01Z");
    }
}
