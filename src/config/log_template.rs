//! The access log's own line format as the file gives it: text with the `{name}` of fields, and which fields there are.

use std::fmt;

use crate::diagnostics::nearest;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A field of the access log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LogField { $($(#[$doc])* $name,)* }

        impl LogField {
            /// Every field, in the order of a JSON line.
            pub const ALL: &[LogField] = &[$(LogField::$name,)*];

            /// The name in JSON lines and templates.
            pub const fn name(self) -> &'static str {
                match self { $(LogField::$name => $text,)* }
            }
        }

        /// The names of all fields that a line can have, in the order of a JSON line.
        pub const FIELDS: &[&str] = &[$($text,)*];
    };
}

fields! {
    /// When the request's header was complete: RFC 3339, UTC, milliseconds.
    Time = "time";
    /// Until the last byte of the answer.
    Duration = "duration_ms";
    RequestId = "request_id";
    Listener = "listener";
    Client = "client";
    /// The peer of the connection with its port, or the one that a PROXY header announced.
    Peer = "peer";
    /// The load balancer whose PROXY header announced the peer.
    Via = "via";
    Protocol = "protocol";
    /// `fast` or `full`: whether the gateway's own HTTP/1 exchange served the request, or Pingora's. Absent if it was refused before.
    Lane = "lane";
    Scheme = "scheme";
    /// The protocol version, on TLS connections.
    Tls = "tls";
    Method = "method";
    Host = "host";
    Path = "path";
    /// As received, with the values of well-known credentials replaced. Truncated, like the other fields that a client
    /// chooses.
    Query = "query";
    UserAgent = "user_agent";
    /// As received, with the values of well-known credentials replaced.
    Referer = "referer";
    /// Absent if no answer was sent.
    Status = "status";
    BytesSent = "bytes_sent";
    BytesReceived = "bytes_received";
    Route = "route";
    /// The generation of the configuration that decided; `GET /status` of the admin listener describes it.
    Generation = "generation";
    /// `allow`, `deny` or `fail`.
    Decision = "decision";
    /// The stable code of the refusal or failure.
    Cause = "cause";
    /// The reason in words.
    Detail = "detail";
    /// The cause with which a policy in report mode would have refused.
    WouldDeny = "would_deny";
    /// The caller's id; never the credential.
    Principal = "principal";
    /// The name of the identity that authenticated the caller.
    Identity = "identity";
    Upstream = "upstream";
    /// The endpoint tried last.
    Endpoint = "endpoint";
    /// Endpoints tried.
    Attempts = "attempts";
    /// The reason of the last retry: `connect`, `stale`, `refused`, `reset`, `timeout` or `status`.
    Retried = "retried";
    /// Whether a pooled connection was used.
    UpstreamReused = "upstream_reused";
    UpstreamConnect = "upstream_connect_ms";
    UpstreamResponse = "upstream_response_ms";
}

impl LogField {
    /// The field called `name`.
    pub fn from_name(name: &str) -> Option<LogField> {
        LogField::ALL.iter().copied().find(|field| field.name() == name)
    }
}

/// A template, parsed. `{{` and `}}` are braces. A value is escaped as in the combined format, so that it can stand in
/// quotation marks; `-` stands for an absent one.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTemplate {
    text: String,
    parts: Vec<TemplatePart>,
}

/// A piece of a [`LogTemplate`].
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    Literal(String),
    Field(LogField),
}

impl LogTemplate {
    /// Reads a template as written in the configuration.
    ///
    /// # Errors
    ///
    /// Says what is wrong and, for an unknown field, which known one is near.
    pub fn parse(text: &str) -> Result<LogTemplate, String> {
        // A block scalar of YAML ends with a line feed.
        let mut rest = text.trim_end_matches(['\r', '\n']);
        if rest.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a template is one line and holds no control characters".to_owned());
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let place = &rest[at..];
            if place.starts_with("{{") || place.starts_with("}}") {
                literal.push_str(&place[..1]);
                rest = &place[2..];
            } else if let Some(inside) = place.strip_prefix('{') {
                let end = inside.find('}').ok_or_else(|| format!("`{place}` lacks its closing `}}`"))?;
                if !literal.is_empty() {
                    parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
                }
                parts.push(TemplatePart::Field(known_field(&inside[..end])?));
                rest = &inside[end + 1..];
            } else {
                return Err("a `}` without its `{`; a brace that stands for itself is written twice".to_owned());
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(literal));
        }
        if parts.is_empty() {
            return Err("the template is empty".to_owned());
        }
        Ok(LogTemplate { text: text.to_owned(), parts })
    }

    /// Its pieces in their order; never none.
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }
}

/// As written.
impl fmt::Display for LogTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn known_field(name: &str) -> Result<LogField, String> {
    if let Some(field) = LogField::from_name(name) {
        return Ok(field);
    }
    Err(match nearest(name, FIELDS.iter().copied()) {
        Some(near) => format!("unknown field `{name}`; did you mean `{near}`?"),
        None => format!("unknown field `{name}`; the fields are {}", FIELDS.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_braces_stand_for_themselves() {
        let template = LogTemplate::parse("{{{status}}} }}").unwrap();
        let literal = |text: &str| TemplatePart::Literal(text.to_owned());
        assert_eq!(template.parts, [literal("{"), TemplatePart::Field(LogField::Status), literal("} }")]);
    }

    #[test]
    fn a_mistake_is_named() {
        let check = |text: &str, message: &str| assert_eq!(LogTemplate::parse(text).unwrap_err(), message);
        check("{client} {stauts}", "unknown field `stauts`; did you mean `status`?");
        check("{client", "`{client` lacks its closing `}`");
        check("client}", "a `}` without its `{`; a brace that stands for itself is written twice");
        check("", "the template is empty");
        check("{client}\n{status}", "a template is one line and holds no control characters");
        assert!(LogTemplate::parse("{authorization}").unwrap_err().contains("the fields are time, duration_ms"));
    }

    #[test]
    fn the_line_feed_of_a_block_scalar_is_not_part_of_it() {
        let parts = |text: &str| LogTemplate::parse(text).map(|template| template.parts);
        assert_eq!(parts("{client}\n"), parts("{client}"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_diagnosed(text: String) {
            let _ = LogTemplate::parse(&text);
        }

        #[test]
        fn text_with_doubled_braces_is_literal(text in "[ -~]{1,40}") {
            let template = LogTemplate::parse(&text.replace('{', "{{").replace('}', "}}")).unwrap();
            prop_assert_eq!(template.parts, [TemplatePart::Literal(text)]);
        }
    }
}
