//! Masks what a message quotes of requests, of responses and of their bodies.
//!
//! At `debug` and `trace` libraries write whole messages: header maps (`"cookie": "a=b"`), the bytes on the wire and bodies
//! (`b"GET / HTTP/1.1\\r\\n…"`), and targets with their query. Which of it is a credential depends on the configuration, on the origin and on the
//! client, so that a list of names to mask would not do: everything quoted is masked, except the names of header fields and
//! the values of those that carry none.

use std::borrow::Cow;

/// What stands for a value.
const MASKED: &str = "[masked]";

/// Header fields whose values are framing, negotiation or a matter of the connection.
const HARMLESS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
];

/// `message` without the values that it quotes.
pub(super) fn quoted_values(message: &str) -> Cow<'_, str> {
    if !message.contains(['"', '`', '?']) {
        return Cow::Borrowed(message);
    }
    let mut masked = String::with_capacity(message.len());
    let mut rest = message;
    // The header field whose value comes next.
    let mut name: Option<&str> = None;
    while let Some(at) = rest.find(['"', '`', '?']) {
        let (before, quoting) = rest.split_at(at);
        // A value stands right behind its name.
        name = name.filter(|_| before == ": ");
        masked.push_str(before);
        let mark = &quoting[..1];
        if mark == "?" {
            // A query, up to what ends a target in any form.
            let end =
                quoting[1..].find(|end: char| end.is_whitespace() || matches!(end, ',' | '"' | '`' | '}' | ')' | ']'));
            let end = end.map_or(quoting.len(), |end| end + 1);
            masked.push('?');
            if end > 1 {
                masked.push_str(MASKED);
            }
            rest = &quoting[end..];
            continue;
        }
        let Some((text, after)) = quoted(&quoting[1..], mark) else {
            masked.push_str(MASKED);
            return Cow::Owned(masked);
        };
        let is_name = mark == "\"" && after.starts_with(": ") && !before.ends_with('b');
        if is_name || name.is_some_and(|name| HARMLESS.contains(&name)) {
            masked.extend([mark, text, mark]);
        } else {
            masked.push_str(MASKED);
        }
        name = is_name.then_some(text);
        rest = after;
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// The text up to the closing `mark`, and what follows that. `None` if it can't be said where it ends: a backslash before a mark escapes
/// it in some forms, and ends a value in others (`http::HeaderValue` does not escape it).
fn quoted<'m>(text: &'m str, mark: &str) -> Option<(&'m str, &'m str)> {
    text.split_once(mark).filter(|(text, _)| !text.ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stay_and_values_do_not() {
        for (message, expected) in [
            (
                r#"{"host": "a", "cookie": "s3cret", "x-key": "s3cret"}"#,
                r#"{"host": "a", "cookie": [masked], "x-key": [masked]}"#,
            ),
            (r#"uri: /a?token=s3cret, version"#, "uri: /a?[masked], version"),
            (r#"header: b"GET / HTTP/1.1\r\nCookie: \"s3cret\"\r\n\r\n" sent"#, "header: b[masked]"),
            (r#"body: Some(b"s3cret"), "host": b"x""#, r#"body: Some(b[masked]), "host": b[masked]"#),
            (r#"inside `s3cret` and "s3cret"#, "inside [masked] and [masked]"),
            (r#""a": "b": "s3cret""#, r#""a": "b": [masked]"#),
            (r#""s3cret" and "s3cret\" s3cret""#, "[masked] and [masked]"),
            (r#""user-agent": "a\", "x": "s3cret""#, r#""user-agent": [masked]"#),
            ("nothing quoted", "nothing quoted"),
            ("well? yes", "well? yes"),
        ] {
            assert_eq!(quoted_values(message), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_value_of_a_header_map_is_masked(value in "[ -~]{0,40}") {
            let mut map = http::HeaderMap::new();
            map.insert(http::header::AUTHORIZATION, http::HeaderValue::from_str(&value).unwrap());
            let message = format!("{map:?}");
            let masked = quoted_values(&message);
            prop_assert_eq!(masked.trim_end_matches('}'), "{\"authorization\": [masked]");
        }

        #[test]
        fn any_text_is_masked_without_a_panic(text in "\\PC{0,60}") {
            quoted_values(&text);
        }
    }
}
