//! What each field of the access log takes from a record. Which fields there are is in [`crate::config::log_template`].

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::redact;
use super::truncate::{self, truncate};
pub use crate::config::log_template::LogField;
use crate::telemetry::record::RequestRecord;
use crate::telemetry::timestamp::Rfc3339;

impl LogField {
    /// What `record` says about this; `None` where it does not apply or is not known.
    pub fn value(self, record: &RequestRecord) -> Option<FieldValue<'_>> {
        let upstream = record.upstream.as_ref();
        let principal = record.principal.as_deref();
        match self {
            LogField::Time => Some(FieldValue::Time(record.time)),
            LogField::Duration => Some(FieldValue::Milliseconds(record.duration)),
            LogField::RequestId => text(&record.request_id),
            LogField::Listener => text(&record.listener),
            LogField::Client => Some(FieldValue::Address(record.client)),
            LogField::Peer => Some(FieldValue::Socket(record.peer)),
            LogField::Via => record.via.map(FieldValue::Socket),
            LogField::Protocol => text(record.protocol),
            LogField::Lane => record.lane.and_then(text),
            LogField::Scheme => text(record.scheme.as_str()),
            LogField::Tls => record.tls.and_then(text),
            LogField::Method if is_unparsed(record) => None,
            LogField::Method => short(record.method.as_str(), truncate::METHOD),
            LogField::Host => short(&record.host, truncate::HOST),
            LogField::Path if record.path.is_empty() => None,
            LogField::Path => bytes(redact::path(record.path.as_bytes()), truncate::URI),
            LogField::Query => {
                record.query.as_ref().and_then(|query| bytes(redact::query(query.as_bytes()), truncate::URI))
            }
            LogField::UserAgent => {
                record.user_agent.as_ref().and_then(|agent| bytes(agent.as_bytes().into(), truncate::TEXT))
            }
            LogField::Referer => {
                record.referer.as_ref().and_then(|referer| bytes(redact::reference(referer.as_bytes()), truncate::URI))
            }
            LogField::Status if record.status == 0 => None,
            LogField::Status => Some(FieldValue::Integer(record.status.into())),
            LogField::BytesSent => Some(FieldValue::Integer(record.bytes_sent)),
            LogField::BytesReceived => Some(FieldValue::Integer(record.bytes_received)),
            LogField::Route => record.route.as_deref().and_then(text),
            LogField::Generation => Some(FieldValue::Integer(record.generation)),
            LogField::Decision => text(record.decision.as_str()),
            LogField::Cause => record.cause.and_then(|cause| text(cause.code())),
            LogField::Detail => record.detail.as_deref().and_then(|detail| short(detail, truncate::TEXT)),
            LogField::WouldDeny => record.would_deny.and_then(|cause| text(cause.code())),
            LogField::Principal => principal.and_then(|principal| short(&principal.id, truncate::TEXT)),
            LogField::Identity => principal.and_then(|principal| text(&principal.identity)),
            LogField::Upstream => upstream.and_then(|upstream| text(&upstream.name)),
            LogField::Endpoint => upstream.and_then(|upstream| upstream.endpoint).map(FieldValue::Socket),
            LogField::Attempts => upstream.map(|upstream| FieldValue::Integer(upstream.attempts.into())),
            LogField::Retried => upstream.and_then(|upstream| upstream.retried).and_then(text),
            LogField::UpstreamReused => upstream.map(|upstream| FieldValue::Boolean(upstream.reused)),
            LogField::UpstreamConnect => upstream.and_then(|upstream| upstream.connect).map(FieldValue::Milliseconds),
            LogField::UpstreamResponse => upstream.and_then(|upstream| upstream.response).map(FieldValue::Milliseconds),
        }
    }
}

/// Whether the request could not be understood, so that its method, host and path say nothing. Every understood request
/// has a path.
pub fn is_unparsed(record: &RequestRecord) -> bool {
    record.path.is_empty()
}

fn text(text: &str) -> Option<FieldValue<'_>> {
    (!text.is_empty()).then_some(FieldValue::Text(text))
}

/// Text that a client may have had a hand in.
fn short(value: &str, most: usize) -> Option<FieldValue<'_>> {
    if value.len() <= most { text(value) } else { bytes(value.as_bytes().into(), most) }
}

/// The same for what need not be text. Redacted before it is truncate: a credential is known by what stands around it.
fn bytes(value: Cow<'_, [u8]>, most: usize) -> Option<FieldValue<'_>> {
    Some(FieldValue::Bytes(truncate(value, most)))
}

/// The value of a field, before it is written in one format or another.
#[derive(Clone, Debug)]
pub enum FieldValue<'a> {
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

impl<'a> FieldValue<'a> {
    /// What is to be escaped where it is written; `None` for what is written as it is.
    pub fn into_bytes(self) -> Option<Cow<'a, [u8]>> {
        match self {
            FieldValue::Text(text) => Some(text.as_bytes().into()),
            FieldValue::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FieldValue::Text(text) => serializer.serialize_str(text),
            FieldValue::Bytes(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            FieldValue::Integer(number) => serializer.serialize_u64(*number),
            FieldValue::Milliseconds(duration) => serializer.serialize_f64(duration.as_micros() as f64 / 1000.0),
            FieldValue::Boolean(value) => serializer.serialize_bool(*value),
            FieldValue::Address(address) => address.serialize(serializer),
            FieldValue::Socket(socket) => socket.serialize(serializer),
            FieldValue::Time(time) => serializer.serialize_str(Rfc3339::new(*time).as_str()),
        }
    }
}
