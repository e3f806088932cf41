//! What is recorded and shown: `access_log`, `admin`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, SecretSource, WordOrMap, is_default, word_or_map};
use super::units::{Count, Span};

/// The access log: one line for each request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// The format of a line: `json` (default), `combined`, or `{template: "…"}` with fields such as `{status}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Format,
    /// Where the lines are written: `stdout` (default), `off`, or `{file: PATH}`. A file is reopened on SIGUSR1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// Number of lines that may wait to be written. Further lines are dropped and counted. 1 to 1,048,576; default
    /// 8192.
    #[serde(default, skip_serializing_if = "is_default")]
    pub queue: Option<Count>,
}

/// The format of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// The `combined` format of NCSA and Apache httpd.
    Combined,
    /// Text with `{field}` placeholders.
    Template(String),
}

/// A line made of text and named fields.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Text with `{field}` placeholders, such as `{client} {method} {path} {status}`. `{{` is a literal brace.
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

/// Where the lines are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// No access log.
    Off,
    /// Lines are appended to this file.
    File(String),
}

/// A log file.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOutput {
    /// The path of the file that lines are appended to. Its folder must exist.
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
    /// IP address and port. An address other than loopback needs a `token`.
    pub address: String,
    /// The token that `/metrics` and every other path but `/livez` and `/readyz` requires as `Authorization: Bearer …`.
    /// Visible ASCII, at least 16 characters. Without it the listener has no authentication. The listener is plain
    /// HTTP: use it in a trusted network only. `/livez` and `/readyz` need no token, but state reasons only with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub token: Option<SecretSource>,
    /// Open connections. Beyond, the connection that has been open the longest is closed. 1 to 10,000; default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections: Option<Count>,
    /// Time for one request and its response. Beyond, the connection is closed. Default `10s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time: Option<Span>,
}
