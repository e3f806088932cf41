//! Load: files, merged folders and environment variables into [`raw::Config`], with the place of every value.
//!
//! Two parsers read each file: `serde_yaml` for the values, `saphyr-parser` for their places, since `serde_yaml` gives the
//! place of a syntax error only. A file that either of them refuses is refused, so that no file is read in two ways. Every
//! mistake becomes a [`Diagnostic`]; one mistake does not hide the next.

mod decode;
mod file;
mod merge;
mod report;
mod scan;
mod secret_fields;
mod serde_message;
mod source_map;
mod system;
mod values;
mod variables;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::io;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::environment::Environment;
use super::raw;
use crate::diagnostics::{Diagnostic, Place, Severity};
use file::ParsedFile;
use report::{file_error, start_of};

pub use source_map::SourceMap;
pub use system::SystemEnvironment;

/// A configuration as written, as far as it could be read.
#[derive(Debug, Default)]
pub struct Document {
    /// What was written.
    pub config: raw::Config,
    /// Where it stands in the files.
    pub places: SourceMap,
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
    let mut whole: Option<ParsedFile> = None;
    let mut diagnostics = Vec::new();
    let mut broken = false;
    let files = files(path, environment)?;
    if !files.iter().any(|file| file == path) {
        diagnostics.extend(writable(path, environment));
    }
    for file in files {
        let content = if file == path { environment.read_at_start(path) } else { environment.read(&file) };
        let content = content.map_err(|error| vec![unreadable(&file, &error)])?;
        diagnostics.extend(writable(&file, environment));
        let (part, found) = file::parse(&file, &content);
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
    match file::parse(name, content) {
        (Some(part), diagnostics) => document(part, diagnostics, environment),
        (None, diagnostics) => Err(diagnostics),
    }
}

/// A list as written, as far as it could be read.
pub(super) struct LoadedList<T> {
    pub items: Vec<T>,
    pub places: SourceMap,
    /// What is wrong with its shape. With an error among them, `items` lacks what was wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads `content` as the file `name`, which holds a list and nothing else. Variables are not put in: it may be written by
/// a program that knows nothing of them.
///
/// # Errors
/// As [`load`].
pub(super) fn load_list<T: DeserializeOwned>(name: &str, content: &[u8]) -> Result<LoadedList<T>, Vec<Diagnostic>> {
    let (parsed, mut diagnostics) = file::read(name, content);
    let Some((value, node)) = parsed else { return Err(diagnostics) };
    match value {
        Value::Array(_) => {}
        Value::Null => return Ok(LoadedList { items: Vec::new(), places: SourceMap::new(&node), diagnostics }),
        _ => {
            let message = "the file holds a list, such as `- 127.0.0.1:9001`";
            diagnostics.push(file_error(start_of(name), "invalid_value", message.into()));
            return Err(diagnostics);
        }
    }
    match decode::decode(value, SourceMap::new(&node), Vec::new(), &mut diagnostics) {
        Some(decode::Decoded { config: items, places, .. }) => Ok(LoadedList { items, places, diagnostics }),
        None => Err(diagnostics),
    }
}

/// Reads `content` as the file `name`, which holds one mapping with secrets, or with what stands for them: no value of it is
/// shown. Variables are not put in.
///
/// # Errors
/// What is wrong with it.
pub(super) fn load_secret_mapping<T: DeserializeOwned>(name: &str, content: &[u8]) -> Result<T, Vec<Diagnostic>> {
    let (parsed, mut diagnostics) = file::read(name, content);
    let Some((value, node)) = parsed else { return Err(diagnostics) };
    if !value.is_object() {
        diagnostics.push(file_error(
            start_of(name),
            "invalid_value",
            "the file holds something else than a mapping".into(),
        ));
        return Err(diagnostics);
    }
    match decode::decode_concealed(value, SourceMap::new(&node), &mut diagnostics) {
        Some(decode::Decoded { config, .. }) if diagnostics.is_empty() => Ok(config),
        _ => Err(diagnostics),
    }
}

/// The files of a configuration, in the order of merging.
fn files(path: &str, environment: &dyn Environment) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut names = match environment.list_dir(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(vec![path.to_owned()]),
        Err(error) => return Err(vec![unreadable(path, &error)]),
    };
    names.retain(|name| is_part(name));
    names.sort();
    if names.is_empty() {
        return Err(vec![file_error(
            start_of(path),
            "folder_empty",
            "the folder holds no *.yaml or *.yml file".into(),
        )]);
    }
    let folder = path.trim_end_matches('/');
    Ok(names.into_iter().map(|name| format!("{folder}/{name}")).collect())
}

/// Whether the file called `name` is part of the configuration in its folder.
pub(super) fn is_part(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// Substitutes the variables and decodes the document.
fn document(
    mut part: ParsedFile,
    mut diagnostics: Vec<Diagnostic>,
    environment: &dyn Environment,
) -> Result<Document, Vec<Diagnostic>> {
    let places = SourceMap::new(&part.node);
    let mut failed = variables::expand(&mut part.value, &places, environment, &mut diagnostics);
    for path in secret_fields::take_lists_out(&mut part.value) {
        let (code, severity) = ("invalid_value", Severity::Error);
        let (place, message) = (places.find(&path.0), "expected a mapping, found a list".to_owned());
        diagnostics.push(Diagnostic { code, severity, place, path: path.0.clone(), message, help: None });
        failed.push(path.0);
    }
    match decode::decode(part.value, places, failed, &mut diagnostics) {
        Some(decode::Decoded { config, places, lacking }) => Ok(Document { config, places, diagnostics, lacking }),
        None => Err(diagnostics),
    }
}

/// Warns of a file or folder of the configuration that everyone can write to.
fn writable(path: &str, environment: &dyn Environment) -> Option<Diagnostic> {
    let mode = environment.mode(path).filter(|mode| mode & 0o002 != 0)?;
    Some(Diagnostic {
        code: "file_writable",
        severity: Severity::Warning,
        place: Place { file: path.into(), line: 0, column: 0 },
        path: String::new(),
        message: format!("every user of this machine can change the configuration (mode {mode:03o})"),
        help: Some(format!("`chmod o-w {path}`")),
    })
}

fn unreadable(file: &str, error: &io::Error) -> Diagnostic {
    let place = Place { file: file.into(), line: 0, column: 0 };
    file_error(place, "file_unreadable", format!("cannot be read: {error}"))
}
