//! How a refusal is said to a gRPC client: by `grpc-status`, which each cause has in its registry, instead of the HTTP status.

use http::{HeaderName, HeaderValue};

/// Of an answer (grpc/doc/PROTOCOL-HTTP2.md).
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// One of the codes of grpc/doc/statuscodes.md.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Words for people, percent-encoded where they are not plain ASCII.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a message of this type is a part of a gRPC call: `application/grpc`, with or without a message format after it
/// (`application/grpc+proto`). gRPC-Web is not: its clients read HTTP statuses.
pub fn is_grpc(content_type: Option<&[u8]>) -> bool {
    let Some(content_type) = content_type else { return false };
    let Some((essence, rest)) = content_type.split_at_checked(CONTENT_TYPE.len()) else { return false };
    essence.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
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
}
