//! Fields of forms and queries. Read strictly: the site's own pages send nothing unusual, and guessing at a field
//! could change what nobody meant to change.

use std::collections::BTreeMap;

/// Most fields of a form or an address.
pub const FIELDS_MAX: usize = 32;
/// Longest name of a field that an error message repeats.
const NAME_BYTES_MAX: usize = 32;

/// Fields by name.
pub type Fields = BTreeMap<String, String>;

/// What is wrong with fields, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("A field is not encoded as pages encode it.")]
    Coding,
    /// A control character.
    #[error("The field {0} holds a control character.")]
    Control(String),
    /// Sent more than once.
    #[error("The field {0} was sent more than once.")]
    Twice(String),
    /// Not a field of this form.
    #[error("The field {0} does not belong to this form.")]
    Unknown(String),
    /// A field is not there.
    #[error("The field {0} is missing.")]
    Missing(&'static str),
    /// More fields than any form has.
    #[error("There are more fields than any of our forms has.")]
    TooMany,
}

/// A field's name, if it is safe and short enough to be repeated.
fn shortened(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let short = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    if short && name.chars().all(plain) { format!("“{name}”") } else { "with an odd name".into() }
}

fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(out).ok()
}

/// Reads `a=1&b=2`.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &[u8]) -> Result<Fields, FieldError> {
    let mut fields = Fields::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
        let (name, value) =
            (decode(name).ok_or(FieldError::Coding)?, decode(value).ok_or(FieldError::Coding)?);
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err(FieldError::Control(shortened(&name)));
        }
        if fields.len() == FIELDS_MAX {
            return Err(FieldError::TooMany);
        }
        if fields.contains_key(&name) {
            return Err(FieldError::Twice(shortened(&name)));
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

/// Only these fields, and all of them but those with a question mark.
pub(crate) fn fit(fields: &Fields, form: &[&'static str]) -> Result<(), FieldError> {
    let named = |field: &str| form.iter().any(|known| known.trim_end_matches('?') == field);
    if let Some(name) = fields.keys().find(|name| !named(name)) {
        return Err(FieldError::Unknown(shortened(name)));
    }
    match form.iter().find(|name| !name.ends_with('?') && !fields.contains_key(**name)) {
        Some(name) => Err(FieldError::Missing(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = read("login=lee&next=%2Fwall%3Fa%3D1&name=M%C3%BCller+A&empty=&bare".as_bytes());
        let wanted =
            [("login", "lee"), ("next", "/wall?a=1"), ("name", "Müller A"), ("empty", ""), ("bare", "")];
        let wanted = wanted.map(|(name, value)| (name.to_string(), value.to_string())).into();
        assert_eq!(fields, Ok(wanted));
        assert_eq!(read(b""), Ok(Fields::new()));
    }

    #[test]
    fn a_field_that_no_page_sends_is_named() {
        for (text, why) in [
            (&b"a=%"[..], FieldError::Coding),
            (b"a=%4", FieldError::Coding),
            (b"a=%zz", FieldError::Coding),
            (b"a=%+1", FieldError::Coding),
            (b"a=\xff", FieldError::Coding),
            (b"a=%ff%fe", FieldError::Coding),
            (b"%c0%80=1", FieldError::Coding),
            (b"a=%00", FieldError::Control("“a”".into())),
            (b"a=1%0d%0aSet-Cookie:x", FieldError::Control("“a”".into())),
            (b"a=1&a=1", FieldError::Twice("“a”".into())),
            (b"a=1&%61=2", FieldError::Twice("“a”".into())),
            (b"%3Cb%3E=1&%3Cb%3E=2", FieldError::Twice("with an odd name".into())),
        ] {
            assert_eq!(read(text), Err(why), "{}", String::from_utf8_lossy(text));
        }
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("f{n}=")).collect();
        assert_eq!(read(many.join("&").as_bytes()), Err(FieldError::TooMany));
    }

    #[test]
    fn a_form_has_its_fields_and_no_other() {
        let fields = |text: &str| read(text.as_bytes()).expect("well written");
        assert_eq!(fit(&fields("a=1&b=2"), &["a", "b?"]), Ok(()));
        assert_eq!(fit(&fields("a=1"), &["a", "b?"]), Ok(()));
        assert_eq!(fit(&fields("b=1"), &["a", "b?"]), Err(FieldError::Missing("a")));
        assert_eq!(fit(&fields("a=1&c=2"), &["a", "b?"]), Err(FieldError::Unknown("“c”".into())));
    }
}
