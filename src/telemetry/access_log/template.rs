//! A configured line: text with `{field}` placeholders.

use std::io::Write;

use super::escape::push_escaped;
use super::field::{FIELDS, FieldValue, LogField};
use crate::diagnostics::nearest;
use crate::telemetry::record::RequestRecord;
use crate::telemetry::timestamp::Rfc3339;

/// A parsed template. `{{` and `}}` are literal braces. A value is escaped as in the combined format, so that it can be put in
/// quotation marks; an absent value is written as `-`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTemplate {
    parts: Vec<TemplatePart>,
}

#[derive(Clone, Debug, PartialEq)]
enum TemplatePart {
    Literal(String),
    LogField(LogField),
}

impl LogTemplate {
    /// Parses a template of the configuration.
    ///
    /// # Errors
    ///
    /// A description of the error; for an unknown field, with the most similar known one.
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
                parts.push(TemplatePart::LogField(known_field(&inside[..end])?));
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
        Ok(LogTemplate { parts })
    }

    /// Appends the line without its end.
    pub(super) fn write(&self, record: &RequestRecord, line: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                TemplatePart::Literal(text) => line.extend_from_slice(text.as_bytes()),
                TemplatePart::LogField(field) => match field.value(record) {
                    Some(value) => push_value(line, value),
                    None => line.push(b'-'),
                },
            }
        }
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

fn push_value(line: &mut Vec<u8>, value: FieldValue<'_>) {
    // Writing to a vector can't fail.
    let _ = match value {
        FieldValue::Text(text) => return push_escaped(line, text.as_bytes()),
        FieldValue::Bytes(bytes) => return push_escaped(line, &bytes),
        FieldValue::Time(time) => return line.extend_from_slice(Rfc3339::new(time).as_str().as_bytes()),
        FieldValue::Integer(number) => write!(line, "{number}"),
        FieldValue::Milliseconds(duration) => {
            let micros = duration.as_micros();
            write!(line, "{}.{:03}", micros / 1000, micros % 1000)
        }
        FieldValue::Boolean(value) => write!(line, "{value}"),
        FieldValue::Address(address) => write!(line, "{address}"),
        FieldValue::Socket(socket) => write!(line, "{socket}"),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_braces_stand_for_themselves() {
        let template = LogTemplate::parse("{{{status}}} }}").unwrap();
        let literal = |text: &str| TemplatePart::Literal(text.to_owned());
        assert_eq!(template.parts, [literal("{"), TemplatePart::LogField(LogField::Status), literal("} }")]);
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
        assert_eq!(LogTemplate::parse("{client}\n"), LogTemplate::parse("{client}"));
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
