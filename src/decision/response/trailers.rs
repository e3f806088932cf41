//! The trailers of an answer (RFC 9110 §6.5): which of them are passed on.
//!
//! A field that says how to read the message, or whom to trust, comes too late behind the body (§6.5.1): a recipient that merged it
//! into the head would read another message than the gateway did. Neither can a trailer take back what the owner has declared.

use http::HeaderName;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AGE, AUTHORIZATION,
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, EXPIRES, HOST,
    LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY, VIA, WWW_AUTHENTICATE,
};

use super::byte_head::ByteHead;
use super::rules::ResponseRules;
use super::section::HeaderSection;
use crate::decision::request::syntax::{is_text, is_token};

/// Fields that are never trailers.
const NEVER: [HeaderName; 34] = [
    TRANSFER_ENCODING,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CONTENT_RANGE,
    TRAILER,
    CONNECTION,
    TE,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HOST,
    VIA,
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    PROXY_AUTHENTICATE,
    WWW_AUTHENTICATE,
    SET_COOKIE,
    CACHE_CONTROL,
    VARY,
    LOCATION,
    DATE,
    AGE,
    EXPIRES,
    RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Takes the trailer section `lines` of an HTTP/1 message apart. A line that is no field is left out.
pub fn read(lines: &[u8]) -> ByteHead<'_> {
    let fields = lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        (is_token(name) && value.iter().all(|byte| is_text(*byte))).then_some((name, value))
    });
    ByteHead::of_fields(fields)
}

/// Leaves of `trailers` what may be passed on by `rules`.
pub fn strip(trailers: &mut impl HeaderSection, rules: &ResponseRules) {
    for name in NEVER.iter().chain(rules.declared()) {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::X_FRAME_OPTIONS;

    use super::*;
    use crate::decision::response::framing::FramingPolicy;
    use crate::decision::response::page::Pages;
    use crate::decision::response::program::Operations;

    fn passed(lines: &str, rules: &ResponseRules) -> String {
        let mut trailers = read(lines.as_bytes());
        strip(&mut trailers, rules);
        let mut out = Vec::new();
        trailers.write_fields(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_says_nothing_of_the_message_passes() {
        let rules = ResponseRules::default();
        assert_eq!(
            passed("X-Sum: 1\r\nServer-Timing: a;dur=1\r\n", &rules),
            "X-Sum: 1\r\nServer-Timing: a;dur=1\r\n\r\n"
        );
        for dropped in ["Content-Length: 5", "set-cookie: a=b", "no colon", "bad name: x", "x: \u{1}", " folded: x", ""]
        {
            assert_eq!(passed(&format!("{dropped}\r\nX: 1\r\n"), &rules), "X: 1\r\n\r\n", "{dropped}");
        }
    }

    #[test]
    fn what_the_owner_declares_is_no_trailer() {
        let operations = Operations {
            remove: vec![HeaderName::from_static("server")],
            set: vec![(HeaderName::from_static("x-own"), HeaderValue::from_static("1"))],
            ..Operations::default()
        };
        let rules = ResponseRules::new(operations, Some(FramingPolicy::deny()), Pages::default());
        let lines =
            format!("{X_FRAME_OPTIONS}: a\r\nServer: b\r\nX-Own: c\r\nContent-Security-Policy: d\r\nX-Sum: 1\r\n");
        assert_eq!(passed(&lines, &rules), "X-Sum: 1\r\n\r\n");
    }
}
