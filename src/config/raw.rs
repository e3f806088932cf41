//! The configuration as written: serde types that mirror the file, refuse unknown fields, and check nothing else.
//! [`to_yaml`] writes them as a file again.
//!
//! One file a stage of the request's way. The doc comments are the owner's reference: they become `conf/schema.json`.

pub mod access;
pub mod address;
pub mod dns;
pub mod limit;
pub mod listener;
pub mod response;
pub mod retries;
pub mod route;
pub mod shape;
pub mod split;
pub mod telemetry;
pub mod units;
pub mod upstream;
mod write;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use shape::{Entries, is_default};
use units::Count;
pub use write::{MAX_FILE_BYTES, WriteError, to_yaml};

/// A Portcullis configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of this file's shape. Always 1.
    pub version: Version,
    /// Where requests come in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub listeners: Vec<listener::Listener>,
    /// Proxies in front of this one, as addresses or CIDR ranges. Only from them are `X-Forwarded-For`, `Forwarded` and
    /// `X-Request-Id` believed; from everyone else they are replaced. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trusted_proxies: Vec<String>,
    /// Bounds on what one client may send, and how slowly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bounds: listener::Bounds,
    /// The services behind the gateway, by name: 1 to 64 letters, digits, `.`, `_` and `-`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upstreams: Entries<upstream::Upstream>,
    /// How the names of endpoints are looked up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: dns::Dns,
    /// Who can be recognised, and how, by name: 1 to 64 letters, digits, `.`, `_` and `-`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identities: Entries<access::Identity>,
    /// Limits that every route inherits. A route overrides one by naming it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Vec<limit::Limit>,
    /// Header operations on every response. A route overrides by header name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_headers: response::Headers,
    /// Who may put the answers into a frame: sets `X-Frame-Options`, and `frame-ancestors` in every
    /// `Content-Security-Policy`. Without it, framing is left to `response_headers`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub framing: Option<response::Framing>,
    /// The owner's own error pages, by status (`404`), class (`4xx`), cause (`rate_exceeded`) or `default`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_pages: Entries<response::ErrorPage>,
    /// Which request goes where.
    #[serde(default, skip_serializing_if = "is_default")]
    pub routes: Vec<route::Route>,
    /// The access log. Default: JSON lines on standard output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access_log: telemetry::AccessLog,
    /// The admin listener: metrics and health. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub admin: Option<telemetry::Admin>,
    /// The process itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub process: listener::Process,
}

/// The version of the file's shape: 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Version(pub u64);

impl Default for Version {
    fn default() -> Self {
        Version(1)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Count::deserialize(deserializer)?.0 {
            1 => Ok(Version(1)),
            other => Err(serde::de::Error::custom(format!("version {other} is unknown; this program reads version 1"))),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => serializer.serialize_u64(1),
            other => Err(serde::ser::Error::custom(format!(
                "version {other} can't be written; this program reads version 1"
            ))),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": 1 })
    }
}
