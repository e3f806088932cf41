//! What answers carry: headers, framing, error pages.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::facts::Facts;
use super::guard::Guard;
use super::{Effect, header};
use crate::decision::response::ResponseRules;
use crate::decision::response::program::{HeaderProgram, HeaderStep};

pub(super) fn facts(rules: &ResponseRules, facts: &mut Facts) {
    if let Some(framing) = rules.framing() {
        let directive = String::from_utf8_lossy(framing.directive().as_bytes()).into_owned();
        let guard = Guard::Demands(header::content_security(&directive.to_ascii_lowercase()));
        facts.tell(Effect::Framing, "", directive).guard(guard);
    }
    for (name, operations) in by_header(rules.program()) {
        let words: Vec<String> = operations.iter().map(|(_, words, _)| words.clone()).collect();
        let guards = operations.into_iter().flat_map(|(strength, _, guard)| [Guard::Rank(strength), guard]);
        facts.tell(Effect::Header, name, words.join(", then ")).guard(Guard::All(guards.collect()));
    }
    for (key, page) in rules.pages().iter() {
        let content_type = String::from_utf8_lossy(page.content_type().as_bytes()).into_owned();
        facts.tell(Effect::ErrorPage, key.to_string(), content_type).seal([format!("{page:?}")]);
    }
}

/// What is done to a header: how strictly, in words, and how the value guards.
type Operation = (u8, String, Guard);

/// An origin has no say.
const STRICT: u8 = 2;
/// It depends on what the origin sent.
const LENIENT: u8 = 1;

/// The operations on each header, in the order in which they are applied.
fn by_header(program: &HeaderProgram) -> BTreeMap<&str, Vec<Operation>> {
    let mut headers: BTreeMap<_, Vec<Operation>> = BTreeMap::new();
    for step in program.steps() {
        let (name, operation) = match step {
            HeaderStep::Remove(name) => (name, (STRICT, "removed".to_owned(), Guard::Neutral)),
            HeaderStep::Rename(old, new) => (old, (LENIENT, format!("renamed to {new}"), Guard::Neutral)),
            HeaderStep::Replace(name, value) => (name, valued(LENIENT, name, value, " if present")),
            HeaderStep::Default(name, value) => (name, valued(LENIENT, name, value, " if absent")),
            HeaderStep::Set(name, value) => (name, valued(STRICT, name, value, "")),
            HeaderStep::Append(name, value) => (name, valued(LENIENT, name, value, " added")),
        };
        headers.entry(name.as_str()).or_default().push(operation);
    }
    headers
}

fn valued(strength: u8, name: &HeaderName, value: &HeaderValue, condition: &str) -> Operation {
    let words = format!("{}{condition}", String::from_utf8_lossy(value.as_bytes()));
    (strength, words, header::guard(name, value.as_bytes()))
}
