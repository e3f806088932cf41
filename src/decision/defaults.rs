//! Fail-safe defaults for the durations, sizes and counts that the file leaves open, in one place so that docs and code
//! agree.

use std::time::Duration;

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
/// Requests at a time on a connection to an endpoint.
pub const UPSTREAM_HTTP2_STREAMS: u32 = 100;
pub const DNS_TIMEOUT: Duration = Duration::from_secs(2);
pub const DNS_ATTEMPTS: u32 = 2;
pub const DNS_SHORTEST: Duration = Duration::from_secs(1);
pub const DNS_LONGEST: Duration = Duration::from_secs(300);
pub const DNS_STARTUP: Duration = Duration::from_secs(5);
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
/// For the file system to answer what it is asked about such a file. A disk under load takes a second or two.
pub const NAMED_FILE_TIME: Duration = Duration::from_secs(3);
/// For the writer of a pipe that the configuration is read from at the start.
pub const PIPE_TIME: Duration = Duration::from_secs(30);
pub const ADMIN_CONNECTIONS: usize = 100;
pub const ADMIN_TIME: Duration = Duration::from_secs(10);
