//! What each field of the access log takes from a record. Which fields there are is in [`crate::config::log_template`].

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::cut::{self, cut};
use super::redact;
pub use crate::config::log_template::LogField as Field;
use crate::telemetry::record::Record;
use crate::telemetry::timestamp::Rfc3339;

impl Field {
    /// What `record` says about this; `None` where it does not apply or is not known.
    pub fn value(self, record: &Record) -> Option<Value<'_>> {
        let upstream = record.upstream.as_ref();
        let principal = record.principal.as_deref();
        match self {
            Field::Time => Some(Value::Time(record.time)),
            Field::Duration => Some(Value::Milliseconds(record.duration)),
            Field::RequestId => text(&record.request_id),
            Field::Listener => text(&record.listener),
            Field::Client => Some(Value::Address(record.client)),
            Field::Peer => Some(Value::Socket(record.peer)),
            Field::Via => record.via.map(Value::Socket),
            Field::Protocol => text(record.protocol),
            Field::Scheme => text(record.scheme.as_str()),
            Field::Tls => record.tls.and_then(text),
            Field::Method if is_unparsed(record) => None,
            Field::Method => short(record.method.as_str(), cut::METHOD),
            Field::Host => short(&record.host, cut::HOST),
            Field::Path if record.path.is_empty() => None,
            Field::Path => bytes(redact::path(record.path.as_bytes()), cut::URI),
            Field::Query => record.query.as_ref().and_then(|query| bytes(redact::query(query.as_bytes()), cut::URI)),
            Field::UserAgent => record.user_agent.as_ref().and_then(|agent| bytes(agent.as_bytes().into(), cut::TEXT)),
            Field::Referer => {
                record.referer.as_ref().and_then(|referer| bytes(redact::reference(referer.as_bytes()), cut::URI))
            }
            Field::Status if record.status == 0 => None,
            Field::Status => Some(Value::Integer(record.status.into())),
            Field::BytesSent => Some(Value::Integer(record.bytes_sent)),
            Field::BytesReceived => Some(Value::Integer(record.bytes_received)),
            Field::Route => record.route.as_deref().and_then(text),
            Field::Generation => Some(Value::Integer(record.generation)),
            Field::Decision => text(record.decision.as_str()),
            Field::Cause => record.cause.and_then(|cause| text(cause.code())),
            Field::Detail => record.detail.as_deref().and_then(|detail| short(detail, cut::TEXT)),
            Field::WouldDeny => record.would_deny.and_then(|cause| text(cause.code())),
            Field::Principal => principal.and_then(|principal| short(&principal.id, cut::TEXT)),
            Field::Identity => principal.and_then(|principal| text(&principal.identity)),
            Field::Upstream => upstream.and_then(|upstream| text(&upstream.name)),
            Field::Endpoint => upstream.and_then(|upstream| upstream.endpoint).map(Value::Socket),
            Field::Attempts => upstream.map(|upstream| Value::Integer(upstream.attempts.into())),
            Field::Retried => upstream.and_then(|upstream| upstream.retried).and_then(text),
            Field::UpstreamReused => upstream.map(|upstream| Value::Boolean(upstream.reused)),
            Field::UpstreamConnect => upstream.and_then(|upstream| upstream.connect).map(Value::Milliseconds),
            Field::UpstreamResponse => upstream.and_then(|upstream| upstream.response).map(Value::Milliseconds),
        }
    }
}

/// Whether the request could not be understood, so that its method, host and path say nothing. Every understood request
/// has a path.
pub fn is_unparsed(record: &Record) -> bool {
    record.path.is_empty()
}

fn text(text: &str) -> Option<Value<'_>> {
    (!text.is_empty()).then_some(Value::Text(text))
}

/// Text that a client may have had a hand in.
fn short(value: &str, most: usize) -> Option<Value<'_>> {
    if value.len() <= most { text(value) } else { bytes(value.as_bytes().into(), most) }
}

/// The same for what need not be text. Redacted before it is cut: a credential is known by what stands around it.
fn bytes(value: Cow<'_, [u8]>, most: usize) -> Option<Value<'_>> {
    Some(Value::Bytes(cut(value, most)))
}

/// The value of a field, before it is written in one format or another.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Text(&'a str),
    /// What a client sent, which need not be UTF-8.
    Bytes(Cow<'a, [u8]>),
    Integer(u64),
    /// Written in milliseconds, to the microsecond.
    Milliseconds(Duration),
    Boolean(bool),
    Address(IpAddr),
    Socket(SocketAddr),
    Time(SystemTime),
}

impl<'a> Value<'a> {
    /// What is to be escaped where it is written; `None` for what is written as it is.
    pub fn into_bytes(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Value::Text(text) => Some(text.as_bytes().into()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            Value::Integer(number) => serializer.serialize_u64(*number),
            Value::Milliseconds(duration) => serializer.serialize_f64(duration.as_micros() as f64 / 1000.0),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Address(address) => address.serialize(serializer),
            Value::Socket(socket) => socket.serialize(serializer),
            Value::Time(time) => serializer.serialize_str(Rfc3339::new(*time).as_str()),
        }
    }
}
