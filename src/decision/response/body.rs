//! The bodies of answers that have no origin.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// A body with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseBody {
    pub content_type: HeaderValue,
    pub content: Bytes,
}

/// An answer without an origin.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedAnswer {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: Bytes,
}
