//! The length that a request announces.

use http::header::CONTENT_LENGTH;
use pingora::http::RequestHeader;

/// The length of its body that `request` announces, in bytes. What is no number was refused when the request was read.
pub fn content_length(request: &RequestHeader) -> Option<u64> {
    request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
