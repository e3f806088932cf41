//! How the names of endpoints are looked up: `dns`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::is_default;
use super::units::{Count, Span};

/// How the names of endpoints are looked up. `/etc/hosts` goes before every name server, and `localhost` is this machine.
///
/// A name is asked for again when the TTL of its answer has ended, off the requests' way. When no good answer comes, the
/// last good one stays in use, `portcullis_discovery_stale` becomes 1, and the name is asked for again after 1s, 2s, 4s and
/// so on up to 30s.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Name servers such as `10.0.0.2`, `127.0.0.1:5353` or `[::1]:53`. Names are then asked for as they are written.
    /// Default: the servers, the search list and `ndots` of `/etc/resolv.conf`, which takes effect when it changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub servers: Vec<String>,
    /// For one question to the name servers. Default 2s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// How often a question is asked that is not answered, or answered with a failure of the server; 1 to 5. Default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// Answers are used at least so long, whatever their TTL. Default 1s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shortest: Option<Span>,
    /// Answers are used at most so long before they are asked for again, whatever their TTL. Default 5m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
    /// Which addresses of a name are used: `both`, `ipv4` or `ipv6`. Default `both`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub family: Family,
    /// Addresses of one name, or records of one SRV name, that are used; 1 to 4096. The lowest count, should there be more.
    /// Default 256.
    #[serde(default, skip_serializing_if = "is_default")]
    pub addresses: Option<Count>,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// A and AAAA records.
    #[default]
    Both,
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}
