//! Which fields hold a secret, or name the place of one. A wrong value of theirs is never shown.
//!
//! The schema marks them with `writeOnly` (JSON Schema 2020-12, validation §9.4), so that a field which is added later is
//! covered by its type. A value of the wrong type may be the secret itself, and stand in the field, below it (`{hunter2}` is a
//! mapping), or in the place of what should hold it (`keys: hunter2`).

use std::sync::LazyLock;

use regex::{Regex, RegexSet};
use serde_json::Value;

use crate::config::doc_path::DocPath;
use crate::config::raw::Config;

/// What a place in the document has to do with secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy<'p> {
    /// No secret belongs there.
    Open,
    /// A secret belongs somewhere below.
    Above,
    /// It is this field, or something in it.
    Secret(SecretField<'p>),
}

/// A field that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecretField<'p> {
    pub path: &'p str,
    pub form: SecretForm,
}

/// What belongs in a field that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SecretForm {
    /// Where the secret is kept.
    Source,
    /// The path of a file with a private key, or where that is kept.
    KeyFile,
    /// Text, such as a hash.
    Text,
}

/// What the place `path`, as written, has to do with secrets.
pub(super) fn secrecy(path: &str) -> Secrecy<'_> {
    let patterns = &*PATTERNS;
    let found = patterns.fields.iter().find_map(|(field, form)| Some((field.captures(path)?.get(1)?, *form)));
    if let Some((field, form)) = found {
        return Secrecy::Secret(SecretField { path: field.as_str(), form });
    }
    if patterns.above.is_match(path) { Secrecy::Above } else { Secrecy::Open }
}

/// `path` as far as it may be shown: it ends with the field that holds a secret.
pub(super) fn shown(path: String) -> String {
    match secrecy(&path) {
        Secrecy::Secret(field) => field.path.to_owned(),
        Secrecy::Open | Secrecy::Above => path,
    }
}

struct Patterns {
    /// One for each field, and what belongs in it. The first group is the path of the field.
    fields: Vec<(Regex, SecretForm)>,
    /// What stands above a field, the document itself excepted.
    above: RegexSet,
}

/// The fields that the schema marks, and what belongs in each.
static MARKED: LazyLock<Vec<(Vec<PathPart>, SecretForm)>> = LazyLock::new(marked);

/// Made when the first mistake is reported.
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let fields = &*MARKED;
    let field = |(path, form): &(Vec<PathPart>, SecretForm)| {
        let pattern = format!(r"(?s)^({})(?:[.\[].*)?$", joined(path));
        (Regex::new(&pattern).expect("BUG: names are escaped"), *form)
    };
    let above =
        fields.iter().flat_map(|(path, _)| (1..path.len()).map(|end| format!("(?s)^{}$", joined(&path[..end]))));
    Patterns {
        fields: fields.iter().map(field).collect(),
        above: RegexSet::new(above).expect("BUG: names are escaped"),
    }
});

/// Takes lists out of `document` that stand in the place of a mapping with a secret, and gives their paths: serde reads a list as
/// the fields of a mapping in their order, and `admin: [hunter2]` as an address.
pub(super) fn take_lists_out(document: &mut Value) -> Vec<DocPath> {
    let mut found = Vec::new();
    for (path, _) in &*MARKED {
        take_out(document, &DocPath::root(), path, &mut found);
    }
    found
}

fn take_out(value: &mut Value, path: &DocPath, parts: &[PathPart], found: &mut Vec<DocPath>) {
    let Some((part, rest)) = parts.split_first() else { return };
    match (part, &mut *value) {
        (PathPart::Field(_) | PathPart::Name, Value::Array(_)) => {
            found.push(path.clone());
            *value = Value::Null;
        }
        (PathPart::Field(name), Value::Object(entries)) => {
            if let Some(field) = entries.get_mut(name) {
                take_out(field, &path.key(name), rest, found);
            }
        }
        (PathPart::Name, Value::Object(entries)) => {
            for (name, entry) in entries {
                take_out(entry, &path.key(name), rest, found);
            }
        }
        (PathPart::Item, Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_out(item, &path.index(index), rest, found);
            }
        }
        _ => {}
    }
}

/// A step from a mapping or a list to a value in it.
#[derive(Clone, Debug, PartialEq)]
enum PathPart {
    Field(String),
    /// Any key that the owner chose.
    Name,
    Item,
}

/// The pattern of a path in the form of [`DocPath`].
fn joined(path: &[PathPart]) -> String {
    let mut pattern = String::new();
    for (depth, part) in path.iter().enumerate() {
        let dot = if depth == 0 { "" } else { r"\." };
        match part {
            PathPart::Field(name) => pattern.extend([dot, &regex::escape(name)]),
            PathPart::Name => pattern.extend([dot, ".+?"]),
            PathPart::Item => pattern.push_str(r"\[\d+\]"),
        }
    }
    pattern
}

/// The paths of all fields that the schema marks, and what belongs in each.
fn marked() -> Vec<(Vec<PathPart>, SecretForm)> {
    let schema: Value = schemars::schema_for!(Config).into();
    let mut found = Vec::new();
    collect(&schema["$defs"], &schema, &mut Vec::new(), &mut found);
    found
}

fn collect(
    definitions: &Value,
    schema: &Value,
    path: &mut Vec<PathPart>,
    found: &mut Vec<(Vec<PathPart>, SecretForm)>,
) {
    if schema["writeOnly"] == true {
        let form = match schema["$ref"].as_str() {
            Some(name) if name.ends_with("/KeyFile") => SecretForm::KeyFile,
            _ if schema["type"] == "string" => SecretForm::Text,
            _ => SecretForm::Source,
        };
        found.push((path.clone(), form));
        return;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        collect(definitions, &definitions[name], path, found);
    }
    for forms in ["anyOf", "oneOf"] {
        for form in schema[forms].as_array().into_iter().flatten() {
            collect(definitions, form, path, found);
        }
    }
    let mut below = |part: PathPart, schema: &Value| {
        path.push(part);
        collect(definitions, schema, path, found);
        path.pop();
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        below(PathPart::Field(name.clone()), field);
    }
    for (keyword, part) in [("additionalProperties", PathPart::Name), ("items", PathPart::Item)] {
        if let Some(schema) = schema.get(keyword).filter(|schema| schema.is_object()) {
            below(part, schema);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_schema() {
        let shown = |(path, form): &(Vec<PathPart>, SecretForm)| (joined(path).replace('\\', ""), *form);
        let mut fields: Vec<(String, SecretForm)> = marked().iter().map(shown).collect();
        fields.sort();
        let fields: Vec<(&str, SecretForm)> = fields.iter().map(|(path, form)| (path.as_str(), *form)).collect();
        assert_eq!(
            fields,
            [
                ("admin.token", SecretForm::Source),
                ("identities..+?.api_key.keys.list[d+].hash", SecretForm::Text),
                ("identities..+?.jwt.keys.secret", SecretForm::Source),
                ("listeners[d+].tls.certificates[d+].key", SecretForm::KeyFile),
                ("upstreams..+?.sticky.key", SecretForm::Source),
                ("upstreams..+?.tls.client_certificate.key", SecretForm::KeyFile),
            ]
        );
    }

    #[test]
    fn lists_are_taken_out_where_a_mapping_with_a_secret_belongs() {
        let mut document = serde_json::json!({
            "admin": ["hunter2"],
            "listeners": [{"tls": {"certificates": [["hunter2"], {"cert": "a", "key": "b"}]}}],
            "upstreams": {"a": {"endpoints": ["a:1"], "sticky": ["hunter2"]}},
            "routes": ["x"],
        });
        let mut found: Vec<String> = take_lists_out(&mut document).into_iter().map(|path| path.0).collect();
        found.sort();
        assert_eq!(found, ["admin", "listeners[0].tls.certificates[0]", "upstreams.a.sticky"]);
        assert!(!document.to_string().contains("hunter2"));
        assert_eq!(take_lists_out(&mut document), []);
    }

    #[test]
    fn what_is_in_a_secret_is_secret_and_what_is_above_is_told_apart() {
        let source = |path| Secrecy::Secret(SecretField { path, form: SecretForm::Source });
        assert_eq!(secrecy("admin.token"), source("admin.token"));
        assert_eq!(secrecy("admin.token.hunter2\n[0]"), source("admin.token"));
        assert_eq!(secrecy("identities.a.b.jwt.keys.secret.env"), source("identities.a.b.jwt.keys.secret"));
        for above in ["admin", "identities", "identities.a.b", "identities.a.b.jwt.keys", "listeners[7].tls"] {
            assert_eq!(secrecy(above), Secrecy::Above, "{above}");
        }
        for open in ["", "admin.address", "admin.tokens", "routes[0]", "listeners[0].address"] {
            assert_eq!(secrecy(open), Secrecy::Open, "{open}");
        }
    }
}
