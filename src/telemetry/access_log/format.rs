//! How a record becomes a line: JSON, the NCSA combined format, or the owner's template.

use std::borrow::Cow;
use std::io::Write;

use serde::ser::{SerializeMap, Serializer};

use super::escape::{push_escaped, push_escaped_word};
use super::field::{Field, is_unparsed};
use crate::config::log_template::LogTemplate;
use crate::config::snapshot::LogFormat;
use crate::telemetry::record::Record;
use crate::telemetry::timestamp::Ncsa;

/// A format, ready to write.
#[derive(Debug)]
pub enum Format {
    Json,
    Combined,
    Template(LogTemplate),
}

impl Format {
    pub fn new(format: &LogFormat) -> Format {
        match format {
            LogFormat::Json => Format::Json,
            LogFormat::Combined => Format::Combined,
            LogFormat::Template(template) => Format::Template(template.clone()),
        }
    }

    /// Appends exactly one line, with its line feed.
    pub fn write_line(&self, record: &Record, lines: &mut Vec<u8>) {
        match self {
            Format::Json => write_json(record, lines),
            Format::Combined => write_combined(record, lines),
            Format::Template(template) => template.write(record, lines),
        }
        lines.push(b'\n');
    }
}

/// One JSON object; fields that are absent are left out.
fn write_json(record: &Record, line: &mut Vec<u8>) {
    const WRITABLE: &str = "BUG: a vector takes every byte, and every key is a string";
    let mut serializer = serde_json::Serializer::new(line);
    let mut object = serializer.serialize_map(None).expect(WRITABLE);
    for field in Field::ALL {
        if let Some(value) = field.value(record) {
            object.serialize_entry(field.name(), &value).expect(WRITABLE);
        }
    }
    object.end().expect(WRITABLE);
}

/// `client - principal [time] "request" status bytes "referer" "user agent"`, as Apache's `combined`.
fn write_combined(record: &Record, line: &mut Vec<u8>) {
    // A vector takes every byte.
    let _ = write!(line, "{} - ", record.client);
    match bytes(Field::Principal, record) {
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
    for field in [Field::Referer, Field::UserAgent] {
        line.extend_from_slice(b" \"");
        push_escaped(line, bytes(field, record).as_deref().unwrap_or(b"-"));
        line.push(b'"');
    }
}

fn bytes(field: Field, record: &Record) -> Option<Cow<'_, [u8]>> {
    field.value(record)?.into_bytes()
}

fn push_request_line(record: &Record, line: &mut Vec<u8>) {
    if is_unparsed(record) {
        line.push(b'-');
        return;
    }
    push_escaped(line, &bytes(Field::Method, record).unwrap_or_default());
    line.push(b' ');
    push_escaped(line, &bytes(Field::Path, record).unwrap_or_default());
    if let Some(query) = bytes(Field::Query, record) {
        line.push(b'?');
        push_escaped(line, &query);
    }
    line.push(b' ');
    // Readers of this format expect two numbers.
    let protocol = if record.protocol == "HTTP/2" { "HTTP/2.0" } else { record.protocol };
    line.extend_from_slice(protocol.as_bytes());
}
