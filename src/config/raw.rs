//! The configuration as written: serde types that mirror the file, refuse unknown fields, and check nothing else.
//! [`to_yaml`] writes them as a file again.
//!
//! One file a stage of the request's way. The doc comments are the owner's reference: they become `conf/schema.json`.

pub mod access;
pub mod address;
pub mod bounds;
pub mod dns;
pub mod key_file;
pub mod limit;
pub mod listener;
pub mod matching;
mod peeked_map;
pub mod request;
pub mod response;
pub mod retries;
pub mod route;
pub mod sandbox;
pub mod shape;
pub mod split;
pub mod telemetry;
pub mod units;
pub mod upstream;
pub mod via;
mod write;

#[cfg(test)]
pub(super) mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use shape::{Entries, is_default};
use units::Count;
pub use write::{MAX_FILE_BYTES, WriteError, to_yaml};

/// A Portcullis configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of this file's format. Required; always 1.
    pub version: Version,
    /// The sockets that accept requests. At least one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub listeners: Vec<listener::Listener>,
    /// Proxies in front of this gateway, as addresses or CIDR ranges. What they say of their client is believed, and from
    /// every other peer these fields are replaced: the client's address by `X-Forwarded-For`, its scheme by
    /// `X-Forwarded-Proto`, or address, scheme and host by `Forwarded`, of which the element counts that the first proxy
    /// wrote. If both kinds are there, `X-Forwarded-*` alone is used, and a contradiction is logged; so a proxy that writes
    /// only `Forwarded` must remove the others. `X-Forwarded-Host` is passed on, and no rule follows it. `X-Request-Id` is
    /// kept. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trusted_proxies: Vec<String>,
    /// The field `Via`, which is added to requests and responses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub via: via::Via,
    /// Bounds on what one client may send, and on how slowly it may send it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bounds: bounds::Bounds,
    /// How requests are read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request: request::Request,
    /// The services behind the gateway, by name. A name has 1 to 64 letters, digits, `.`, `_` and `-`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upstreams: Entries<upstream::Upstream>,
    /// How the host names of endpoints are resolved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: dns::Dns,
    /// Identity providers, by name: each recognises callers by one method. A name has 1 to 64 letters, digits, `.`, `_`
    /// and `-`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identities: Entries<access::Identity>,
    /// Limits that every route inherits. A route overrides an inherited limit by a limit of the same name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Vec<limit::Limit>,
    /// Header operations that apply to every response. A route overrides an operation by naming the same header.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_headers: response::Headers,
    /// Which sites may show responses in a frame. The gateway sets `X-Frame-Options`, and the directive
    /// `frame-ancestors` in every `Content-Security-Policy`. Default: neither is changed; `response_headers` may set
    /// them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub framing: Option<response::Framing>,
    /// Bodies of the gateway's own error responses, by status (`404`), class (`4xx`), cause (`rate_exceeded`) or
    /// `default`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_pages: Entries<response::ErrorPage>,
    /// Which requests are forwarded, answered or redirected, and under which conditions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub routes: Vec<route::Route>,
    /// The access log. Default: one line of JSON for each request, on standard output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access_log: telemetry::AccessLog,
    /// The admin listener: metrics and health checks. Default: no admin listener.
    #[serde(default, skip_serializing_if = "is_default")]
    pub admin: Option<telemetry::Admin>,
    /// Settings of the process: threads, draining, user.
    #[serde(default, skip_serializing_if = "is_default")]
    pub process: listener::Process,
}

/// The version of the file's format: 1.
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
