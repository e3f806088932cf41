//! The bounds of the section `bounds`: one declaration each, in the table of the macro `bounds!`.
//!
//! A row gives the documentation for whoever writes the file, then
//!
//! ```text
//! name: type(range that the file may choose from) = default, scope, metric Label,
//!     /// Documentation of the route's own field.
//!     route type;
//! ```
//!
//! * `type`: `duration`, `size` (bytes) or `count`, or, where `off` may stand too, `duration_or_off`, `size_or_off` (the largest
//!   number stands for none) or `rate_or_off` (bytes a second). A route that switches off what it inherits gives the reason:
//!   `{off: reason}`.
//! * `scope`: what it is counted for: the `process` (which has to be a new one to take a change), the `gateway` (everything
//!   together), an `address`, a `connection`, a `request`, or a `route` (a request that some route took).
//! * `metric`: the variant of [`Bound`] that is counted when it bites. Left out where nobody is refused.
//! * `route`: a route may set its own, of this type.
//!
//! From the row come the field of the file and its place in `conf/schema.json` (`config::raw::bounds`, `config::raw::route`), the
//! check of its range (`config::compile::bounds`), the compiled value ([`Bounds`], [`RouteBounds`]), the line of `portcullis
//! diff` (`config::diff::bounds`: more of a duration, size or count is weaker, and less of a rate), and the label of
//! `portcullis_bound_hits_total`. To add a bound: its row, the place that enforces it, a test of that place,
//! `portcullis schema > conf/schema.json` and `portcullis reference > conf/reference.md`.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Pingora's parser refuses more header fields than this, whatever the file says.
pub const HARD_MAX_HEADER_COUNT: usize = 256;
/// Pingora's reader holds no longer head than this, whatever the file says.
const HARD_MAX_HEADER_BYTES: u64 = MIB;

pub const A_DAY: Duration = secs(86_400);
/// A wait of nothing refuses every request, and one of more than a day is no bound.
pub const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=A_DAY;
/// At most more connections than a machine has memory for, and more requests than a connection lives for.
const COUNT: RangeInclusive<u32> = 1..=10_000_000;
const ANY_SIZE: RangeInclusive<u64> = 0..=u64::MAX;
const ANY_RATE: RangeInclusive<NonZeroU64> = NonZeroU64::MIN..=NonZeroU64::MAX;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn bytes_a_second(bytes: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes)
}

/// What a bound of a type is compared with.
macro_rules! measure {
    (duration) => {
        Duration
    };
    (size) => {
        u64
    };
    (size_or_off) => {
        u64
    };
    (count) => {
        u32
    };
    (rate_or_off) => {
        NonZeroU64
    };
}

/// The compiled value of a bound of a type. `None`: it is off.
macro_rules! value {
    (duration) => { Duration };
    (size) => { u64 };
    (size_or_off) => { u64 };
    (count) => { u32 };
    (duration_or_off) => { Option<Duration> };
    (rate_or_off) => { Option<NonZeroU64> };
}

/// Declares the types of this module, and two macros that hand the table on to the parts that make something else of it. The
/// `$` at the beginning is for them: it is how a macro that a macro writes gets variables of its own.
macro_rules! bounds {
    (
        $d:tt
        bounds {
            $(
                $(#[$doc:meta])*
                $name:ident: $type:ident($range:expr) = $default:expr, $scope:ident
                    $(, metric $label:ident)?
                    $(, $(#[$route_doc:meta])* route $route_type:ident)?;
            )*
        }
        elsewhere {
            $($(#[$other_doc:meta])* $other_label:ident = $other_name:literal;)*
        }
    ) => {
        /// The section `bounds` of a file, compiled.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Bounds {
            $($(#[$doc])* #[doc = concat!("\n\nCounted for each ", stringify!($scope), ".")] pub $name: value!($type),)*
        }

        /// As without a section `bounds`.
        impl Default for Bounds {
            fn default() -> Self {
                Bounds { $($name: $default,)* }
            }
        }

        /// The bounds that hold for the requests of a route: its own, or those of the file.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct RouteBounds {
            $($($(#[$route_doc])* pub $name: value!($route_type),)?)*
        }

        /// The bounds of the file, for a route without own ones.
        impl From<&Bounds> for RouteBounds {
            #[allow(clippy::useless_conversion, reason = "the types differ where only a route may switch a bound off")]
            fn from(bounds: &Bounds) -> Self {
                RouteBounds { $($($name: <value!($route_type)>::from(bounds.$name),)?)* }
            }
        }

        /// What the file may choose from.
        #[derive(Clone, Debug)]
        pub struct BoundRanges {
            $(pub $name: RangeInclusive<measure!($type)>,)*
        }

        impl Default for BoundRanges {
            fn default() -> Self {
                BoundRanges { $($name: $range,)* }
            }
        }

        /// A bound that is counted when it bites, under its name in the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bound {
            $($(#[doc = concat!("`bounds.", stringify!($name), "`")] $label,)?)*
            $($(#[$other_doc])* $other_label,)*
        }

        impl Bound {
            /// Every bound, in the order of the type.
            pub const ALL: &[Bound] = &[$($(Bound::$label,)?)* $(Bound::$other_label,)*];

            /// The name in the file and in the label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Bound::$label => stringify!($name),)?)*
                    $(Bound::$other_label => $other_name,)*
                }
            }
        }

        /// Calls the macro `then` with the rows of the file: documentation, name, type and scope of each.
        macro_rules! with_file_bounds {
            ($d then:ident) => { $d then! { $($(#[$doc])* $name: $type, $scope;)* } };
        }

        /// Calls the macro `then` with what is given beside it, and the rows of what a route may set: documentation, name and
        /// type of each.
        macro_rules! with_route_bounds {
            ($d then:ident $d ($d with:tt)?) => {
                $d then! { $d ($d with)? $($($(#[$route_doc])* $name: $route_type;)?)* }
            };
        }
    };
}

bounds! {
    $
    bounds {
        /// Longest request target. Beyond: 414. Default 8KiB.
        uri: size(1..=HARD_MAX_HEADER_BYTES) = 8 * KIB, request, metric Uri;

        /// All header fields together, names and values, in HTTP/1 and HTTP/2. Beyond: 431. Default
        /// 32KiB.
        header_bytes: size(1..=HARD_MAX_HEADER_BYTES) = 32 * KIB, request, metric HeaderBytes;

        /// Number of header fields, at most 256, in HTTP/1 and HTTP/2. Beyond: 431. Default 100.
        header_count: count(1..=HARD_MAX_HEADER_COUNT as u32) = 100, request, metric HeaderCount;

        /// How often a request may have passed this gateway before, which `Via` tells by the gateway's pseudonym. Beyond: 508,
        /// so that a loop of gateways ends. Default 5.
        // Gateways in a row that were left their default pseudonym count each other.
        passes: count(0..=100) = 5, request, metric Passes;

        /// Token of an identity (`jwt`). Beyond: 431 (`token_too_large`), without a look at its signature. The token counts in
        /// `header_bytes` too. Default 16KiB.
        // Entra ID lists 150 groups in a token before it refers to another place: 8 to 12 KiB.
        token: size(1..=HARD_MAX_HEADER_BYTES) = 16 * KIB, request, metric Token;

        /// Request body. Beyond: 413. A route may set its own. `off`: no bound. Default 10MiB.
        body: size_or_off(ANY_SIZE) = 10 * MIB, route, metric Body,
            /// Largest request body, or `{off: reason}`. Default: `bounds.body`.
            route size_or_off;

        /// From a connection's beginning (after the TLS handshake) until the first byte of its first request (HTTP/1).
        /// Beyond: the connection is closed. On HTTP/2 the preface is due within `header_time`, and a request within
        /// `keepalive`. Default 30s.
        // Browsers open connections ahead of their requests.
        first_request: duration(WAIT) = secs(30), connection, metric FirstRequest;

        /// From a request's first byte until its header is complete. Beyond: 408 (HTTP/1), and the connection is closed.
        /// Default 10s.
        header_time: duration(WAIT) = secs(10), request, metric HeaderTime;

        /// Longest silence within a request body. Beyond: 408. An HTTP/2 frame must be complete within it and a quarter
        /// more; beyond, the connection is closed. A route may set its own. Default 30s.
        body_idle: duration(WAIT) = secs(30), request, metric BodyIdle,
            /// Longest silence within a request body, or `{off: reason}`, as for streams on which a client may have nothing
            /// to say for long. Default: `bounds.body_idle`.
            route duration_or_off;

        /// Slowest request body. A client that sends less, over the time that the gateway waits for it, is refused (408)
        /// when it has fallen `body_idle` behind. A route may set its own. `off`: no bound. Default
        /// `500B/s`.
        // A modem brought more; Apache's `mod_reqtimeout` asks for as much.
        body_rate: rate_or_off(ANY_RATE) = bytes_a_second(500), request, metric BodyRate,
            /// Slowest request body, or `{off: reason}`. On HTTP/2 `bounds.body_rate` holds for every route whose
            /// `body_idle` is not off. Default: `bounds.body_rate`.
            route rate_or_off;

        /// Longest silence of a client that does not take its answer. Beyond: the connection is closed. Default 30s.
        write_idle: duration(WAIT) = secs(30), request, metric WriteIdle;

        /// Slowest answer. A client that takes less, over the time that the gateway waits for it, is cut off when it has
        /// fallen `write_idle` behind. `off`: no bound. Default `500B/s`.
        answer_rate: rate_or_off(ANY_RATE) = bytes_a_second(500), request, metric AnswerRate;

        /// Bytes of an answer that wait in an HTTP/2 stream until its client takes them. At the bound the origin is read no
        /// further. On HTTP/1 nothing waits but what was read last. Default 32KiB.
        answer_buffer: size(16 * KIB..=16 * MIB) = 32 * KIB, request;

        /// Memory of all answers together that wait for their clients, counted with 128KiB each (1MiB on the full lane). Beyond: an
        /// answer whose client takes nothing for a second is broken off. Default 1GiB.
        answer_memory: size(MIB..=1 << 50) = 1 << 30, gateway, metric AnswerMemory;

        /// Between two requests on one connection. Beyond: the connection is closed. Default 60s.
        keepalive: duration(WAIT) = secs(60), connection, metric Keepalive;

        /// Silence of a tunnel (WebSocket), counted over both directions together. Beyond: the tunnel is closed. Default
        /// 1h.
        tunnel_idle: duration(WAIT) = secs(3600), request, metric TunnelIdle;

        /// PROXY header and TLS handshake together. Beyond: the connection is closed. Default 10s.
        handshake: duration(WAIT) = secs(10), connection, metric Handshake;

        /// Open connections of all listeners together, 1 to 10,000,000. Beyond: a new connection is closed at once, before
        /// TLS. The process needs about two file descriptors for each. Default 10,000, which take some 300 MiB while they
        /// are idle.
        connections: count(COUNT) = 10_000, gateway, metric Connections;

        /// Open connections of one IPv4 address, or of one IPv6 /64 network, on all listeners together. Beyond: a new
        /// connection is closed at once, before TLS. Where a PROXY header announces the client, it is the client's address
        /// that counts. Addresses in `trusted_proxies`, and load balancers listed under `proxy_protocol`, are exempt, since
        /// they bring many clients. Default 1,000: room for an office behind one address, and a tenth of all `connections`.
        connections_per_address: count(COUNT) = 1_000, address, metric ConnectionsPerAddress;

        /// Requests on one connection. The answer to the last says that the connection ends, and the client opens another
        /// one. Default 10,000.
        requests_per_connection: count(COUNT) = 10_000, connection, metric RequestsPerConnection;

        /// Requests at once on an HTTP/2 connection. Beyond: the stream is refused, and the client may try again. Default 100.
        http2_streams: count(COUNT) = 100, connection;

        /// Resets at once on an HTTP/2 connection, those that a client's mistakes call for included. Forgiven within ten
        /// seconds. Beyond (rapid reset): the connection is closed. Default 200.
        // A browser that leaves a page of many pictures resets them all at once.
        http2_resets: count(COUNT) = 200, connection, metric Http2Resets;

        /// HTTP/2 frames at once that move nothing: PING, SETTINGS, PRIORITY, empty DATA and the like, beyond those that
        /// requests and answers call for. Forgiven within ten seconds. Beyond: the connection is closed. Default 1,000.
        http2_control_frames: count(COUNT) = 1_000, connection, metric Http2ControlFrames;

        /// Request bytes that may wait in one HTTP/2 stream until its origin takes them: `SETTINGS_INITIAL_WINDOW_SIZE`. Default
        /// 128KiB.
        http2_stream_window: size(16 * KIB..=16 * MIB) = 128 * KIB, request;

        /// The same for all streams of an HTTP/2 connection together: with this, slow origins hold up uploads to the others.
        /// Default 1MiB.
        http2_connection_window: size(64 * KIB..=1 << 30) = MIB, connection;

        /// Answer bytes that an HTTP/2 origin may send in one stream before its client takes them: `SETTINGS_INITIAL_WINDOW_SIZE`
        /// towards origins. A connection to an origin has room for as much in each of its streams, so that one slow client does not
        /// hold up the others. Far origins need more for the same speed: a round trip of 20 ms with 256KiB gives 12 MiB a second.
        /// Default 256KiB.
        upstream_http2_stream_window: size(64 * KIB..=16 * MIB) = 256 * KIB, request;

        /// What a client may send ahead of its turn on an HTTP/1 connection (pipelining). Beyond: it is left in the socket until
        /// the request before it is answered. Default 16KiB.
        read_ahead: size(1..=16 * MIB) = 16 * KIB, connection;

        /// After a refusal that ends a connection, such as 400 or 408: how long what its client still sends is read and dropped, so
        /// that a reset does not overtake the answer. Default 2s.
        // A round trip and some patience: the answer has left already.
        lingering_time: duration(Duration::ZERO..=A_DAY) = secs(2), connection;

        /// How much of it is read. Beyond: the connection is closed. Default 1MiB.
        lingering_bytes: size(ANY_SIZE) = MIB, connection;

        /// Interim answers (1xx) of an origin to one request. Beyond: 502. Default 32.
        // A 100 and a few hints have a use.
        interim_answers: count(1..=1_000) = 32, request, metric InterimAnswers;

        /// Keys that all rate limits track together, 1,000 to 100,000,000; each limit has an equal share of it. Beyond: newcomers
        /// of a limit share one bucket, until others are full again and forgotten. Default 1,000,000, which take some 40 MB.
        limit_keys: count(1_000..=100_000_000) = 1_000_000, gateway, metric LimitKeys;

        /// Tokens with up to a KiB of claims that are remembered once they were verified, so that the next request with one costs
        /// no signature check. Beyond: those that were not asked for lately are forgotten. Default 100,000.
        remembered_tokens: count(COUNT) = 100_000, gateway;

        /// Connections to origins that belong to one client connection each, since the client authenticates the connection itself
        /// (NTLM, Negotiate, Kerberos). Beyond: the request gets a connection that is closed with its answer, so that a handshake of
        /// more than one request fails. Default 1,000.
        private_connections: count(COUNT) = 1_000, gateway, metric PrivateConnections;

        /// Idle connections to origins that each worker thread keeps for further requests, on each lane. Beyond: the one that was
        /// not used for longest is closed. A change needs `portcullis upgrade`. Default 512.
        upstream_pool: count(1..=100_000) = 512, process;
    }
    elsewhere {
        /// `admin.connections`
        AdminConnections = "admin_connections";
        /// `admin.time`
        AdminTime = "admin_time";
        /// `circuit_breaker` of an upstream
        CircuitBreaker = "circuit_breaker";
        /// `dns.addresses`
        DnsAddresses = "dns_addresses";
    }
}

pub(crate) use {with_file_bounds, with_route_bounds};
