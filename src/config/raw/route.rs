//! Which request goes where: `routes`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::address::Addresses;
use super::bounds::written;
use super::limit::Limit;
use super::matching::Match;
use super::response::{ErrorPage, Framing, Headers};
use super::retries::RouteRetries;
use super::shape::{Entries, is_default};
use super::split::{Destination, Mirror};
use super::units::Count;
use crate::decision::bounds::with_route_bounds;

/// Adds a field to the route for each bound that it may set for itself.
macro_rules! with_own_bounds {
    ({ $(#[$attribute:meta])* pub struct $route:ident { $($fields:tt)* } } $($(#[$doc:meta])* $name:ident: $type:ident;)*) => {
        $(#[$attribute])*
        pub struct $route {
            $($fields)*
            $($(#[$doc])* #[serde(default, skip_serializing_if = "is_default")] pub $name: Option<written!($type)>,)*
        }
    };
}

with_route_bounds! { with_own_bounds {
/// A set of requests and how they are handled. Exactly one of `upstream`, `respond` and `redirect`; with
/// `access: deny` it may be left out.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The name of the route in logs, metrics and messages. Unique; 1 to 100 printable characters.
    pub name: String,
    /// The requests that the route takes. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub matches: Match,
    /// Client addresses that may use the route. Other clients get 403 (`address_denied`), before authentication. Behind
    /// a proxy in `trusted_proxies`, the address that the proxy announces is checked. Default: all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub addresses: Option<Addresses>,
    /// Who may use the route. Required; `public` admits every caller, `deny` none: every request gets 403 (`route_denied`),
    /// or 404 with `{deny: {status: 404}}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Option<Access>,
    /// Limits in addition to the inherited ones. A limit replaces the inherited limit of the same name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Vec<Limit>,
    /// The upstream that requests are forwarded to, or several by `{split: […]}`, as for a canary.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upstream: Option<Destination>,
    /// When requests are retried, or `off`. Fields that are not given are those of the upstream.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Option<RouteRetries>,
    /// Sends copies of admitted requests to another upstream, whose responses are discarded. Default: no copies.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: Option<Mirror>,
    /// A fixed response, without an origin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub respond: Option<Respond>,
    /// A redirect response.
    #[serde(default, skip_serializing_if = "is_default")]
    pub redirect: Option<Redirect>,
    /// Changes of host and path in the request that the origin receives. Default: no changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rewrite: Option<Rewrite>,
    /// Header operations. They override the inherited operations on the same header.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_headers: Headers,
    /// Which sites may show responses in a frame. Default: the file's `framing`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub framing: Option<Framing>,
    /// Error bodies. They override the inherited ones of the same key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_pages: Entries<ErrorPage>,
    /// How a path with encoded separators (`%2F`, `%5C`), such as `/files/a%2Fb`, is handled. Default `reject`, because
    /// origins differ in whether they decode them to separators. Encoded dot segments between them are refused in any
    /// case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoded_separators: EncodedSeparators,
    /// What becomes of the request when its HTTP/1 client ends its own side of the connection after it, as `nc -N` and some
    /// simple clients do. Default `abort`: most clients that do so have gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub half_close: HalfClose,
    /// Whether `//` in a path is matched and forwarded as `/`. Default true. `false` is for origins that tell the two apart, as for
    /// signed keys of object stores: the path is forwarded as it came, and refused with 400 if it would lead to another
    /// route with `/`. Only with `upstream`, and with a `path` that takes empty segments: `/*` or a regular expression.
    #[serde(default, skip_serializing_if = "is_default")]
    pub merge_slashes: Option<bool>,
}
} }

/// What becomes of a request whose HTTP/1 client has ended its side of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HalfClose {
    /// The client counts as gone: the request to the origin is ended, and nothing is answered.
    #[default]
    Abort,
    /// The request is answered. That a client has gone for good is noticed only when it is written to.
    Answer,
}

/// How a path with encoded separators (`%2F`, `%5C`) is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSeparators {
    /// The request is refused with 400.
    #[default]
    Reject,
    /// The path is matched and forwarded with the encoded separators, so a `{parameter}` may contain them. Only for
    /// origins that do not decode them to separators: otherwise a client that may request `/files/{name}` could read
    /// `/files/admin/x`.
    Keep,
    /// The path is matched and forwarded with each `%2F` as `/`. A path with `%5C` or with a double encoding (`%252F`)
    /// is refused.
    Decode,
}

/// A fixed response.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The status. Default 200.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Option<Count>,
    /// The body. Default: empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<String>,
    /// The `Content-Type`. Default `text/plain; charset=utf-8`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: Option<String>,
}

/// A redirect. Give `to`, or any of `scheme`, `host` and `path`; the others stay as in the request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The status: 301, 302, 303, 307 or 308. Default 308.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Option<Count>,
    /// The whole target, such as `https://www.example.com/`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub to: Option<String>,
    /// The scheme of the target: `http` or `https`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scheme: Option<String>,
    /// The host of the target, with a port if it is not the default of the scheme.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: Option<String>,
    /// The path of the target. Each `{parameter}` of the matched path is replaced by its value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// Whether the target keeps the query of the request. Default true.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_query: Option<bool>,
}

/// Changes of host and path in the request that the origin receives.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// A prefix of whole segments that is removed from the path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strip_prefix: Option<String>,
    /// A prefix that is added to the path, after `strip_prefix` is removed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub add_prefix: Option<String>,
    /// The whole path. Each `{parameter}` of the matched path is replaced by its value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// The `Host` that the origin receives. Default: the client's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: Option<String>,
}
