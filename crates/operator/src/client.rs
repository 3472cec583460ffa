//! Asks a running node.

use crate::SOCKET;
use crate::request::{Call, Request, SignIn};
use crate::server::Line;
use serde_json::Value;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// Nobody listens, or the socket is another user's.
    #[error("reaching the node at {}; is it running?", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke while the question went out or the answer came in.
    #[error("talking to the node")]
    Broken(#[from] std::io::Error),
    /// The node stopped before it answered.
    #[error("the node closed the connection")]
    Closed,
    /// The node's own sentence.
    #[error("{0}")]
    Refused(String),
    /// The node is of another version.
    #[error("the node answered something else than was asked")]
    Unreadable(#[from] serde_json::Error),
}

/// The way to one node. Each question opens a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The node that keeps this data folder.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { socket: data_dir.join(SOCKET) }
    }

    /// Asks one thing and waits for the answer.
    ///
    /// # Errors
    /// The node cannot be reached, or it refuses.
    pub async fn ask<C: Call>(&self, call: C) -> Result<C::Answer, OperatorError> {
        let request: Request = call.into();
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| OperatorError::Unreachable { socket: self.socket.clone(), source })?;
        let (reading, mut writing) = stream.into_split();
        writing.write_all(format!("{}\n", serde_json::to_string(&request)?).as_bytes()).await?;
        let line = BufReader::new(reading).lines().next_line().await?.ok_or(OperatorError::Closed)?;
        match serde_json::from_str::<Line<Value>>(&line)? {
            Line::Ok(answer) => Ok(serde_json::from_value(answer)?),
            Line::Error(sentence) => Err(OperatorError::Refused(sentence)),
        }
    }

    /// Signs in and asks one thing as that person.
    ///
    /// # Errors
    /// The node cannot be reached, or it refuses the person or the request.
    pub async fn ask_as<C: Call>(
        &self,
        login: String,
        password: String,
        call: impl FnOnce(String) -> C,
    ) -> Result<C::Answer, OperatorError> {
        let session = self.ask(SignIn { login, password }).await?;
        self.ask(call(session.token)).await
    }
}
