//! Decode: from plain values to what they say, such as a [`raw::Config`](crate::config::raw::Config), reporting everything
//! that does not fit in one run.
//!
//! serde stops at the first mistake. So the mistake is reported, what is wrong is taken out of the document, and the
//! rest is tried again; a mistake that only exists because of what was taken out is not reported.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::MAX_MISTAKES;
use super::places::Places;
use super::words::{self, Mistake};
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Place, Severity, nearest};

/// How often the document is tried: mistakes and what they drag along.
const MAX_ROUNDS: usize = 4 * MAX_MISTAKES;

pub(super) struct Decoded<T> {
    pub config: T,
    pub places: Places,
    /// Paths, as written, that the configuration lacks because of mistakes.
    pub lacking: Vec<String>,
}

/// Decodes `value`, or gives up on too many mistakes. `failed` are paths whose mistake is already reported.
pub(super) fn decode<T: DeserializeOwned>(
    value: Value,
    places: Places,
    failed: Vec<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Decoded<T>> {
    let mut decoder = Decoder { value, places, lacking: failed.into_iter().collect(), diagnostics, mistakes: 0 };
    let config = decoder.run()?;
    Some(Decoded { config, places: decoder.places, lacking: decoder.lacking.into_iter().collect() })
}

struct Decoder<'a> {
    value: Value,
    places: Places,
    lacking: HashSet<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
    mistakes: usize,
}

/// One step into the document.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Decoder<'_> {
    fn run<T: DeserializeOwned>(&mut self) -> Option<T> {
        for _ in 0..MAX_ROUNDS {
            match serde_path_to_error::deserialize::<_, T>(&self.value) {
                Ok(config) => return Some(config),
                Err(error) => {
                    let steps = self.existing(error.path());
                    self.mistake(steps, &error.inner().to_string());
                }
            }
            if self.mistakes >= MAX_MISTAKES {
                break;
            }
        }
        let message = format!("more than {MAX_MISTAKES} mistakes; the rest is not shown");
        self.report(self.places.find(""), String::new(), "too_many_mistakes", message, None);
        None
    }

    /// Reports the mistake at `steps`, unless another one caused it, and takes it out of the document.
    fn mistake(&mut self, mut steps: Vec<Step>, message: &str) {
        let parent = self.written(&steps);
        match words::read(message) {
            Mistake::UnknownField { field, expected } => {
                if steps.last() != Some(&Step::Key(field.clone())) {
                    steps.push(Step::Key(field.clone()));
                }
                let path = self.written(&steps);
                let nearest = nearest(&field, expected.iter().map(String::as_str)).map(str::to_owned);
                if let Some(nearest) = &nearest {
                    // What was meant is not missing on top of it.
                    self.lacking.insert(self.written(&steps[..steps.len() - 1]).key(nearest).0);
                }
                let help = match nearest {
                    Some(nearest) => Some(format!("did you mean `{nearest}`?")),
                    None if expected.is_empty() => None,
                    None => Some(format!("the fields here are {}", words::list(&expected))),
                };
                let place = self.places.find_key(&path.0);
                self.report(place, path.0, "unknown_field", format!("unknown field `{field}`"), help);
                self.remove(&steps);
            }
            Mistake::MissingField { field } => {
                if !self.lacking.contains(&parent.key(&field).0) {
                    let place = self.places.find(&parent.0);
                    let message = format!("the field `{field}` is missing");
                    let help = (field == "version").then(|| "begin the file with `version: 1`".to_owned());
                    self.report(place, parent.0.clone(), "missing_field", message, help);
                }
                match (&mut self.value, steps.is_empty()) {
                    // Without the root nothing is left to check: give what is missing instead.
                    (Value::Object(root), true) => {
                        root.insert(field, Value::from(1));
                    }
                    _ => self.take_out(&steps, parent.0),
                }
            }
            Mistake::Invalid { message, help } => {
                let known = self.lacking.contains(&parent.0) || self.lacks_child(&parent.0);
                if !known {
                    let place = self.places.find(&parent.0);
                    self.report(place, parent.0.clone(), "invalid_value", message, help);
                }
                self.take_out(&steps, parent.0);
            }
        }
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

    fn take_out(&mut self, steps: &[Step], written: String) {
        self.lacking.insert(written);
        self.remove(steps);
    }

    /// Removes what stands at `steps`; at the root, everything.
    fn remove(&mut self, steps: &[Step]) {
        let Some((last, before)) = steps.split_last() else {
            self.value = Value::Object(Default::default());
            return;
        };
        let (list, item) = (self.written(before).0, self.written(steps).0);
        match (find(&mut self.value, before), last) {
            (Some(Value::Object(entries)), Step::Key(key)) => {
                // Not `remove`, which would change the order of the others.
                entries.shift_remove(key);
            }
            (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                if let Ok(index) = item[list.len()..].trim_matches(['[', ']']).parse() {
                    self.places.remove(&list, index);
                }
            }
            _ => {}
        }
    }

    /// `path` as far as it exists in the document.
    fn existing(&self, path: &serde_path_to_error::Path) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut value = &self.value;
        for segment in path {
            let (step, next) = match segment {
                Segment::Seq { index } => (Step::Index(*index), value.get(index)),
                Segment::Map { key } | Segment::Enum { variant: key } => (Step::Key(key.clone()), value.get(key)),
                Segment::Unknown => break,
            };
            let Some(next) = next else { break };
            steps.push(step);
            value = next;
        }
        steps
    }

    /// `steps` as a path in the file.
    fn written(&self, steps: &[Step]) -> DocPath {
        let path = steps.iter().fold(DocPath::root(), |path, step| match step {
            Step::Key(key) => path.key(key),
            Step::Index(index) => path.index(*index),
        });
        DocPath(self.places.as_written(&path.0).into_owned())
    }
}

fn find<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(*index),
    })
}
