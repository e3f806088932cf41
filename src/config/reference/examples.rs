//! Examples: one value for each field, out of `example.yaml`.

use std::collections::HashMap;

use serde_json::Value;

use super::forms::{Field, Schema};

const EXAMPLE: &str = include_str!("example.yaml");

/// Longest example in characters. What is longer has fields with examples of their own.
const MAX_EXAMPLE: usize = 110;

/// By the fields of the mapping and the name of the field: a mapping of one type may stand in several places.
pub(super) struct Examples(HashMap<(String, String), Value>);

impl Examples {
    pub fn new<'s>(schema: Schema<'s>, document: &'s Value) -> Self {
        let example: Value = serde_yaml::from_str(EXAMPLE).expect("BUG: the example is YAML");
        let mut found = Examples(HashMap::new());
        found.collect(schema, document, &example);
        found
    }

    /// The example of `field`, as a line of the file.
    pub fn of<'s>(&self, schema: Schema<'s>, mapping: &'s Value, field: &Field<'s>) -> Option<String> {
        let value = self.0.get(&(key(schema, mapping), field.name.to_owned()));
        let written = value.map(|value| format!("{}: {}", field.name, flow(value)));
        written.filter(|written| written.chars().count() <= MAX_EXAMPLE).or_else(|| {
            let inner = schema.mapping("", field.schema);
            // The fields of a mapping have examples of their own.
            match inner {
                Some((path, _)) if path.contains("NAME") => Some(format!("{}: {{NAME: …}}", field.name)),
                Some((path, _)) if path.contains("[]") => Some(format!("{}: […]", field.name)),
                Some(_) => Some(format!("{}: {{…}}", field.name)),
                None => by_kind(schema, field),
            }
        })
    }

    fn collect<'s>(&mut self, schema: Schema<'s>, part: &'s Value, example: &Value) {
        match example {
            Value::Array(items) => {
                for form in schema.forms(part).iter().filter_map(|form| form.get("items")) {
                    items.iter().for_each(|item| self.collect(schema, form, item));
                }
            }
            Value::Object(entries) => {
                for form in schema.forms(part) {
                    let entry = form.get("additionalProperties").filter(|entry| entry.is_object());
                    for (name, value) in entries {
                        if let Some(field) = form["properties"].get(name) {
                            let key = (key(schema, part), name.clone());
                            self.0.entry(key).or_insert_with(|| value.clone());
                            self.collect(schema, field, value);
                        } else if let Some(entry) = entry {
                            self.collect(schema, entry, value);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// What tells a type of mapping from others: its fields.
fn key<'s>(schema: Schema<'s>, mapping: &'s Value) -> String {
    schema.fields(mapping).iter().map(|field| field.name).collect::<Vec<_>>().join(" ")
}

/// An example of a value that its kind alone gives.
fn by_kind(schema: Schema<'_>, field: &Field<'_>) -> Option<String> {
    let kind = schema.kind(field.schema);
    let value = match kind.as_str() {
        "duration" => "5s",
        "size" => "8KiB",
        "speed" => "1KiB/s",
        "rate" => "50/s",
        "share" => "5%",
        "number" => "1",
        "`true` or `false`" => "true",
        kind if kind.starts_with('`') => kind[1..].split('`').next()?,
        _ => return None,
    };
    Some(format!("{}: {value}", field.name))
}

/// `value` in the flow style of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{}: {}", scalar(name), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        // YAML 1.1 reads a bare `off` as false.
        Value::Bool(false) => "false".to_owned(),
        other => other.to_string(),
    }
}

/// Text, in quotes where YAML needs them.
fn scalar(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.');
    let rest = |c: char| first(c) || matches!(c, '-' | '%' | '<' | '>' | '+' | '@');
    let number = text.parse::<f64>().is_ok();
    let colon = text.contains(": ") || text.ends_with(':') || text.contains(" #");
    let plain = text.starts_with(first) && !number && !colon && text.chars().all(|c| rest(c) || matches!(c, ':' | ' '));
    if plain && !text.contains("://") || text.starts_with("http") && !colon {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::Config;

    #[test]
    fn the_example_loads() {
        let document: Result<Config, _> = serde_json::from_value(serde_yaml::from_str(EXAMPLE).unwrap());
        assert!(document.is_ok(), "{document:?}");
    }

    #[test]
    fn examples_are_written_as_yaml_reads_them() {
        for text in ["a b", "404", "a: b", "{id}", "*", "/v1/*", "127.0.0.1:80", "https://a.example", "5%", "#", ""] {
            let read: Value = serde_yaml::from_str(&format!("[{}]", scalar(text))).unwrap();
            assert_eq!(read, serde_json::json!([text]));
        }
    }
}
