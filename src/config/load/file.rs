//! File: one YAML file as values, with the place of each.

use std::sync::Arc;

use serde_json::Value;

use super::report::{end_of, file_error, start_of};
use super::source_map::SourceNode;
use super::{scan, values};
use crate::config::raw::MAX_FILE_BYTES;
use crate::diagnostics::{Diagnostic, Place};

/// One file, parsed: its values, and beside them where they stand.
pub(super) struct ParsedFile {
    /// Always an object.
    pub value: Value,
    pub node: SourceNode,
}

/// Parses one file of a configuration; `None` when there is nothing to go on with.
pub(super) fn parse(name: &str, content: &[u8]) -> (Option<ParsedFile>, Vec<Diagnostic>) {
    let (parsed, mut diagnostics) = read(name, content);
    match parsed {
        None => (None, diagnostics),
        Some((value @ Value::Object(_), node)) => (Some(ParsedFile { value, node }), diagnostics),
        Some((Value::Null, node)) => (Some(ParsedFile { value: Value::Object(Default::default()), node }), diagnostics),
        Some((_, node)) => {
            let message = "a configuration is a mapping such as `version: 1`";
            diagnostics.push(file_error(node.value, "invalid_value", message.into()));
            (None, diagnostics)
        }
    }
}

/// Reads one YAML file; `None` when there is nothing to go on with.
pub(super) fn read(name: &str, content: &[u8]) -> (Option<(Value, SourceNode)>, Vec<Diagnostic>) {
    let file: Arc<str> = name.into();
    if content.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_FILE_BYTES} are read", content.len());
        return (None, vec![file_error(start_of(name), "file_too_large", message)]);
    }
    let text = match std::str::from_utf8(content) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let place = end_of(&file, &content[..error.valid_up_to()]);
            return (None, vec![file_error(place, "invalid_utf8", "the file is not UTF-8 text from here on".into())]);
        }
    };

    let scan::ScannedFile { node, mut diagnostics, refused } = scan::scan(&file, text);
    if refused {
        return (None, diagnostics);
    }
    let node = node.unwrap_or_else(|| SourceNode::leaf(Place { file: file.clone(), line: 1, column: 1 }));
    let value = match values::values(text) {
        Ok(value) => value,
        Err(error) => {
            // What the scanner said of a duplicate key or a tag is clearer than what the other parser makes of it.
            if diagnostics.is_empty() {
                diagnostics.push(syntax_error(&file, text, &error));
            }
            return (None, diagnostics);
        }
    };
    (Some((value, node)), diagnostics)
}

fn syntax_error(file: &Arc<str>, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let mut message = error.to_string();
    let mut place = Place { file: file.clone(), line: 1, column: 1 };
    if let Some(location) = error.location() {
        place.line = location.line().try_into().unwrap_or(u32::MAX);
        place.column = location.column().try_into().unwrap_or(u32::MAX);
        let suffix = format!(" at line {} column {}", location.line(), location.column());
        if let Some(short) = message.strip_suffix(&suffix) {
            message.truncate(short.len());
        }
    }
    // What stands under a tag such as `!!int` is quoted, and may be a secret.
    if let Some((path, _)) = message.split_once("invalid value: ").or(message.split_once("invalid type: ")) {
        message = format!("{path}the value is not what its tag says");
    }
    // Like the other one, this parser counts a line behind the last.
    file_error(place.min(end_of(file, text.as_bytes())), "yaml_syntax", message)
}
