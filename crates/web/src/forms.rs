//! What people send: forms, queries, and the parts of an address that vary.

use crate::app::App;
use crate::caller::{Caller, Credential};
use crate::error::Error;
use crate::fields::{FieldError, Fields, fit, read};
use crate::secret_address::is_own_mark;
use crate::visit::local_path;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

/// Longest body of a form, bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Reads a form that one of the site's own pages sent, without a session. `form` names its fields; those with a
/// question mark may be left out.
pub(crate) async fn read_form(request: Request, app: &App, form: &[&'static str]) -> Result<Fields, Error> {
    let fields = read_own_form(request, app).await?;
    fit(&fields, form).map_err(|why| Error::form(&why))?;
    Ok(fields)
}

/// The same for a form at an address that holds a secret: see [`crate::secret_address`]. Its field `page` is the mark
/// of the page it was on.
pub(crate) async fn read_secret_form(
    request: Request,
    app: &App,
    form: &[&'static str],
) -> Result<Fields, Error> {
    let behind_tls = app.settings().behind_tls;
    let own = is_from_own_page(request.headers(), behind_tls);
    let headers = request.headers().clone();
    if !own && !has_no_origin(&headers) {
        return Err(Error::cross_site());
    }
    let fields = read_any_form(request, app).await?;
    let mark = fields.get("page").map_or("", String::as_str);
    if !own && !is_own_mark(&headers, behind_tls, mark) {
        return Err(Error::cross_site());
    }
    fit(&fields, form).map_err(|why| Error::form(&why))?;
    Ok(fields)
}

/// Does the browser keep to itself where the form was, without saying that it was on another site?
fn has_no_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::ORIGIN) == Some("null")
        && text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin")
}

async fn read_own_form(request: Request, app: &App) -> Result<Fields, Error> {
    if !is_from_own_page(request.headers(), app.settings().behind_tls) {
        return Err(Error::cross_site());
    }
    read_any_form(request, app).await
}

async fn read_any_form(request: Request, app: &App) -> Result<Fields, Error> {
    let media =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or("").trim();
    if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Error::not_a_form());
    }
    match tokio::time::timeout(app.settings().timeouts.form, gather(request.into_body())).await {
        Err(_) => Err(Error::form_too_slow()),
        Ok(Err(Gathered::TooLong)) => Err(Error::form_too_long()),
        Ok(Err(Gathered::Broken)) => Err(Error::form(&FieldError::Coding)),
        Ok(Ok(body)) => read(&body).map_err(|why| Error::form(&why)),
    }
}

/// Does this post come from a page of this site? Browsers say so with every post; a request without both
/// headers does not. Where browsers come over TLS only, a page that came without it is not ours: anybody on the
/// network could have written it.
fn is_from_own_page(headers: &HeaderMap, behind_tls: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
    {
        return false;
    }
    let Some(host) = text(header::HOST) else { return false };
    match text(header::ORIGIN) {
        // Browsers say so of a page that keeps its address to itself.
        Some("null") => text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
        Some(origin) => origin
            .split_once("://")
            .is_some_and(|(scheme, authority)| authority == host && (scheme == "https" || !behind_tls)),
        None => text(HeaderName::from_static("sec-fetch-site")).is_some(),
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

/// A form posted by a signed-in caller: from one of the site's own pages, or by a program with a bearer token,
/// which no other site can make a browser send.
pub struct Posted {
    /// Who.
    pub caller: Caller,
    /// What.
    pub fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        if caller.credential == Credential::Bearer {
            let fields = read_any_form(request, app).await?;
            return Ok(Self { caller, fields });
        }
        let fields = read_own_form(request, app).await?;
        let sent = fields.get("csrf").map_or("", String::as_str);
        let wanted = caller.csrf();
        if sent.len() != wanted.len() || !bool::from(sent.as_bytes().ct_eq(wanted.as_bytes())) {
            return Err(Error::cross_site());
        }
        Ok(Self { caller, fields })
    }
}

impl Posted {
    /// The form has these fields beside its token, and no other; those with a question mark may be left
    /// out. Every handler checks this first.
    pub(crate) fn fits(&self, form: &[&'static str]) -> Result<(), Error> {
        let form: Vec<&'static str> = form.iter().copied().chain(["csrf?"]).collect();
        fit(&self.fields, &form).map_err(|why| Error::form(&why))
    }

    /// A field, or nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Where to go afterwards: a path of ours that the form named, or `otherwise`.
    #[must_use]
    pub fn back(&self, otherwise: &str) -> Response {
        Redirect::to(local_path(self.field("back")).unwrap_or(otherwise)).into_response()
    }
}

/// The query of an address. Fields that no page of ours knows are ignored: mails and portals add their own.
pub(crate) struct Query(Fields);

impl Query {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or("");
        read(query.as_bytes()).map(Self).map_err(|why| Error::query(&why))
    }
}

/// Parts of an address; one that cannot be decoded is not found.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for At<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let place = Path::<T>::from_request_parts(parts, app).await;
        place.map(|Path(place)| Self(place)).map_err(|_| Error::not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::headers;

    #[test]
    fn only_our_own_pages_may_post() {
        let ours = [("host", "ward:8080"), ("origin", "http://ward:8080")];
        assert!(is_from_own_page(&headers(&ours), false));
        assert!(!is_from_own_page(&headers(&ours), true), "a page that came without TLS");
        let over_tls = [("host", "ward:8080"), ("origin", "https://ward:8080")];
        assert!(is_from_own_page(&headers(&over_tls), true));
        for behind_tls in [false, true] {
            let fetched = [("host", "ward"), ("sec-fetch-site", "same-origin")];
            assert!(is_from_own_page(&headers(&fetched), behind_tls));
            let silent = [("host", "ward"), ("origin", "null"), ("sec-fetch-site", "same-origin")];
            assert!(is_from_own_page(&headers(&silent), behind_tls));
        }
        for wrong in [
            vec![("host", "ward:8080"), ("origin", "http://evil:8080")],
            vec![("host", "ward:8080"), ("origin", "null")],
            vec![("host", "ward:8080"), ("origin", "null"), ("sec-fetch-site", "cross-site")],
            vec![("host", "ward:8080")],
            vec![("origin", "http://ward:8080")],
            vec![("host", "ward:8080"), ("origin", "http://ward:8080"), ("sec-fetch-site", "cross-site")],
            vec![("host", "ward:8080"), ("origin", "http://ward:8080"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!is_from_own_page(&headers(&wrong), false), "{wrong:?}");
        }
    }
}
