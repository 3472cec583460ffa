//! Styles, scripts and pictures, compiled in and served under names that hold their content's hash:
//! a browser may keep them for ever, and a changed file is a new address.

use crate::compression;
use crate::error::Error;
use crate::forms::At;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::{LazyLock, OnceLock};

/// One file that pages load.
pub struct Asset {
    /// Name in templates and at the end of its address.
    pub name: &'static str,
    /// Media type.
    pub media: &'static str,
    /// Content.
    pub bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The worker that holds the one stream of a browser: one file, for it cannot name hashed ones.
const WORKER: &str = concat!(
    include_str!("../assets/rules.js"),
    include_str!("../assets/line.js"),
    include_str!("../assets/worker.js"),
);

/// All files.
pub const ASSETS: &[Asset] = &[
    Asset { name: "aceso.css", media: CSS, bytes: include_bytes!("../assets/aceso.css") },
    Asset { name: "aceso.js", media: JS, bytes: include_bytes!("../assets/aceso.js") },
    Asset { name: "rules.js", media: JS, bytes: include_bytes!("../assets/rules.js") },
    Asset { name: "line.js", media: JS, bytes: include_bytes!("../assets/line.js") },
    Asset { name: "worker.js", media: JS, bytes: WORKER.as_bytes() },
    Asset { name: "strip.js", media: JS, bytes: include_bytes!("../assets/strip.js") },
    Asset { name: "sound.js", media: JS, bytes: include_bytes!("../assets/sound.js") },
    Asset { name: "witness.js", media: JS, bytes: include_bytes!("../assets/witness.js") },
    Asset { name: "charts.js", media: JS, bytes: include_bytes!("../assets/charts.js") },
    Asset { name: "aceso.svg", media: "image/svg+xml", bytes: include_bytes!("../assets/aceso.svg") },
    Asset { name: "htmx.js", media: JS, bytes: include_bytes!("../assets/vendor/htmx-2.0.11.min.js") },
    Asset { name: "uplot.js", media: JS, bytes: include_bytes!("../assets/vendor/uplot-1.6.32.iife.min.js") },
    Asset { name: "uplot.css", media: CSS, bytes: include_bytes!("../assets/vendor/uplot-1.6.32.min.css") },
];

/// Hex digits of the hash that stand in an address.
const DIGITS: usize = 16;

static HREFS: LazyLock<Vec<String>> = LazyLock::new(|| {
    ASSETS
        .iter()
        .map(|asset| {
            let hash = hex::encode(vitals::ids::sha256(&[asset.bytes]));
            format!("/assets/{}/{}", &hash[..DIGITS], asset.name)
        })
        .collect()
});

/// Each compressed, once somebody has asked for it; none where that gains nothing.
static COMPRESSED: [OnceLock<Option<Bytes>>; ASSETS.len()] = [const { OnceLock::new() }; ASSETS.len()];

/// The address of the asset with this name.
///
/// # Panics
/// If there is none: templates name only what [`ASSETS`] lists, and a test loads each.
#[must_use]
pub fn href(name: &str) -> &'static str {
    let at = ASSETS
        .iter()
        .position(|asset| asset.name == name)
        .expect("templates name only assets that are listed");
    &HREFS[at]
}

/// Serves one asset. A wrong hash is not found: it belongs to another version.
pub(crate) async fn serve(At((hash, name)): At<(String, String)>, request: HeaderMap) -> Response {
    let wanted = format!("/assets/{hash}/{name}");
    let Some(at) = HREFS.iter().position(|known| *known == wanted) else {
        return Error::not_found().into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, ASSETS[at].media),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
    ];
    let compressed = compression::accepts_gzip(&request)
        .then(|| COMPRESSED[at].get_or_init(|| compression::file(ASSETS[at].bytes)).clone());
    let Some(compressed) = compressed.flatten() else { return (headers, ASSETS[at].bytes).into_response() };
    let mut response = (headers, compressed).into_response();
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}
