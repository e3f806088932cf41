//! What is recorded and shown: `access_log`, `admin`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, SecretSource, WordOrMap, is_default, word_or_map};
use super::units::{Count, Span};

/// The access log: one line for each request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// `json` (default), `combined`, or `{template: "…"}` with fields such as `{status}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Format,
    /// `stdout` (default), `off`, or `{file: path}`; a file is reopened on SIGUSR1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// How many lines may wait to be written; beyond, lines are dropped and counted. Default 8192.
    #[serde(default, skip_serializing_if = "is_default")]
    pub queue: Option<Count>,
}

/// How a request becomes a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// The `combined` format of NCSA and Apache.
    Combined,
    /// Text with `{field}` places.
    Template(String),
}

/// A template of named fields.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Text with `{field}` places, such as `{client} {method} {path} {status}`. `{{` is a brace.
    template: String,
}

impl FromWord for Format {
    const EXPECTING: &'static str = "`json`, `combined` or `{template: …}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "json" => Ok(Format::Json),
            "combined" => Ok(Format::Combined),
            _ => Err(format!("unknown format `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["json", "combined"] })
    }
}

impl From<Template> for Format {
    fn from(form: Template) -> Self {
        Format::Template(form.template)
    }
}

impl From<&Format> for WordOrMap<Template> {
    fn from(value: &Format) -> Self {
        match value {
            Format::Json => WordOrMap::word("json"),
            Format::Combined => WordOrMap::word("combined"),
            Format::Template(template) => WordOrMap::Map(Template { template: template.clone() }),
        }
    }
}

word_or_map!(Format, Template);

/// Where the lines go.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// The end of this file.
    File(String),
}

/// A log file.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOutput {
    /// Appended to; its folder must exist.
    file: String,
}

impl FromWord for Output {
    const EXPECTING: &'static str = "`stdout`, `off` or `{file: …}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "stdout" => Ok(Output::Stdout),
            "off" => Ok(Output::Off),
            _ => Err(format!("unknown output `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["stdout", "off", false] })
    }
}

impl From<FileOutput> for Output {
    fn from(form: FileOutput) -> Self {
        Output::File(form.file)
    }
}

impl From<&Output> for WordOrMap<FileOutput> {
    fn from(value: &Output) -> Self {
        match value {
            Output::Stdout => WordOrMap::word("stdout"),
            Output::Off => WordOrMap::word("off"),
            Output::File(file) => WordOrMap::Map(FileOutput { file: file.clone() }),
        }
    }
}

word_or_map!(Output, FileOutput);

/// The admin listener: `/metrics`, `/livez`, `/readyz`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// IP address and port. Any other than loopback needs a `token`.
    pub address: String,
    /// What `/metrics` and everything but `/livez` and `/readyz` asks for, as `Authorization: Bearer …`; visible ASCII, at least
    /// 16 characters. Without it the listener has no authentication. It is plain HTTP: keep it within a network that you
    /// trust. Health stays open for probes, which without the token learn no reasons.
    #[serde(default, skip_serializing_if = "is_default")]
    pub token: Option<SecretSource>,
    /// Connections at a time. Beyond: the one that has been open for the longest is closed. Default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections: Option<Count>,
    /// For one request and its answer. Beyond: the connection is closed. Default 10s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time: Option<Span>,
}
