//! Load: files, merged folders and environment variables into [`raw::Config`], with the place of every value.
//!
//! Two parsers read each file: `serde_yaml` for the values, `saphyr-parser` for where they stand. A file that either of
//! them refuses is refused, so that no file has two readings. Every mistake becomes a [`Diagnostic`]; one mistake does
//! not hide the next.

mod decode;
mod merge;
mod places;
mod scan;
mod system;
mod values;
mod variables;
mod words;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::compile::Environment;
use super::raw::{self, MAX_FILE_BYTES};
use crate::diagnostics::{Diagnostic, Place, Severity};

pub use places::Places;
pub use system::SystemEnvironment;

/// How many mistakes of each kind (of structure, of shape) one run reports. Beyond, the file is not what its owner
/// meant to show.
const MAX_MISTAKES: usize = 200;

/// A configuration as written, as far as it could be read.
#[derive(Debug, Default)]
pub struct Document {
    /// What was written.
    pub config: raw::Config,
    /// Where it stands in the files.
    pub places: Places,
    /// What is wrong with the shape of the document. With an error among them, `config` lacks what was wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Paths (as written) that `config` lacks because of those errors, so that nobody reports their absence.
    pub(super) lacking: Vec<String>,
}

/// Reads the configuration at `path`: a YAML file, or a folder whose `*.yaml` and `*.yml` files are merged.
///
/// # Errors
/// What is wrong, when there is no document to go on with: files that can't be read, that are
/// not YAML, or that hold too many mistakes.
pub fn load(path: &str, environment: &dyn Environment) -> Result<Document, Vec<Diagnostic>> {
    let mut whole: Option<Part> = None;
    let mut diagnostics = Vec::new();
    let mut broken = false;
    for file in files(path, environment)? {
        let content = environment.read(&file).map_err(|error| vec![unreadable(&file, &error)])?;
        let (part, found) = parse(&file, &content);
        diagnostics.extend(found);
        match (part, &mut whole) {
            (None, _) => broken = true,
            (Some(part), None) => whole = Some(part),
            (Some(part), Some(whole)) => merge::merge(whole, part, &mut diagnostics),
        }
    }
    match whole {
        Some(part) if !broken => document(part, diagnostics, environment),
        _ => Err(diagnostics),
    }
}

/// Reads `content` as the configuration file `name`.
///
/// # Errors
/// As [`load`].
pub fn load_text(name: &str, content: &[u8], environment: &dyn Environment) -> Result<Document, Vec<Diagnostic>> {
    match parse(name, content) {
        (Some(part), diagnostics) => document(part, diagnostics, environment),
        (None, diagnostics) => Err(diagnostics),
    }
}

/// A list as written, as far as it could be read.
pub(super) struct List<T> {
    pub items: Vec<T>,
    pub places: Places,
    /// What is wrong with its shape. With an error among them, `items` lacks what was wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads `content` as the file `name`, which holds a list and nothing else. Variables are not put in: it may be written by
/// a program that knows nothing of them.
///
/// # Errors
/// As [`load`].
pub(super) fn list<T: DeserializeOwned>(name: &str, content: &[u8]) -> Result<List<T>, Vec<Diagnostic>> {
    let (parsed, mut diagnostics) = read(name, content);
    let Some((value, node)) = parsed else { return Err(diagnostics) };
    match value {
        Value::Array(_) => {}
        Value::Null => return Ok(List { items: Vec::new(), places: Places::new(&node), diagnostics }),
        _ => {
            let message = "the file holds a list, such as `- 127.0.0.1:9001`";
            diagnostics.push(fault(start_of(name), "invalid_value", message.into()));
            return Err(diagnostics);
        }
    }
    match decode::decode(value, Places::new(&node), Vec::new(), &mut diagnostics) {
        Some(decode::Decoded { config: items, places, .. }) => Ok(List { items, places, diagnostics }),
        None => Err(diagnostics),
    }
}

/// The files of a configuration, in the order in which they are merged.
fn files(path: &str, environment: &dyn Environment) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut names = match environment.list_dir(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(vec![path.to_owned()]),
        Err(error) => return Err(vec![unreadable(path, &error)]),
    };
    names.retain(|name| is_part(name));
    names.sort();
    if names.is_empty() {
        return Err(vec![fault(start_of(path), "folder_empty", "the folder holds no *.yaml or *.yml file".into())]);
    }
    let folder = path.trim_end_matches('/');
    Ok(names.into_iter().map(|name| format!("{folder}/{name}")).collect())
}

/// Whether the file called `name` is part of the configuration in its folder.
pub(super) fn is_part(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// One file, parsed: its values, and beside them where they stand.
struct Part {
    /// Always an object.
    value: Value,
    node: places::Node,
}

/// Parses one file of a configuration; `None` when there is nothing to go on with.
fn parse(name: &str, content: &[u8]) -> (Option<Part>, Vec<Diagnostic>) {
    let (parsed, mut diagnostics) = read(name, content);
    match parsed {
        None => (None, diagnostics),
        Some((value @ Value::Object(_), node)) => (Some(Part { value, node }), diagnostics),
        Some((Value::Null, node)) => (Some(Part { value: Value::Object(Default::default()), node }), diagnostics),
        Some((_, node)) => {
            let message = "a configuration is a mapping such as `version: 1`";
            diagnostics.push(fault(node.value, "invalid_value", message.into()));
            (None, diagnostics)
        }
    }
}

/// Reads one YAML file; `None` when there is nothing to go on with.
fn read(name: &str, content: &[u8]) -> (Option<(Value, places::Node)>, Vec<Diagnostic>) {
    let file: Arc<str> = name.into();
    if content.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_FILE_BYTES} are read", content.len());
        return (None, vec![fault(start_of(name), "file_too_large", message)]);
    }
    let text = match std::str::from_utf8(content) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let place = end_of(&file, &content[..error.valid_up_to()]);
            return (None, vec![fault(place, "invalid_utf8", "the file is not UTF-8 text from here on".into())]);
        }
    };

    let scan::Scanned { node, mut diagnostics, refused } = scan::scan(&file, text);
    if refused {
        return (None, diagnostics);
    }
    let node = node.unwrap_or_else(|| places::Node::leaf(Place { file: file.clone(), line: 1, column: 1 }));
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

/// Puts in the variables and gives the whole its type.
fn document(
    mut part: Part,
    mut diagnostics: Vec<Diagnostic>,
    environment: &dyn Environment,
) -> Result<Document, Vec<Diagnostic>> {
    let places = Places::new(&part.node);
    let unset = variables::expand(&mut part.value, &places, environment, &mut diagnostics);
    match decode::decode(part.value, places, unset, &mut diagnostics) {
        Some(decode::Decoded { config, places, lacking }) => Ok(Document { config, places, diagnostics, lacking }),
        None => Err(diagnostics),
    }
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
    // Like the other one, this parser counts a line behind the last.
    fault(place.min(end_of(file, text.as_bytes())), "yaml_syntax", message)
}

fn unreadable(file: &str, error: &io::Error) -> Diagnostic {
    let place = Place { file: file.into(), line: 0, column: 0 };
    fault(place, "file_unreadable", format!("cannot be read: {error}"))
}

fn fault(place: Place, code: &'static str, message: String) -> Diagnostic {
    Diagnostic { code, severity: Severity::Error, place, path: String::new(), message, help: None }
}

fn start_of(file: &str) -> Place {
    Place { file: file.into(), line: 1, column: 1 }
}

/// The place after `valid`, which is UTF-8.
fn end_of(file: &Arc<str>, valid: &[u8]) -> Place {
    // YAML 1.2 §5.4: a line ends with LF, CR or both.
    let lone_returns = valid.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
    let line = 1 + lone_returns + valid.iter().filter(|&&b| b == b'\n').count() + usize::from(valid.ends_with(b"\r"));
    let last = valid.rsplit(|&b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
    // Continuation bytes begin with 10: every other byte begins a character.
    let column = 1 + last.iter().filter(|&&b| b & 0xc0 != 0x80).count();
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { file: file.clone(), line: small(line), column: small(column) }
}
