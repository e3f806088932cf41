//! Why a request ended as it did.
//!
//! A [`Denial`] writes the response, the access log, the metric label and `explain`; its [`Cause`] is the key by which
//! an owner sets error pages. Nothing is decided twice. The registry of causes is in [`cause`].

pub mod cause;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use cause::Cause;

use super::limit_status::LimitStatus;

/// A refusal with everything that its answer and its log line need.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    pub cause: Cause,
    /// The true reason. For the log and `explain`, never for the stranger.
    pub detail: Cow<'static, str>,
    /// `WWW-Authenticate` (RFC 6750 §3).
    pub challenge: Option<http::HeaderValue>,
    /// `Allow` (RFC 9110 §10.2.1) of a 405.
    pub allow: Option<http::HeaderValue>,
    /// When to come back, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The limit that was exceeded, for the RateLimit fields.
    pub limit: Option<LimitStatus>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.detail)
    }
}

/// A denial travels as the source of the error that ends the request, and is taken out again where the answer is made.
impl std::error::Error for Denial {}

impl Denial {
    /// A refusal for `cause`; `detail` is the true reason, for the log.
    pub fn new(cause: Cause, detail: impl Into<Cow<'static, str>>) -> Self {
        Denial { cause, detail: detail.into(), challenge: None, allow: None, retry_after: None, limit: None }
    }
}
