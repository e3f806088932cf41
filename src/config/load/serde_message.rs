//! serde's error messages, parsed, and worded for someone who writes YAML.

/// A mistake in the shape of the document.
#[derive(Debug, PartialEq)]
pub(super) enum ShapeError {
    UnknownField { field: String, expected: Vec<String> },
    UnknownVariant { word: String, expected: Vec<String> },
    MissingField { field: String },
    Invalid { message: String, help: Option<String> },
}

/// Whether the value that was found is shown, or its kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Shown,
    Concealed,
}

/// Reads serde's `message`, whose forms are fixed by the default methods of `serde::de::Error`.
pub(super) fn read(message: &str, found: Found) -> ShapeError {
    if let Some(rest) = message.strip_prefix("missing field `") {
        return ShapeError::MissingField { field: rest.trim_end_matches('`').to_owned() };
    }
    if let Some((field, expected)) = unknown(message, "unknown field `") {
        return ShapeError::UnknownField { field, expected };
    }
    if let Some((word, expected)) = unknown(message, "unknown variant `") {
        return ShapeError::UnknownVariant { word, expected };
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((value, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            return unexpected(value, expected, found);
        }
    }
    ShapeError::Invalid { message: message.to_owned(), help: None }
}

/// Reads "unknown … `x`, expected one of `a`, `b`".
fn unknown(message: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix(prefix)?;
    match rest.rsplit_once("`, expected ") {
        // Every other piece between backticks is a name.
        Some((word, names)) => {
            Some((word.to_owned(), names.split('`').skip(1).step_by(2).map(str::to_owned).collect()))
        }
        None => rest.split_once("`, there are no ").map(|(word, _)| (word.to_owned(), Vec::new())),
    }
}

fn unexpected(found: &str, expected: &str, shown: Found) -> ShapeError {
    let wanted = match expected {
        "a string" | "a borrowed string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "map with a single key" => "a mapping with exactly one key",
        "string or map" => "a word or a mapping with one key",
        "a boolean" => "`true` or `false`",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    };
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    let what = match kind {
        "string" if shown == Found::Concealed => "text".to_owned(),
        "integer" | "floating" if shown == Found::Concealed => "a number".to_owned(),
        "boolean" if shown == Found::Concealed => "a boolean".to_owned(),
        "string" => format!("the text `{}`", value.trim_matches('"')),
        "integer" | "floating" => format!("the number {}", value.trim_start_matches("point ")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "null" | "unit" => "nothing".to_owned(),
        _ => found.to_owned(),
    };
    let help = match (wanted, kind) {
        ("text", "integer" | "floating" | "boolean") if shown == Found::Concealed => {
            Some("put it in quotes".to_owned())
        }
        ("text", "integer" | "floating" | "boolean") => {
            let value = value.trim_start_matches("point ").trim_matches('`');
            Some(format!("put it in quotes: `\"{value}\"`"))
        }
        ("a list", _) => Some("write `[…]`, or one line for each item, beginning with `- `".to_owned()),
        _ => None,
    };
    ShapeError::Invalid { message: format!("expected {wanted}, found {what}"), help }
}

/// `a`, `b` and `c`, in backticks.
pub(super) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_name_what_is_known() {
        let expected = vec!["timeouts".to_owned(), "tls".to_owned()];
        let read_as = |message| read(message, Found::Shown);
        assert_eq!(
            read_as("unknown field `timeout`, expected `timeouts` or `tls`"),
            ShapeError::UnknownField { field: "timeout".into(), expected }
        );
        assert_eq!(
            read_as("unknown field `a`b`, there are no fields"),
            ShapeError::UnknownField { field: "a`b".into(), expected: vec![] }
        );
        assert_eq!(read_as("missing field `name`"), ShapeError::MissingField { field: "name".into() });
    }

    #[test]
    fn types_are_named_as_yaml_names_them() {
        let said = |message| match read(message, Found::Shown) {
            ShapeError::Invalid { message, help } => (message, help.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            said("invalid type: integer `1`, expected a string"),
            ("expected text, found the number `1`".into(), "put it in quotes: `\"1\"`".into())
        );
        assert_eq!(said("invalid type: null, expected struct Listener").0, "expected a mapping, found nothing");
        assert_eq!(
            said("invalid type: string \"x\", expected a boolean").0,
            "expected `true` or `false`, found the text `x`"
        );
        assert_eq!(said("`30` has no unit").0, "`30` has no unit");
    }

    #[test]
    fn a_concealed_value_is_told_by_its_kind() {
        for (found, kind) in
            [("string \"hunter2\"", "text"), ("integer `2`", "a number"), ("floating point `2.5`", "a number")]
        {
            let message = format!("invalid type: {found}, expected a map");
            let ShapeError::Invalid { message, help } = read(&message, Found::Concealed) else { panic!("{message}") };
            assert_eq!((message, help), (format!("expected a mapping, found {kind}"), None));
        }
        let ShapeError::Invalid { help, .. } = read("invalid type: integer `2`, expected a string", Found::Concealed)
        else {
            panic!("another mistake");
        };
        assert_eq!(help.as_deref(), Some("put it in quotes"));
    }
}
