//! How the names of endpoints are looked up: `dns`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::is_default;
use super::units::{Count, Span};

/// How the host names of endpoints are resolved. `/etc/hosts` takes precedence over name servers, and `localhost` is
/// the loopback address.
///
/// A name is resolved again when the TTL of its answer ends, outside of request processing. If that fails, the last
/// valid answer stays in use, `portcullis_discovery_stale` is 1, and the query is repeated after 1s, 2s, 4s and so on,
/// at most every 30s.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Name servers, such as `10.0.0.2`, `127.0.0.1:5353` or `[::1]:53`; at most 8. With them, names are resolved as
    /// written, without a search list. Default: the servers, the search list and `ndots` of `/etc/resolv.conf`, which
    /// is read again when it changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub servers: Vec<String>,
    /// Time for one query. Default `2s`, at most `1d`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// How often a query is sent that gets no answer or a server failure. 1 to 5; default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// Shortest time that an answer is used, if its TTL is shorter. Default `1s`, at most `1d`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shortest: Option<Span>,
    /// Longest time that an answer is used before it is queried again, if its TTL is longer. Default `5m`, at most
    /// `1d`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
    /// How long a process that starts waits for the first answer for each name and the first health check of each endpoint
    /// before its listeners accept, and a new configuration for its names before it is served. Beyond: an upstream without an
    /// answer gives 503. Default `5s`, at most `1d`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub startup: Option<Span>,
    /// Which address records of a name are used: `both` (default), `ipv4` or `ipv6`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub family: Family,
    /// Number of addresses of one name, or of records of one SRV name, that are used. If there are more, the lowest are
    /// used. 1 to 4096; default 256.
    #[serde(default, skip_serializing_if = "is_default")]
    pub addresses: Option<Count>,
}

/// Which address records of a name are used.
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
