//! Decode: from plain values to a type such as [`raw::Config`](crate::config::raw::Config), reporting every value that does not
//! fit in one run.
//!
//! serde stops at the first mistake. So the mistake is reported, the wrong value is removed, and the rest is decoded again; a
//! mistake that is a consequence of the removal is not reported. To keep the cost of a large file with many
//! mistakes linear in its size, each item of a list (a route) and each named thing (an upstream) is decoded by itself.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::mem;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::merge::{LISTS, NAMED};
use super::report::MAX_MISTAKES;
use super::secret_fields::{Secrecy, SecretField, SecretForm, secrecy};
use super::serde_message::{self, Found, ShapeError};
use super::source_map::SourceMap;
use super::vocabulary;
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Place, Severity, did_you_mean, nearest};

/// How often decoding may fail: by mistakes, and by the consequences of removals.
const MAX_ROUNDS: usize = 4 * MAX_MISTAKES;

pub(super) struct Decoded<T> {
    pub config: T,
    pub places: SourceMap,
    /// Paths, as written, that the configuration lacks because of mistakes.
    pub lacking: Vec<String>,
}

/// Decodes `value`, or gives up on too many mistakes. `failed` are paths whose mistake is already reported.
pub(super) fn decode<T: DeserializeOwned>(
    value: Value,
    places: SourceMap,
    failed: Vec<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Decoded<T>> {
    Decoder::new(value, places, failed, diagnostics).decoded()
}

/// Like [`decode`] for a document that holds secrets: no value of it is shown.
pub(super) fn decode_concealed<T: DeserializeOwned>(
    value: Value,
    places: SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Decoded<T>> {
    let mut decoder = Decoder::new(value, places, Vec::new(), diagnostics);
    decoder.concealed = true;
    decoder.decoded()
}

struct Decoder<'a> {
    /// What is being decoded: the whole document, or one part of it.
    document: Value,
    /// For a part that is the only item of its list: how deep in `document` the list stands (0 or 1), and the item's index in
    /// the whole list.
    offset: Option<(usize, usize)>,
    places: SourceMap,
    lacking: HashSet<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
    mistakes: usize,
    rounds: usize,
    /// Whether no value of the document is shown.
    concealed: bool,
}

/// One step into the document.
#[derive(Clone, Debug, PartialEq)]
enum PathStep {
    Key(String),
    Index(usize),
}

/// There are too many mistakes to go on.
struct TooManyMistakes;

impl<'a> Decoder<'a> {
    fn new(document: Value, places: SourceMap, failed: Vec<String>, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        let lacking = failed.into_iter().collect();
        Decoder { document, offset: None, places, lacking, diagnostics, mistakes: 0, rounds: 0, concealed: false }
    }

    fn decoded<T: DeserializeOwned>(mut self) -> Option<Decoded<T>> {
        let config = self.run().ok()?;
        Some(Decoded { config, places: self.places, lacking: self.lacking.into_iter().collect() })
    }

    fn run<T: DeserializeOwned>(&mut self) -> Result<T, TooManyMistakes> {
        // Nearly always nothing is wrong.
        if let Ok(decoded) = T::deserialize(&self.document) {
            return Ok(decoded);
        }
        match mem::take(&mut self.document) {
            Value::Object(entries) => self.prune_entries::<T>(entries)?,
            Value::Array(items) => self.document = self.prune_items::<T>(items)?,
            other => self.document = other,
        }
        self.prune()
    }

    /// Prunes a document that is a mapping: first the entries that are not divided, together; then the parts of the others, each
    /// beside the scalars alone, which hold all that a document must have.
    fn prune_entries<T: DeserializeOwned>(&mut self, entries: Map<String, Value>) -> Result<(), TooManyMistakes> {
        let (divided, undivided) = entries.into_iter().partition(|(key, value)| is_divided(key, value));
        self.document = Value::Object(undivided);
        self.prune::<T>()?;
        let mut whole = mem::take(&mut self.document);
        let scalars =
            whole.as_object().into_iter().flatten().filter(|(_, value)| !value.is_array() && !value.is_object());
        self.document = scalars.map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in divided {
            if let Some(value) = self.prune_entry::<T>(&key, value)? {
                whole[key] = value;
            }
        }
        self.document = whole;
        Ok(())
    }

    /// Prunes the entry `key` of the document, part by part. `None`: it was removed as a whole.
    fn prune_entry<T: DeserializeOwned>(&mut self, key: &str, value: Value) -> Result<Option<Value>, TooManyMistakes> {
        let mut pruned: Option<Value> = None;
        for part in parts(value) {
            let before = match &pruned {
                Some(Value::Array(items)) => items.len(),
                _ => 0,
            };
            self.offset = part.is_array().then_some((1, before));
            self.document[key] = part;
            self.prune::<T>()?;
            let left = self.document.as_object_mut().and_then(|entries| entries.shift_remove(key));
            match (&mut pruned, left) {
                (_, None) => {
                    self.offset = None;
                    return Ok(None);
                }
                (Some(Value::Array(items)), Some(Value::Array(mut more))) => items.append(&mut more),
                (Some(Value::Object(entries)), Some(Value::Object(mut more))) => entries.append(&mut more),
                (pruned, left) => *pruned = left,
            }
        }
        self.offset = None;
        Ok(pruned)
    }

    /// Prunes a document that is a list, item by item.
    fn prune_items<T: DeserializeOwned>(&mut self, items: Vec<Value>) -> Result<Value, TooManyMistakes> {
        let mut pruned = Vec::new();
        for item in items {
            self.offset = Some((0, pruned.len()));
            self.document = Value::Array(vec![item]);
            self.prune::<T>()?;
            if let Value::Array(left) = &mut self.document {
                pruned.append(left);
            }
        }
        self.offset = None;
        Ok(Value::Array(pruned))
    }

    /// Removes from the document what can't be decoded, until the rest can be.
    fn prune<T: DeserializeOwned>(&mut self) -> Result<T, TooManyMistakes> {
        loop {
            match serde_path_to_error::deserialize::<_, T>(&self.document) {
                Ok(decoded) => return Ok(decoded),
                Err(error) => {
                    let steps = self.existing(error.path());
                    self.mistake(steps, &error.inner().to_string());
                }
            }
            self.rounds += 1;
            if self.mistakes >= MAX_MISTAKES || self.rounds >= MAX_ROUNDS {
                let message = format!("more than {MAX_MISTAKES} mistakes; the rest is not shown");
                self.report(self.places.find(""), String::new(), "too_many_mistakes", message, None);
                return Err(TooManyMistakes);
            }
        }
    }

    /// Reports the mistake at `steps`, unless it is a consequence of another one, and removes the value from the document.
    fn mistake(&mut self, steps: Vec<PathStep>, message: &str) {
        let parent = self.written(&steps);
        let secrecy = self.secrecy(&parent.0);
        if let Secrecy::Secret(field) = secrecy {
            return self.wrong_secret(&steps, field);
        }
        match serde_message::read(message, if secrecy == Secrecy::Open { Found::Shown } else { Found::Concealed }) {
            ShapeError::UnknownField { field, expected } => self.unknown_field(steps, field, &expected),
            ShapeError::MissingField { field } => self.missing_field(&steps, parent, field),
            ShapeError::UnknownVariant { word, expected } => {
                let chosen = find(&mut self.document, &steps).and_then(|value| value.get(&word));
                let shown = secrecy == Secrecy::Open || chosen.is_some_and(|value| !value.is_null());
                let help = vocabulary::help(&word, &expected).unwrap_or_else(|| {
                    let otherwise = format!("the names here are {}", serde_message::list(&expected));
                    did_you_mean(&word, expected.iter().map(String::as_str), otherwise)
                });
                match shown {
                    true => self.invalid(&steps, parent, format!("`{word}` is not known here"), Some(help)),
                    false => self.invalid(&steps, parent, concealed_name(&expected), None),
                }
            }
            ShapeError::Invalid { message, help } => self.invalid(&steps, parent, message, help),
        }
    }

    fn secrecy<'p>(&self, path: &'p str) -> Secrecy<'p> {
        match secrecy(path) {
            Secrecy::Open if self.concealed => Secrecy::Above,
            secrecy => secrecy,
        }
    }

    fn unknown_field(&mut self, mut steps: Vec<PathStep>, field: String, expected: &[String]) {
        if steps.last() != Some(&PathStep::Key(field.clone())) {
            steps.push(PathStep::Key(field.clone()));
        }
        let (path, parent) = (self.written(&steps), self.written(&steps[..steps.len() - 1]));
        let place = self.places.find_key(&path.0);
        // A key without a value, as in `{hunter2}`, is more likely a value that lacks its field.
        let holds_secrets = self.secrecy(&parent.0) == Secrecy::Above;
        if holds_secrets && find(&mut self.document, &steps).is_none_or(|value| value.is_null()) {
            self.report(place, parent.0, "unknown_field", concealed_name(expected), None);
            return self.remove(&steps);
        }
        let nearest = nearest(&field, expected.iter().map(String::as_str));
        let meant = vocabulary::meant(&field, expected).or(nearest);
        if self.concealed && meant.is_none() {
            self.report(place, parent.0, "unknown_field", concealed_name(expected), None);
            return self.remove(&steps);
        }
        if let Some(meant) = meant {
            // The field that was meant is not reported as missing as well.
            self.lacking.insert(parent.key(meant).0);
        }
        let help = match (vocabulary::help(&field, expected), nearest) {
            (Some(help), _) => Some(help),
            (None, Some(nearest)) => Some(format!("did you mean `{nearest}`?")),
            (None, None) if expected.is_empty() => None,
            (None, None) => Some(format!("the fields here are {}", serde_message::list(expected))),
        };
        self.report(place, path.0, "unknown_field", format!("unknown field `{field}`"), help);
        self.remove(&steps);
    }

    fn missing_field(&mut self, steps: &[PathStep], parent: DocPath, field: String) {
        if !self.lacking.contains(&parent.key(&field).0) {
            let place = self.places.find(&parent.0);
            let message = format!("the field `{field}` is missing");
            let help = (field == "version").then(|| "begin the file with `version: 1`".to_owned());
            self.report(place, parent.0.clone(), "missing_field", message, help);
        }
        match (&mut self.document, steps.is_empty()) {
            // Removing the root would leave nothing to check: the field is added instead.
            (Value::Object(root), true) => {
                root.insert(field, Value::from(1));
            }
            _ => self.take_out(steps, parent.0),
        }
    }

    fn invalid(&mut self, steps: &[PathStep], path: DocPath, message: String, help: Option<String>) {
        if !self.lacking.contains(&path.0) && !self.lacks_child(&path.0) {
            let place = self.places.find(&path.0);
            self.report(place, path.0.clone(), "invalid_value", message, help);
        }
        self.take_out(steps, path.0);
    }

    /// Reports a mistake in the field of a secret, by the kind of what stands there alone.
    fn wrong_secret(&mut self, steps: &[PathStep], field: SecretField<'_>) {
        let depth = (0..=steps.len()).find(|&depth| self.written(&steps[..depth]).0 == field.path);
        let steps = &steps[..depth.unwrap_or(steps.len())];
        let found = find(&mut self.document, steps).map_or("nothing", |value| kind(value));
        let path = DocPath(field.path.to_owned());
        let (message, help) = match field.form {
            SecretForm::Source => (
                format!(
                    "a secret is kept elsewhere, and this field says where: expected a mapping with `env`, `file` or `credential`, found {found}"
                ),
                Some(
                    "write `{env: NAME}` for an environment variable, `{file: PATH}`, or `{credential: NAME}` under systemd",
                ),
            ),
            SecretForm::KeyFile => (
                format!("expected the path of a file with the key, found {found}"),
                Some("write the path of a PEM file, or `{credential: NAME}` under systemd"),
            ),
            SecretForm::Text => (format!("expected text, found {found}"), None),
        };
        self.invalid(steps, path, message, help.map(str::to_owned));
    }

    fn lacks_child(&self, path: &str) -> bool {
        self.lacking.iter().any(|lacking| {
            let below = lacking.strip_prefix(path).and_then(|rest| rest.strip_prefix('.').or(rest.strip_prefix('[')));
            below.is_some_and(|below| !below.contains(['.', '[']))
        })
    }

    fn report(&mut self, place: Place, path: String, code: &'static str, message: String, help: Option<String>) {
        self.mistakes += 1;
        self.diagnostics.push(Diagnostic { code, severity: Severity::Error, place, path, message, help });
    }

    fn take_out(&mut self, steps: &[PathStep], written: String) {
        self.lacking.insert(written);
        self.remove(steps);
    }

    /// Removes the value at `steps`; at the root, everything.
    fn remove(&mut self, steps: &[PathStep]) {
        let Some((last, before)) = steps.split_last() else {
            self.document = Value::Object(Default::default());
            return;
        };
        let (list, item) = (self.written(before).0, self.written(steps).0);
        match (find(&mut self.document, before), last) {
            (Some(Value::Object(entries)), PathStep::Key(key)) => {
                // Not `remove`, which would change the order of the others.
                entries.shift_remove(key);
            }
            (Some(Value::Array(items)), PathStep::Index(index)) if *index < items.len() => {
                items.remove(*index);
                if let Ok(index) = item[list.len()..].trim_matches(['[', ']']).parse() {
                    self.places.remove(&list, index);
                }
            }
            _ => {}
        }
    }

    /// `path` as far as it exists in the document.
    fn existing(&self, path: &serde_path_to_error::Path) -> Vec<PathStep> {
        let mut steps = Vec::new();
        let mut value = &self.document;
        for segment in path {
            let (step, next) = match segment {
                Segment::Seq { index } => (PathStep::Index(*index), value.get(index)),
                Segment::Map { key } | Segment::Enum { variant: key } => (PathStep::Key(key.clone()), value.get(key)),
                Segment::Unknown => break,
            };
            let Some(next) = next else { break };
            steps.push(step);
            value = next;
        }
        steps
    }

    /// `steps` as a path in the file.
    fn written(&self, steps: &[PathStep]) -> DocPath {
        let path = steps.iter().enumerate().fold(DocPath::root(), |path, (depth, step)| match (step, self.offset) {
            (PathStep::Key(key), _) => path.key(key),
            (PathStep::Index(index), Some((list, offset))) if list == depth => path.index(index + offset),
            (PathStep::Index(index), _) => path.index(*index),
        });
        DocPath(self.places.as_written(&path.0).into_owned())
    }
}

/// Whether the document's entry `key` has items or named things that are decoded each by itself.
fn is_divided(key: &str, value: &Value) -> bool {
    value.is_array() && LISTS.contains(&key) || value.is_object() && NAMED.contains(&key)
}

/// The parts of a divided entry, each with one item or named thing; one empty part if there are none.
fn parts(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) if !items.is_empty() => items.into_iter().map(|item| Value::Array(vec![item])).collect(),
        Value::Object(entries) if !entries.is_empty() => {
            entries.into_iter().map(|entry| Value::Object(Map::from_iter([entry]))).collect()
        }
        empty => vec![empty],
    }
}

/// What is said of a name that may be a secret.
fn concealed_name(expected: &[String]) -> String {
    format!("expected {}, found something else, which is not shown: it may be a secret", serde_message::list(expected))
}

/// What `value` is, without what it says.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping of another form",
    }
}

fn find<'v>(value: &'v mut Value, steps: &[PathStep]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        PathStep::Key(key) => value.get_mut(key),
        PathStep::Index(index) => value.get_mut(*index),
    })
}
