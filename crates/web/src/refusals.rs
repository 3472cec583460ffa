//! Why a request was refused: counted by reason, without a name, an id or an address.

use axum::response::Response;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason as the metrics name it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

reasons! {
    /// Not there, or the caller may not know of it.
    NotFound = "not_found",
    /// The address does not take this method.
    Method = "method",
    /// Nobody is signed in, or the session ended.
    SignedOut = "signed_out",
    /// A JSON-RPC request without the token.
    Token = "token",
    /// A post that did not come from one of our pages of this session.
    Foreign = "foreign_post",
    /// Not a form of ours: wrong media type or coding, a field missing, unknown or sent twice.
    Form = "form",
    /// An address whose query cannot be read.
    Query = "query",
    /// The request makes no sense, and changes nothing.
    Wrong = "wrong",
    /// A body over its bound.
    BodyTooLong = "body_too_long",
    /// An address or headers over their bound.
    HeadTooLong = "head_too_long",
    /// A form that did not arrive in time.
    SlowBody = "slow_body",
    /// A connection on which no whole request came in time.
    SlowHead = "slow_head",
    /// A TLS handshake that failed.
    Tls = "tls",
    /// Plain HTTP where only TLS is spoken.
    PlainHttp = "plain_http",
    /// A connection that does not speak HTTP.
    NotHttp = "not_http",
    /// A client that does not read its answer.
    SlowReader = "slow_reader",
    /// More requests from one network than it may make.
    Requests = "requests",
    /// Too many connections, from one network or in all.
    Connections = "connections",
    /// Too many live streams, of one session, from one network or in all.
    Streams = "streams",
    /// Too many bundles at a time.
    Bundles = "bundles",
    /// A wrong login or password.
    SignIn = "sign_in",
    /// A one-time link that does not work.
    Link = "link",
    /// Signing in again too soon.
    SignInWait = "sign_in_wait",
    /// Too many people signing in at a time.
    SignInBusy = "sign_in_busy",
    /// The node cannot answer now.
    Unavailable = "unavailable",
    /// The node failed at it.
    Failed = "failed",
}

/// Marks a response as a refusal, for the counters.
pub(crate) fn mark(mut response: Response, reason: Reason) -> Response {
    response.extensions_mut().insert(reason);
    response
}

/// How often each reason was given.
pub(crate) struct Refusals(Vec<AtomicU64>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        if let Some(at) = Reason::ALL.iter().position(|known| *known == reason) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each reason and how often it was given.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().copied().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
