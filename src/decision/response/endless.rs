//! Answers that have no end of their own: a drain that waited for them would wait for ever.

use http::{HeaderMap, header};

use super::grpc::is_grpc;

/// Types whose bodies go on for as long as somebody listens: events (HTML §9.2), and pictures of a camera, each in the place
/// of the one before.
const ENDLESS: [&str; 2] = ["text/event-stream", "multipart/x-mixed-replace"];

/// Whether the answer with these headers may go on without an end. A gRPC answer may be one: whether a call is a stream stands
/// in no header, but one with a single message is over as soon as its header.
pub fn is_endless(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return false };
    let content_type = content_type.as_bytes();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    ENDLESS.iter().any(|endless| essence.eq_ignore_ascii_case(endless.as_bytes())) || is_grpc(Some(content_type))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn streams_are_told_by_their_type() {
        let endless = |content_type: &'static str| {
            let value = HeaderValue::from_static(content_type);
            is_endless(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]))
        };
        for yes in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "multipart/x-mixed-replace;boundary=a",
            "application/grpc+proto",
        ] {
            assert!(endless(yes), "{yes}");
        }
        for no in ["text/html", "text/event-stream2", "application/grpc-web", ""] {
            assert!(!endless(no), "{no}");
        }
        assert!(!is_endless(&HeaderMap::new()));
    }
}
