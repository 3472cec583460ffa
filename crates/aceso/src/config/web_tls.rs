//! Certificate and key of the pages, as the configuration names them.

use serde::Deserialize;
use std::path::PathBuf;

/// PEM files. They may be one and the same file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebTlsConfig {
    /// The server's certificate, and those between it and the authority.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}
