//! Formats a record as a line: JSON, the NCSA combined format, or a configured template.

use std::borrow::Cow;
use std::io::Write;

use serde::ser::{SerializeMap, Serializer};

use super::escape::{push_escaped, push_escaped_word};
use super::field::{LogField, is_unparsed};
use super::template::LogTemplate;
use crate::config::snapshot::LogFormat;
use crate::telemetry::record::RequestRecord;
use crate::telemetry::timestamp::Ncsa;

/// A compiled format.
#[derive(Debug)]
pub enum LineFormat {
    Json,
    Combined,
    LogTemplate(LogTemplate),
}

impl LineFormat {
    pub fn new(format: &LogFormat) -> Result<LineFormat, String> {
        Ok(match format {
            LogFormat::Json => LineFormat::Json,
            LogFormat::Combined => LineFormat::Combined,
            LogFormat::Template(text) => LineFormat::LogTemplate(LogTemplate::parse(text)?),
        })
    }

    /// Appends exactly one line, with its line feed.
    pub fn write_line(&self, record: &RequestRecord, lines: &mut Vec<u8>) {
        match self {
            LineFormat::Json => write_json(record, lines),
            LineFormat::Combined => write_combined(record, lines),
            LineFormat::LogTemplate(template) => template.write(record, lines),
        }
        lines.push(b'\n');
    }
}

/// One JSON object; fields that are absent are left out.
fn write_json(record: &RequestRecord, line: &mut Vec<u8>) {
    const WRITABLE: &str = "BUG: writing to a vector can't fail, and every key is a string";
    let mut serializer = serde_json::Serializer::new(line);
    let mut object = serializer.serialize_map(None).expect(WRITABLE);
    for field in LogField::ALL {
        if let Some(value) = field.value(record) {
            object.serialize_entry(field.name(), &value).expect(WRITABLE);
        }
    }
    object.end().expect(WRITABLE);
}

/// `client - principal [time] "request" status bytes "referer" "user agent"`, as Apache's `combined`.
fn write_combined(record: &RequestRecord, line: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = write!(line, "{} - ", record.client);
    match bytes(LogField::Principal, record) {
        Some(principal) => push_escaped_word(line, &principal),
        None => line.push(b'-'),
    }
    line.extend_from_slice(b" [");
    line.extend_from_slice(Ncsa::new(record.time).as_bytes());
    line.extend_from_slice(b"] \"");
    push_request_line(record, line);
    match record.status {
        0 => line.extend_from_slice(b"\" - "),
        status => drop(write!(line, "\" {status} ")),
    }
    match record.bytes_sent {
        0 => line.push(b'-'),
        bytes => drop(write!(line, "{bytes}")),
    }
    for field in [LogField::Referer, LogField::UserAgent] {
        line.extend_from_slice(b" \"");
        push_escaped(line, bytes(field, record).as_deref().unwrap_or(b"-"));
        line.push(b'"');
    }
}

fn bytes(field: LogField, record: &RequestRecord) -> Option<Cow<'_, [u8]>> {
    field.value(record)?.into_bytes()
}

fn push_request_line(record: &RequestRecord, line: &mut Vec<u8>) {
    if is_unparsed(record) {
        line.push(b'-');
        return;
    }
    push_escaped(line, &bytes(LogField::Method, record).unwrap_or_default());
    line.push(b' ');
    push_escaped(line, &bytes(LogField::Path, record).unwrap_or_default());
    if let Some(query) = bytes(LogField::Query, record) {
        line.push(b'?');
        push_escaped(line, &query);
    }
    line.push(b' ');
    // Readers of this format expect two numbers.
    let protocol = if record.protocol == "HTTP/2" { "HTTP/2.0" } else { record.protocol };
    line.extend_from_slice(protocol.as_bytes());
}
