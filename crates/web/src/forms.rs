//! What people send: forms, and the questions and places in addresses. Read strictly, for our own pages
//! send nothing odd, and a field that was guessed at could change what nobody meant to change.

use crate::App;
use crate::guard;
use crate::session::Caller;
use crate::shell::{Message, Refusal};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Longest body of a form, bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// A form has this long to arrive.
pub const FORM_WITHIN: Duration = Duration::from_secs(5);
/// Most fields of a form or an address.
pub const FIELDS_MAX: usize = 32;
/// Longest name of a field that is told back.
const NAME_BYTES_MAX: usize = 32;

/// Fields by name.
pub type Fields = BTreeMap<String, String>;

/// What is wrong with fields, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
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

/// A field's name, as far as it is safe and short enough to be told back.
fn told(name: &str) -> String {
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
pub fn read(text: &[u8]) -> Result<Fields, Misread> {
    let mut fields = Fields::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
        let (name, value) = (decode(name).ok_or(Misread::Coding)?, decode(value).ok_or(Misread::Coding)?);
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err(Misread::Control(told(&name)));
        }
        if fields.len() == FIELDS_MAX {
            return Err(Misread::TooMany);
        }
        if fields.contains_key(&name) {
            return Err(Misread::Twice(told(&name)));
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

/// Only these fields, and all of them but those with a question mark.
fn fit(fields: &Fields, form: &[&'static str]) -> Result<(), Misread> {
    let named = |field: &str| form.iter().any(|known| known.trim_end_matches('?') == field);
    if let Some(name) = fields.keys().find(|name| !named(name)) {
        return Err(Misread::Unknown(told(name)));
    }
    match form.iter().find(|name| !name.ends_with('?') && !fields.contains_key(**name)) {
        Some(name) => Err(Misread::Missing(name)),
        None => Ok(()),
    }
}

/// Reads a form after making sure that one of our pages sent it. `form` names its fields; those with a
/// question mark may be left out.
pub(crate) async fn read_form(request: Request, app: &App, form: &[&'static str]) -> Result<Fields, Refusal> {
    let fields = read_any_form(request, app).await?;
    fit(&fields, form).map_err(|why| app.refusal(None, &Message::form(&why)))?;
    Ok(fields)
}

async fn read_any_form(request: Request, app: &App) -> Result<Fields, Refusal> {
    let no = |message: Message| app.refusal(None, &message);
    let headers = request.headers();
    if !guard::from_our_pages(headers) {
        return Err(no(Message::foreign()));
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or("").trim();
    if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(no(Message::no_form()));
    }
    match tokio::time::timeout(app.settings().patience.form, gather(request.into_body())).await {
        Err(_) => Err(no(Message::slow_form())),
        Ok(Err(Gathered::TooLong)) => Err(no(Message::too_long())),
        Ok(Err(Gathered::Broken)) => Err(no(Message::form(&Misread::Coding))),
        Ok(Ok(body)) => read(&body).map_err(|why| no(Message::form(&why))),
    }
}

enum Gathered {
    TooLong,
    Broken,
}

/// A body up to its bound, whether or not it says its length.
async fn gather(body: Body) -> Result<Vec<u8>, Gathered> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Gathered::Broken)?;
        if whole.len() + piece.len() > FORM_BYTES_MAX {
            return Err(Gathered::TooLong);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// A form posted by a signed-in caller from one of our own pages.
pub struct Posted {
    /// Who.
    pub caller: Caller,
    /// What.
    pub fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let fields = read_any_form(Request::from_parts(parts, body), app).await?;
        let sent = fields.get("csrf").map_or("", String::as_str);
        let wanted = caller.csrf();
        if sent.len() != wanted.len() || !bool::from(sent.as_bytes().ct_eq(wanted.as_bytes())) {
            return Err(app.refusal(Some(&caller), &Message::foreign()));
        }
        Ok(Self { caller, fields })
    }
}

impl Posted {
    /// The form has these fields beside its token, and no other; those with a question mark may be left
    /// out. Every handler says so first.
    pub(crate) fn fits(&self, app: &App, form: &[&'static str]) -> Result<(), Refusal> {
        let form: Vec<&'static str> = form.iter().copied().chain(["csrf"]).collect();
        fit(&self.fields, &form).map_err(|why| app.refusal(Some(&self.caller), &Message::form(&why)))
    }

    /// A field, or nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Where to go afterwards: a path of ours that the form named, or `otherwise`.
    #[must_use]
    pub fn back(&self, otherwise: &str) -> Response {
        Redirect::to(crate::session::local(self.field("back")).unwrap_or(otherwise)).into_response()
    }
}

/// The question of an address. Fields that no page of ours knows are left alone: mails and portals add
/// their own.
pub(crate) struct Asked(Fields);

impl Asked {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or("");
        read(query.as_bytes()).map(Self).map_err(|why| app.refusal(None, &Message::query(&why)))
    }
}

/// Places in an address; what cannot be decoded is simply not there.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let place = Path::<T>::from_request_parts(parts, app).await;
        place.map(|Path(place)| Self(place)).map_err(|_| app.refusal(None, &Message::not_found()))
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
    fn what_no_page_of_ours_sends_is_named() {
        for (text, why) in [
            (&b"a=%"[..], Misread::Coding),
            (b"a=%4", Misread::Coding),
            (b"a=%zz", Misread::Coding),
            (b"a=%+1", Misread::Coding),
            (b"a=\xff", Misread::Coding),
            (b"a=%ff%fe", Misread::Coding),
            (b"%c0%80=1", Misread::Coding),
            (b"a=%00", Misread::Control("“a”".into())),
            (b"a=1%0d%0aSet-Cookie:x", Misread::Control("“a”".into())),
            (b"a=1&a=1", Misread::Twice("“a”".into())),
            (b"a=1&%61=2", Misread::Twice("“a”".into())),
            (b"%3Cb%3E=1&%3Cb%3E=2", Misread::Twice("with an odd name".into())),
        ] {
            assert_eq!(read(text), Err(why), "{}", String::from_utf8_lossy(text));
        }
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("f{n}=")).collect();
        assert_eq!(read(many.join("&").as_bytes()), Err(Misread::TooMany));
    }

    #[test]
    fn a_form_has_its_fields_and_no_other() {
        let fields = |text: &str| read(text.as_bytes()).expect("well written");
        assert_eq!(fit(&fields("a=1&b=2"), &["a", "b?"]), Ok(()));
        assert_eq!(fit(&fields("a=1"), &["a", "b?"]), Ok(()));
        assert_eq!(fit(&fields("b=1"), &["a", "b?"]), Err(Misread::Missing("a")));
        assert_eq!(fit(&fields("a=1&c=2"), &["a", "b?"]), Err(Misread::Unknown("“c”".into())));
    }
}
