//! What is recorded and shown: `access_log`, `admin`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, SecretSource, WordOrMap, is_default, word_or_map};
use super::units::{Count, Span};

/// The access log: one line for each request. `off` and `stdout` are short for an `output` alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessLog {
    /// The format of a line.
    pub format: Format,
    /// Where the lines are written. Default: standard output.
    pub output: Option<Output>,
    /// Short for `output: {file: …}`.
    pub file: Option<String>,
    /// Number of lines that may wait to be written.
    pub queue: Option<Count>,
}

/// The access log: one line for each request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLogSettings {
    /// The format of a line: `json` (default), `combined`, or `{template: "…"}` with fields such as `{status}`.
    #[serde(default, skip_serializing_if = "is_default")]
    format: Format,
    /// Where the lines are written: `stdout` (default), `off`, or `{file: PATH}`. A file is reopened on SIGUSR1; while
    /// that fails, lines go on to the open one, and it is tried again every second. A pipe must have a reader.
    #[serde(default, skip_serializing_if = "is_default")]
    output: Option<Output>,
    /// Short for `output: {file: PATH}`.
    #[serde(default, skip_serializing_if = "is_default")]
    file: Option<String>,
    /// Number of lines that may wait to be written. Further lines are dropped and counted. 1 to 1,048,576; default
    /// 8192.
    #[serde(default, skip_serializing_if = "is_default")]
    queue: Option<Count>,
}

impl FromWord for AccessLog {
    const EXPECTING: &'static str = "`off`, `stdout`, or a mapping such as `{file: PATH}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "off" | "none" => Ok(AccessLog { output: Some(Output::Off), ..AccessLog::default() }),
            "stdout" => Ok(AccessLog { output: Some(Output::Stdout), ..AccessLog::default() }),
            _ => Err(format!("unknown output `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["off", "none", "stdout", false] })
    }
}

impl From<AccessLogSettings> for AccessLog {
    fn from(form: AccessLogSettings) -> Self {
        AccessLog { format: form.format, output: form.output, file: form.file, queue: form.queue }
    }
}

impl From<&AccessLog> for WordOrMap<AccessLogSettings> {
    fn from(value: &AccessLog) -> Self {
        let AccessLog { format, output, file, queue } = value.clone();
        match (&format, &output, &file, queue) {
            (Format::Json, Some(Output::Off), None, None) => WordOrMap::word("off"),
            (Format::Json, Some(Output::Stdout), None, None) => WordOrMap::word("stdout"),
            _ => WordOrMap::Map(AccessLogSettings { format, output, file, queue }),
        }
    }
}

word_or_map!(AccessLog, AccessLogSettings);

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
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Standard output.
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
            "off" | "none" => Ok(Output::Off),
            _ => Err(format!("unknown output `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["stdout", "off", "none", false] })
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
    /// HTTP: use it in a trusted network only. `/livez` and `/readyz` need no token; without one, `/readyz`
    /// tells nothing but ready or not and a code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub token: Option<SecretSource>,
    /// Open connections, beside 16 for `/livez`, `/readyz` and connections that have sent no request yet. Beyond, one of the
    /// address with the most connections is closed. 1 to 10,000; default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections: Option<Count>,
    /// Time for one request and its response. Beyond, the connection is closed. Default `10s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time: Option<Span>,
}
