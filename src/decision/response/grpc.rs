//! How a refusal is said to a gRPC client.
//!
//! A gRPC client looks for `grpc-status` and takes the HTTP status only in its absence, by a table that knows few
//! statuses and turns the others into UNKNOWN (grpc/doc/http-grpc-status-mapping.md). Servers are told not to use that
//! table, so each cause has the code here that says what happened.

use http::{HeaderName, HeaderValue};

use crate::decision::outcome::Cause;

/// Of an answer (grpc/doc/PROTOCOL-HTTP2.md).
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// One of the codes of grpc/doc/statuscodes.md.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Words for people, percent-encoded where they are not plain ASCII.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// Whether a message of this type is a part of a gRPC call: `application/grpc`, with or without a message format after it
/// (`application/grpc+proto`). gRPC-Web is not: its clients read HTTP statuses.
pub fn is_grpc(content_type: Option<&[u8]>) -> bool {
    let Some(content_type) = content_type else { return false };
    let Some((essence, rest)) = content_type.split_at_checked(CONTENT_TYPE.len()) else { return false };
    essence.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The code for `cause`.
pub fn status(cause: Cause) -> u16 {
    match cause {
        // The call may have been carried out, so it is not UNAVAILABLE, which invites another try.
        Cause::RequestTimeout | Cause::UpstreamTimeout => DEADLINE_EXCEEDED,
        _ => match cause.status().as_u16() {
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 | 405 | 501 => UNIMPLEMENTED,
            413 | 414 | 429 | 431 => RESOURCE_EXHAUSTED,
            502..=504 => UNAVAILABLE,
            // A request that is malformed beneath gRPC is no fault of the call's arguments.
            _ => INTERNAL,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_what_only_begins_alike() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
            assert!(is_grpc(Some(yes.as_bytes())), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpc-web-text+proto", "application/json", ""] {
            assert!(!is_grpc(Some(no.as_bytes())), "{no}");
        }
        assert!(!is_grpc(None));
    }

    #[test]
    fn each_cause_has_the_code_that_says_what_happened() {
        let expected = [
            (Cause::CredentialsMissing, UNAUTHENTICATED),
            (Cause::ScopeMissing, PERMISSION_DENIED),
            (Cause::RouteNotFound, UNIMPLEMENTED),
            (Cause::RateExceeded, RESOURCE_EXHAUSTED),
            (Cause::BodyTooLarge, RESOURCE_EXHAUSTED),
            (Cause::UpstreamConnectFailed, UNAVAILABLE),
            (Cause::UpstreamConnectTimeout, UNAVAILABLE),
            (Cause::UpstreamTimeout, DEADLINE_EXCEEDED),
            (Cause::InternalError, INTERNAL),
        ];
        for (cause, code) in expected {
            assert_eq!(status(cause), code, "{cause}");
        }
    }

    #[test]
    fn no_refusal_reads_as_success_and_every_message_needs_no_encoding() {
        for &cause in Cause::ALL {
            assert_ne!(status(cause), 0, "{cause}");
            assert!(cause.title().bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'%'), "{cause}");
        }
    }
}
