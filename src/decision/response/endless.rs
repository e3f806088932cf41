//! Answers that have no end of their own: a drain that waited for them would wait for ever.

use http::header;

use super::grpc::is_grpc;
use super::section::HeaderSection;

/// Types whose bodies go on for as long as somebody listens: events (HTML §9.2), and pictures of a camera, each in the place
/// of the one before.
const ENDLESS: [&str; 2] = ["text/event-stream", "multipart/x-mixed-replace"];

/// Whether the answer with these fields may go on without an end. A gRPC answer may be one: whether a call is a stream stands
/// in no header, but one with a single message is over as soon as its header.
pub fn is_endless(fields: &impl HeaderSection) -> bool {
    let Some(content_type) = fields.values(&header::CONTENT_TYPE).next() else { return false };
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    ENDLESS.iter().any(|endless| essence.eq_ignore_ascii_case(endless.as_bytes())) || is_grpc(Some(content_type))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

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
