//! Answers at the socket.

use crate::request::{Call, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest request line, bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Longest path of a socket: `sun_path` of Linux without its closing zero.
const PATH_BYTES_MAX: usize = 107;

/// Pause after the system could not accept a connection (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One answered line: `{"ok": …}` or `{"error": "sentence"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line<T> {
    Ok(T),
    Error(String),
}

/// The answer to one request, ready to be sent. [`Reply::to`] ties it to the request's own answer type.
pub struct Reply(Value);

impl Reply {
    /// The answer to a request of type `C`.
    ///
    /// # Errors
    /// The answer has no JSON form.
    pub fn to<C: Call>(answer: C::Answer) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_value(answer)?))
    }
}

/// A socket can be opened at this path, as far as its length goes.
///
/// # Errors
/// The path is longer than the system takes, in a sentence.
pub fn check_socket(socket: &Path) -> Result<(), SocketPathTooLong> {
    match std::os::unix::net::SocketAddr::from_pathname(socket) {
        Ok(_) => Ok(()),
        Err(_) => Err(SocketPathTooLong(socket.to_owned())),
    }
}

/// See [`check_socket`].
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: a socket's path may have {PATH_BYTES_MAX} bytes, this one has {}; choose a data folder with a shorter path",
    .0.display(), .0.as_os_str().len()
)]
pub struct SocketPathTooLong(PathBuf);

/// Serves requests until the runtime ends; one at a time per connection. `answer` gives the reply, or a sentence
/// that says why there is none. The socket's folder must be closed to others already: the socket's mode is set
/// only once it is there.
///
/// # Errors
/// The socket cannot be opened.
pub fn serve<F, R>(socket: &Path, answer: F) -> std::io::Result<()>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply, String>> + Send,
{
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("Could not accept a control connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                if let Err(error) = connection(stream, answer.as_ref()).await {
                    tracing::warn!("A control connection ended: {error}");
                }
            });
        }
    });
    Ok(())
}

async fn connection<F, R>(stream: UnixStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(Request) -> R,
    R: Future<Output = Result<Reply, String>>,
{
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading.take(LINE_BYTES_MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answer(request).await,
            Err(error) => Err(format!("not a request: {error}")),
        };
        let line = match reply {
            Ok(Reply(value)) => Line::Ok(value),
            Err(sentence) => Line::Error(sentence),
        };
        writing.write_all(format!("{}\n", serde_json::to_string(&line)?).as_bytes()).await?;
        lines.get_mut().get_mut().set_limit(LINE_BYTES_MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, GetTip, OperatorError, SOCKET, SignIn, Tip, Token};

    #[tokio::test]
    async fn a_client_gets_the_answer_of_its_request_or_the_node_s_own_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::of(folder.path());
        assert!(matches!(client.ask(GetTip {}).await, Err(OperatorError::Unreachable { .. })));
        serve(&folder.path().join(SOCKET), |request| async move {
            let reply = match request {
                Request::GetTip(_) => Reply::to::<GetTip>(Tip { height: 7, time_ms: 1, digest: "ab".into() }),
                Request::SignIn(SignIn { login, .. }) if login == "admin" => {
                    Reply::to::<SignIn>(Token { token: "t".into() })
                }
                _ => return Err("nobody signs in here".to_owned()),
            };
            reply.map_err(|why| why.to_string())
        })
        .unwrap();
        assert_eq!(client.ask(GetTip {}).await.unwrap().height, 7);
        let refused = client.ask_as("eve".into(), "p".into(), |_| GetTip {}).await.unwrap_err();
        assert_eq!(refused.to_string(), "nobody signs in here");
        assert_eq!(client.ask_as("admin".into(), "p".into(), |_| GetTip {}).await.unwrap().time_ms, 1);
        let mode = std::fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_line_that_is_no_request_is_answered_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(SOCKET);
        serve(&socket, |_| async { Err("asked".to_owned()) }).unwrap();
        let stream = UnixStream::connect(&socket).await.unwrap();
        let (reading, mut writing) = stream.into_split();
        writing.write_all(b"hello\n{\"do\":\"tip\"}\n").await.unwrap();
        let mut lines = BufReader::new(reading).lines();
        assert!(lines.next_line().await.unwrap().unwrap().starts_with(r#"{"error":"not a request: "#));
        assert_eq!(lines.next_line().await.unwrap().unwrap(), r#"{"error":"asked"}"#);
    }
}
