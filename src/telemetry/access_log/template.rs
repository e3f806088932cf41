//! The owner's own line: text with `{field}` places.

use std::io::Write;

use super::escape::push_escaped;
use super::field::{FIELDS, Field, Value};
use crate::diagnostics::nearest;
use crate::telemetry::record::Record;
use crate::telemetry::timestamp::Rfc3339;

/// A template, parsed. `{{` and `}}` are braces. A value is escaped as in the combined format, so that it can stand in
/// quotation marks; `-` stands for an absent one.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Field(Field),
}

impl Template {
    /// Reads a template as written in the configuration.
    ///
    /// # Errors
    ///
    /// Says what is wrong and, for an unknown field, which known one is near.
    pub fn parse(text: &str) -> Result<Template, String> {
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
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Field(known_field(&inside[..end])?));
                rest = &inside[end + 1..];
            } else {
                return Err("a `}` without its `{`; a brace that stands for itself is written twice".to_owned());
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.is_empty() {
            return Err("the template is empty".to_owned());
        }
        Ok(Template { parts })
    }

    /// Appends the line without its end.
    pub(super) fn write(&self, record: &Record, line: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => line.extend_from_slice(text.as_bytes()),
                Part::Field(field) => match field.value(record) {
                    Some(value) => push_value(line, value),
                    None => line.push(b'-'),
                },
            }
        }
    }
}

fn known_field(name: &str) -> Result<Field, String> {
    if let Some(field) = Field::from_name(name) {
        return Ok(field);
    }
    Err(match nearest(name, FIELDS.iter().copied()) {
        Some(near) => format!("unknown field `{name}`; did you mean `{near}`?"),
        None => format!("unknown field `{name}`; the fields are {}", FIELDS.join(", ")),
    })
}

fn push_value(line: &mut Vec<u8>, value: Value<'_>) {
    // A vector takes every byte: its `write!` can't fail.
    let _ = match value {
        Value::Text(text) => return push_escaped(line, text.as_bytes()),
        Value::Bytes(bytes) => return push_escaped(line, &bytes),
        Value::Time(time) => return line.extend_from_slice(Rfc3339::new(time).as_str().as_bytes()),
        Value::Integer(number) => write!(line, "{number}"),
        Value::Milliseconds(duration) => {
            let micros = duration.as_micros();
            write!(line, "{}.{:03}", micros / 1000, micros % 1000)
        }
        Value::Boolean(value) => write!(line, "{value}"),
        Value::Address(address) => write!(line, "{address}"),
        Value::Socket(socket) => write!(line, "{socket}"),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_braces_stand_for_themselves() {
        let template = Template::parse("{{{status}}} }}").unwrap();
        let literal = |text: &str| Part::Literal(text.to_owned());
        assert_eq!(template.parts, [literal("{"), Part::Field(Field::Status), literal("} }")]);
    }

    #[test]
    fn a_mistake_is_named() {
        let check = |text: &str, message: &str| assert_eq!(Template::parse(text).unwrap_err(), message);
        check("{client} {stauts}", "unknown field `stauts`; did you mean `status`?");
        check("{client", "`{client` lacks its closing `}`");
        check("client}", "a `}` without its `{`; a brace that stands for itself is written twice");
        check("", "the template is empty");
        check("{client}\n{status}", "a template is one line and holds no control characters");
        assert!(Template::parse("{authorization}").unwrap_err().contains("the fields are time, duration_ms"));
    }

    #[test]
    fn the_line_feed_of_a_block_scalar_is_not_part_of_it() {
        assert_eq!(Template::parse("{client}\n"), Template::parse("{client}"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_diagnosed(text: String) {
            let _ = Template::parse(&text);
        }

        #[test]
        fn text_with_doubled_braces_is_literal(text in "[ -~]{1,40}") {
            let template = Template::parse(&text.replace('{', "{{").replace('}', "}}")).unwrap();
            prop_assert_eq!(template.parts, [Part::Literal(text)]);
        }
    }
}
