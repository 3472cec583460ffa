//! The JSON-RPC port of a node: its token, and the way from the port to the ledger.

use crate::config::RpcConfig;
use anyhow::{Context, Result};
use host::clock;
use ledger::EmbeddedChain;
use ledger::rpc::{Backend, Caller, handle};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::rpc::{Rpc, Settings, Token};

/// Name of the token's file in the data folder.
const TOKEN_FILE: &str = "rpc.token";
/// Shortest token that is taken from a file, bytes.
const TOKEN_BYTES_MIN: usize = 16;
/// Longest file that is read for a token.
const TOKEN_BYTES_MAX: u64 = 1024;

/// The port over this chain.
pub(super) fn port(config: &RpcConfig, data_dir: &Path, chain: &EmbeddedChain) -> Result<Rpc> {
    let file = config.token_file.clone().unwrap_or_else(|| data_dir.join(TOKEN_FILE));
    let token = if config.allow_anonymous {
        None
    } else {
        Some(token(&file).with_context(|| format!("the JSON-RPC token in {}", file.display()))?)
    };
    let backend = Backend::new(chain.machine().clone(), chain.pool().clone());
    let answer = move |place: clinic::Origin, request: &[u8]| {
        handle(&backend, Caller(place.tag()), clock::now_ms(), request)
    };
    let settings = Settings {
        token,
        origins: config.origins.clone(),
        behind_proxy: config.behind_proxy,
        ..Settings::default()
    };
    Ok(Rpc::new(Arc::new(answer), settings))
}

/// Serves it until the node stops.
pub(super) async fn serve(listener: TcpListener, port: Rpc, stop: watch::Receiver<bool>) {
    let mut stop = stop;
    let stopped = async move { link::stopped(&mut stop).await };
    if let Err(error) = web::rpc::serve(listener, port, stopped).await {
        tracing::error!(%error, "JSON-RPC is not served any more");
    }
}

/// The token in this file; a new one if there is no file.
fn token(file: &Path) -> Result<Token> {
    let secret = hex::encode(clock::random::<32>());
    match durable::write_new(&durable::Os, file, format!("{secret}\n").as_bytes()) {
        Ok(_) => Ok(Token::new(secret)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => kept(file),
        Err(error) => Err(error.into()),
    }
}

fn kept(file: &Path) -> Result<Token> {
    let opened = File::open(file)?;
    let mode = opened.metadata()?.mode();
    anyhow::ensure!(mode & 0o077 == 0, "can be read by others: chmod 600 it, or delete it to get a new one");
    let mut text = String::new();
    opened.take(TOKEN_BYTES_MAX).read_to_string(&mut text).context("is no text")?;
    let secret = text.lines().next().unwrap_or_default().trim();
    let plain = secret.len() >= TOKEN_BYTES_MIN && secret.bytes().all(|byte| byte.is_ascii_graphic());
    anyhow::ensure!(
        plain,
        "is not one line of at least {TOKEN_BYTES_MIN} letters and digits: delete it to get a new one"
    );
    Ok(Token::new(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rpc.token");
        token(&file).unwrap();
        let made = std::fs::read_to_string(&file).unwrap();
        assert_eq!((made.trim().len(), std::fs::metadata(&file).unwrap().mode() & 0o777), (64, 0o600));
        token(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), made);
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(token(&file).unwrap_err().to_string().contains("others"));
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "\n").unwrap();
        assert!(token(&file).unwrap_err().to_string().contains("delete it"), "no empty token");
    }
}
