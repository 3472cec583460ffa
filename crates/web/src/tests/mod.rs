//! The pages over a real clinic: a real vault and record store in a temporary directory, devices
//! that seal, and the model of the contracts as the ledger.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access_log;
mod asks;
mod attacks;
mod attempts;
mod compression;
mod connections;
mod consent_changes;
mod consents;
mod errors;
mod files;
mod forms;
mod gateways;
mod http2;
mod https;
mod ledger_pages;
mod limits;
mod live;
mod matrix;
mod monitoring_consent;
mod people;
mod random;
mod routes;
pub(crate) mod scene;
mod status;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a request.
pub(crate) fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}
