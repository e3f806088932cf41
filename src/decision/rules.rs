//! The compiled configuration that decisions read. It cannot hold a wrong value: `config::compile` made sure.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::access;
use super::access::address;
use super::limit::{Limit, RouteLimits};
use super::request::ReadRules;
use super::request::fields::FieldNames;
use super::response;
use super::rewrite;
use super::route;
use super::upstream::mirror::Mirror;
use super::upstream::retry::RouteRules;
use super::upstream::split::Destination;
use crate::diagnostics::Place;

/// Index into [`Rules::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// Index into the snapshot's upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// Everything that decisions read, compiled.
#[derive(Debug)]
pub struct Rules {
    /// How a request is read, and what is refused unread.
    pub read: ReadRules,
    /// Finds the route of a request.
    pub table: route::Table,
    /// By [`RouteId`].
    pub routes: Vec<Route>,
    /// By [`crate::decision::limit::LimitId`]. A limit that several routes inherit stands here once.
    pub limits: Vec<Limit>,
    /// By [`address::ListId`]. A list file that several rules name stands here once.
    pub address_lists: Vec<address::List>,
    /// For answers that no route made: 400, 404, Pingora's own.
    pub response: Arc<response::ResponseRules>,
    /// The names that all of these ask a request's fields for.
    pub fields: FieldNames,
}

impl Rules {
    /// The route `id`.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }
}

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Unique; for logs and metrics.
    pub name: Arc<str>,
    /// Where the file says so, for `explain`.
    pub place: Place,
    /// Which client addresses may use it. `None`: all.
    pub addresses: Option<Box<address::Rules>>,
    /// Who may use it.
    pub access: access::AccessRules,
    /// By the phase in which they count.
    pub limits: RouteLimits,
    /// What happens to an admitted request.
    pub action: Action,
    /// What its answers carry.
    pub response: Arc<response::ResponseRules>,
    /// Largest request body in bytes.
    pub max_body: u64,
    /// How slowly a request body may come.
    pub body_pacing: Pacing,
    /// When its requests are sent again, where it says otherwise than its upstream.
    pub retries: Option<Box<RouteRules>>,
}

/// How slowly a client may send a body or take an answer. Waiting for the client uses up `idle`; each byte that moves gives
/// some of it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The longest silence. `None`: no bound.
    pub idle: Option<Duration>,
    /// Bytes a second that give back what waiting for them took. `None`: any byte gives back everything.
    pub rate: Option<NonZeroU64>,
}

/// What happens to an admitted request.
#[derive(Debug)]
pub enum Action {
    /// It goes to an endpoint of an upstream, and a copy perhaps to another.
    Forward { to: Destination, rewrite: rewrite::Rules, mirror: Option<Box<Mirror>> },
    /// It is answered without an origin.
    Respond(response::FixedAnswer),
    /// The client is sent elsewhere.
    Redirect(rewrite::Redirect),
}

/// Fail-safe defaults for the durations, sizes and counts that the file leaves open, in one place so that docs and code
/// agree.
pub mod defaults {
    use super::{Duration, NonZeroU64};

    pub const MAX_URI_BYTES: usize = 8 << 10;
    pub const MAX_HEADER_BYTES: usize = 32 << 10;
    pub const MAX_HEADER_COUNT: usize = 100;
    /// Pingora's parser refuses more than this, whatever the file says.
    pub const HARD_MAX_HEADER_COUNT: usize = 256;
    pub const MAX_BODY_BYTES: u64 = 10 << 20;
    pub const HEADER_TIME: Duration = Duration::from_secs(10);
    pub const BODY_IDLE: Duration = Duration::from_secs(30);
    /// Bytes a second. A modem brought more; Apache's `mod_reqtimeout` asks for as much.
    pub const BODY_RATE: NonZeroU64 = NonZeroU64::new(500).expect("BUG: not zero");
    pub const ANSWER_RATE: NonZeroU64 = NonZeroU64::new(500).expect("BUG: not zero");
    /// Browsers open connections ahead of their requests.
    pub const FIRST_REQUEST: Duration = Duration::from_secs(30);
    pub const WRITE_IDLE: Duration = Duration::from_secs(30);
    pub const KEEPALIVE: Duration = Duration::from_secs(60);
    pub const TUNNEL_IDLE: Duration = Duration::from_secs(3600);
    pub const HANDSHAKE: Duration = Duration::from_secs(10);
    pub const CONNECTIONS: u32 = 10_000;
    pub const CONNECTIONS_PER_ADDRESS: u32 = 1_000;
    pub const REQUESTS_PER_CONNECTION: u32 = 10_000;
    pub const DRAIN: Duration = Duration::from_secs(30);
    pub const DRAIN_NOTICE: Duration = Duration::ZERO;
    /// A round trip to the other side of the world, and some.
    pub const DRAIN_IDLE: Duration = Duration::from_millis(500);
    pub const HISTORY: u32 = 5;
    pub const CONNECT: Duration = Duration::from_secs(2);
    pub const RESPONSE: Duration = Duration::from_secs(30);
    pub const SEND: Duration = Duration::from_secs(30);
    /// Below the common 60 s: a pooled connection that the origin has just closed costs a request another try.
    pub const UPSTREAM_IDLE: Duration = Duration::from_secs(30);
    /// Long enough for connections to be shared under load, and shorter than any origin's keep-alive that is known.
    pub const UPSTREAM_IDLE_UNSAFE: Duration = Duration::from_secs(1);
    pub const RETRY_ATTEMPTS: u32 = 3;
    /// Millionths of an upstream's requests.
    pub const RETRY_BUDGET: u32 = 200_000;
    /// Retries a second.
    pub const RETRY_FLOOR: u64 = 3;
    pub const RETRY_FIRST: Duration = Duration::from_millis(25);
    pub const RETRY_LONGEST: Duration = Duration::from_millis(250);
    pub const HTTP2_STREAMS: u32 = 100;
    /// A browser that leaves a page of many pictures resets them all at once.
    pub const HTTP2_RESETS: u32 = 200;
    pub const HTTP2_CONTROL_FRAMES: u32 = 1000;
    pub const DNS_TIMEOUT: Duration = Duration::from_secs(2);
    pub const DNS_ATTEMPTS: u32 = 2;
    pub const DNS_SHORTEST: Duration = Duration::from_secs(1);
    pub const DNS_LONGEST: Duration = Duration::from_secs(300);
    pub const DNS_ADDRESSES: u32 = 256;
    pub const ENDPOINTS_PER_FILE: usize = 1000;
    pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);
    pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
    pub const HEALTHY_AFTER: u32 = 2;
    pub const UNHEALTHY_AFTER: u32 = 3;
    pub const EJECT_AFTER: u32 = 5;
    /// Gateways that tell the client that something behind them failed; a 500 may be what the request deserves.
    pub const EJECT_STATUSES: [u16; 3] = [502, 503, 504];
    pub const EJECT_FOR: Duration = Duration::from_secs(10);
    pub const EJECT_LONGEST: Duration = Duration::from_secs(300);
    /// In hundredths.
    pub const EJECT_MOST: u32 = 50;
    pub const ERROR_RATE_WINDOW: Duration = Duration::from_secs(10);
    pub const ERROR_RATE_REQUESTS: u32 = 20;
    /// In hundredths.
    pub const ERROR_RATE_AT_LEAST: u32 = 25;
    pub const ERROR_RATE_TIMES: u32 = 3;
    pub const MIRROR_BODY_BYTES: usize = 64 << 10;
    pub const MIRROR_TIME: Duration = Duration::from_secs(5);
    pub const MIRROR_CONCURRENT: u32 = 100;
    pub const JWT_LEEWAY: Duration = Duration::from_secs(30);
    pub const LOG_QUEUE: usize = 8192;
    /// Largest file that a configuration may name (a key set, a certificate, an error page, a list of addresses).
    pub const NAMED_FILE_BYTES: u64 = 16 << 20;
    pub const ADMIN_CONNECTIONS: usize = 100;
    pub const ADMIN_TIME: Duration = Duration::from_secs(10);
}
