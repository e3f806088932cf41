//! Variables: `${NAME}` and `${NAME:-default}` in the values of the document; `$${` is a literal `${`.
//!
//! They are substituted after parsing, so that no variable can add a setting; the result is always text.

use serde_json::Value;

use super::secret_fields::{self, Secrecy, secrecy};
use super::source_map::SourceMap;
use crate::config::doc_path::DocPath;
use crate::config::environment::Environment;
use crate::config::shown;
use crate::diagnostics::{Diagnostic, Severity};

/// Substitutes the variables in every text of `value`. Returns the paths whose variable was missing.
pub(super) fn expand(
    value: &mut Value,
    places: &SourceMap,
    environment: &dyn Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut walk = VariableExpansion { places, environment, diagnostics, failed: Vec::new() };
    walk.value(&DocPath::root(), value);
    walk.failed
}

struct VariableExpansion<'a> {
    places: &'a SourceMap,
    environment: &'a dyn Environment,
    diagnostics: &'a mut Vec<Diagnostic>,
    failed: Vec<String>,
}

impl VariableExpansion<'_> {
    fn value(&mut self, path: &DocPath, value: &mut Value) {
        match value {
            Value::String(text) if text.contains("${") => match substitute(text, self.environment) {
                Ok(new) => *text = new,
                Err(fault) => self.report(path, fault),
            },
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&path.index(index), item);
                }
            }
            Value::Object(entries) => {
                for (key, entry) in entries {
                    self.value(&path.key(key), entry);
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn report(&mut self, path: &DocPath, fault: VariableError) {
        let in_a_secret = secrecy(&path.0) != Secrecy::Open;
        let (code, message, help) = match fault {
            VariableError::Unset(name) if in_a_secret && shown::variable(&name).is_none() => (
                "variable_unset",
                "an environment variable is not set; its name is not shown, since it may be part of a secret"
                    .to_owned(),
                "set it; `$${` stands for a literal `${`".to_owned(),
            ),
            VariableError::Unset(name) => (
                "variable_unset",
                format!("the environment variable `{name}` is not set"),
                format!("set it, or give a default: `${{{name}:-…}}`"),
            ),
            VariableError::Syntax(why) => (
                "variable_syntax",
                why.to_owned(),
                "write `${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`".to_owned(),
            ),
        };
        self.failed.push(path.0.clone());
        self.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            place: self.places.find(&path.0),
            path: secret_fields::shown(path.0.clone()),
            message,
            help: Some(help),
        });
    }
}

#[derive(Debug, PartialEq)]
enum VariableError {
    Unset(String),
    Syntax(&'static str),
}

fn substitute(text: &str, environment: &dyn Environment) -> Result<String, VariableError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let (reference, tail) = after.split_once('}').ok_or(VariableError::Syntax("`${` has no closing `}`"))?;
        result.push_str(&resolve(reference, environment)?);
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}

/// The value of `NAME` or `NAME:-default`. As in a shell, the default also replaces an empty value.
fn resolve(reference: &str, environment: &dyn Environment) -> Result<String, VariableError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err(VariableError::Syntax("the name of a variable has only letters, digits and `_`, no digit first"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(VariableError::Syntax("a default can't hold another variable"));
    }
    match (environment.variable(name), default) {
        (Some(value), default) if !value.is_empty() || default.is_none() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (_, None) => Err(VariableError::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Fake;

    impl Environment for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "SET" => Some("value".into()),
                "EMPTY" => Some(String::new()),
                "TRICKY" => Some("${SET}: [x".into()),
                _ => None,
            }
        }
        fn read(&self, _: &str) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, expected) in [
            ("a ${SET} b", "a value b"),
            ("${SET}${SET}", "valuevalue"),
            ("${UNSET:-1.2.3.4:80}", "1.2.3.4:80"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${UNSET:-}", ""),
            ("$${SET} $ $$ {SET}", "${SET} $ $$ {SET}"),
            ("${TRICKY}", "${SET}: [x"),
        ] {
            assert_eq!(substitute(text, &Fake).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(substitute("${UNSET}", &Fake), Err(VariableError::Unset("UNSET".into())));
        for text in ["${SET", "${}", "${A B}", "${1A}", "${UNSET:-${SET}}", "${SET-x}"] {
            assert!(matches!(substitute(text, &Fake), Err(VariableError::Syntax(_))), "{text}");
        }
    }
}
