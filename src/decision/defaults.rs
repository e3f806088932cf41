//! Fail-safe defaults for the durations, sizes and counts that the file leaves open, in one place so that docs and code
//! agree.

use std::num::NonZeroU64;
use std::time::Duration;

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
