//! Writes a line by the owner's own template.

use std::io::Write;

use super::escape::push_escaped;
use super::field::FieldValue;
use crate::config::log_template::{LogTemplate, TemplatePart};
use crate::telemetry::record::RequestRecord;
use crate::telemetry::timestamp::Rfc3339;

impl LogTemplate {
    /// Appends the line without its end.
    pub(super) fn write(&self, record: &RequestRecord, line: &mut Vec<u8>) {
        for part in self.parts() {
            match part {
                TemplatePart::Literal(text) => line.extend_from_slice(text.as_bytes()),
                TemplatePart::Field(field) => match field.value(record) {
                    Some(value) => push_value(line, value),
                    None => line.push(b'-'),
                },
            }
        }
    }
}

fn push_value(line: &mut Vec<u8>, value: FieldValue<'_>) {
    // A vector takes every byte: its `write!` can't fail.
    let _ = match value {
        FieldValue::Text(text) => return push_escaped(line, text.as_bytes()),
        FieldValue::Bytes(bytes) => return push_escaped(line, &bytes),
        FieldValue::Time(time) => return line.extend_from_slice(Rfc3339::new(time).as_str().as_bytes()),
        FieldValue::Integer(number) => write!(line, "{number}"),
        FieldValue::Milliseconds(duration) => {
            let micros = duration.as_micros();
            write!(line, "{}.{:03}", micros / 1000, micros % 1000)
        }
        FieldValue::Boolean(value) => write!(line, "{value}"),
        FieldValue::Address(address) => write!(line, "{address}"),
        FieldValue::Socket(socket) => write!(line, "{socket}"),
    };
}
