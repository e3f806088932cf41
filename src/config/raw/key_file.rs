//! Where a private key is kept.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, WordOrMap, word_or_map};

/// A PEM file with a private key: its path, or `{credential: NAME}` for a credential of the service manager.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyFile {
    /// A path.
    Path(String),
    /// The name of a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// The mapping form.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCredential {
    /// The name of a credential that systemd passes to the service (`LoadCredential=`): a file in `$CREDENTIALS_DIRECTORY`.
    credential: String,
}

impl FromWord for KeyFile {
    const EXPECTING: &'static str = "the path of a file, or `{credential: NAME}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(KeyFile::Path(word.to_owned()))
    }
}

impl From<KeyCredential> for KeyFile {
    fn from(form: KeyCredential) -> Self {
        KeyFile::Credential(form.credential)
    }
}

impl From<&KeyFile> for WordOrMap<KeyCredential> {
    fn from(file: &KeyFile) -> Self {
        match file {
            KeyFile::Path(path) => WordOrMap::word(path.as_str()),
            KeyFile::Credential(name) => WordOrMap::Map(KeyCredential { credential: name.clone() }),
        }
    }
}

word_or_map!(KeyFile, KeyCredential);

/// As messages name it.
impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFile::Path(path) => f.write_str(path),
            KeyFile::Credential(name) => write!(f, "{{credential: {name}}}"),
        }
    }
}
