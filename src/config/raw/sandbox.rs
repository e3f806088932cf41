//! The sandbox of the process: `process.sandbox`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, WordOrMap, is_default, word_or_map};

/// Whether the process gives up the right to open what it was not given. `off`, `best_effort` and `required` are short for a `mode`
/// alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    /// Whether it does.
    pub mode: SandboxMode,
    /// What it may read besides.
    pub readable: Vec<String>,
}

/// Whether the process gives up the right to open what it was not given, and what it is given besides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// `best_effort` (default), `required` or `off`.
    #[serde(default, skip_serializing_if = "is_default")]
    mode: SandboxMode,
    /// Files, and folders with all beneath them, that the process may read besides those that its configuration names when it
    /// starts: those that a later reload will name.
    #[serde(default, skip_serializing_if = "is_default")]
    readable: Vec<String>,
}

/// Whether the process gives up the right to open what it was not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// As far as the kernel can.
    #[default]
    BestEffort,
    /// It does not start otherwise.
    Required,
    /// It does not.
    Off,
}

impl FromWord for Sandbox {
    const EXPECTING: &'static str = "`best_effort`, `required`, `off`, or a mapping such as `{readable: [PATH]}`";
    fn from_word(word: &str) -> Result<Self, String> {
        let mode = match word {
            "best_effort" => SandboxMode::BestEffort,
            "required" => SandboxMode::Required,
            "off" => SandboxMode::Off,
            _ => return Err(format!("unknown mode `{word}`, expected {}", Self::EXPECTING)),
        };
        Ok(Sandbox { mode, readable: Vec::new() })
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["best_effort", "required", "off", false] })
    }
}

impl From<SandboxSettings> for Sandbox {
    fn from(form: SandboxSettings) -> Self {
        Sandbox { mode: form.mode, readable: form.readable }
    }
}

impl From<&Sandbox> for WordOrMap<SandboxSettings> {
    fn from(value: &Sandbox) -> Self {
        let Sandbox { mode, readable } = value.clone();
        match (mode, readable.is_empty()) {
            (SandboxMode::Required, true) => WordOrMap::word("required"),
            (SandboxMode::Off, true) => WordOrMap::word("off"),
            _ => WordOrMap::Map(SandboxSettings { mode, readable }),
        }
    }
}

word_or_map!(Sandbox, SandboxSettings);
