//! Write: a configuration as the text of a file.

use serde::Serialize;
use serde_json::Value;
use serde_path_to_error::{Serializer, Track};

use super::Config;

/// Largest configuration file in bytes. A folder may hold several.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// Why a configuration can't be written as a file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A value has no form in a file, such as a duration of half a millisecond or a key that stands twice in a mapping.
    #[error("{path}: {reason}")]
    Value {
        /// Where the value stands in the document, such as `routes[2].body_idle`.
        path: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// The text is longer than [`MAX_FILE_BYTES`].
    #[error("the file would have {bytes} bytes; at most {MAX_FILE_BYTES} are read")]
    TooLarge {
        /// Length of the text.
        bytes: usize,
    },
}

/// The text of a YAML file that loads to a value equal to `config`.
///
/// - What equals its default is left out, so a default configuration is `version: 1`.
/// - Quantities carry their unit (`250ms`, `64KiB`, `50/s`), and a value that has a short form is written in it:
///   `upstream: app`, `host: a.example`, `off`.
/// - `${` in a text is written as `$${`, because the loader would put a variable in otherwise. A configuration that was loaded
///   holds the values of variables, not their names.
/// - Secrets do not appear: a raw configuration holds where a secret is kept ([`SecretSource`](super::shape::SecretSource)),
///   never the secret, and API keys are known by their hashes. What an owner wrote as plain text, such as the value of a
///   response header, is written as it is.
/// - Comments and anchors are lost, and several files become one.
///
/// # Errors
/// [`WriteError`], if no file would load to this value.
pub fn to_yaml(config: &Config) -> Result<String, WriteError> {
    // By way of JSON values, as the loader reads: serde_yaml itself writes enums as tags (`!header X`), which the loader refuses.
    let mut track = Track::new();
    let written = config.serialize(Serializer::new(serde_json::value::Serializer, &mut track));
    let mut document =
        written.map_err(|error| WriteError::Value { path: track.path().to_string(), reason: error.to_string() })?;
    escape_variables(&mut document);
    let text = serde_yaml::to_string(&document).expect("BUG: JSON values with text as keys are YAML");
    if text.len() > MAX_FILE_BYTES {
        return Err(WriteError::TooLarge { bytes: text.len() });
    }
    Ok(text)
}

/// Writes every `${` below `value` as `$${`. Keys stay as they are: the loader puts variables into values only.
fn escape_variables(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape_variables),
        Value::Object(entries) => entries.values_mut().for_each(escape_variables),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
