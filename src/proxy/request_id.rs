//! The id of a request: in `X-Request-Id` of the request to the origin and of every answer, and in the log.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// `X-Request-Id`, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// 128 random bits in hexadecimal.
///
/// Long enough that no two requests of a fleet share one, and that nobody guesses another's.
pub fn new_request_id() -> String {
    let mut id = String::with_capacity(32);
    let bits = fastrand::u128(..);
    for nibble in (0..32).rev() {
        let digit = (bits >> (nibble * 4)) as u8 & 0xf;
        id.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
    id
}

/// A request id as a header value, without a check that its characters already passed.
pub fn request_id_value(id: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(id.as_bytes()))
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}
