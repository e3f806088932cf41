//! Compile: `bounds`, `process`, `trusted_proxies`.

use std::num::{NonZero, NonZeroU64};
use std::time::Duration;

use ipnet::IpNet;

use super::user::user;
use crate::config::compile::{Context, DocPath, address, numbers};
use crate::config::raw;
use crate::config::raw::shape::OrOff;
use crate::config::raw::units::{Count, Size, Span, Speed};
use crate::config::snapshot::{Bounds, Process};
use crate::decision::defaults;
use crate::decision::pacing::Pacing;
use crate::decision::request::ReadRules;

/// Pingora's reader holds no more than this, whatever the file says.
const HARD_MAX_HEADER_BYTES: usize = 1 << 20;
const MAX_THREADS: u64 = 1024;
/// More connections than a machine has memory for, and more requests than a connection lives for.
const MAX_COUNT: u32 = 10_000_000;
/// Longer than any of these waits makes sense; a bound of years is none.
const MAX_WAIT: Duration = Duration::from_secs(86_400);

/// Bounds on slowness and on connections.
pub fn bounds(ctx: &mut Context, raw: &raw::Config) -> Bounds {
    let path = DocPath::root().key("bounds");
    let raw = &raw.bounds;
    let mut wait = |name, span, default| self::wait(ctx, &path.key(name), span, default);
    Bounds {
        first_request: wait("first_request", raw.first_request, defaults::FIRST_REQUEST),
        header_time: wait("header_time", raw.header_time, defaults::HEADER_TIME),
        body_idle: wait("body_idle", raw.body_idle, defaults::BODY_IDLE),
        body_rate: rate(raw.body_rate.as_ref(), Some(defaults::BODY_RATE)),
        write_idle: wait("write_idle", raw.write_idle, defaults::WRITE_IDLE),
        answer_rate: rate(raw.answer_rate.as_ref(), Some(defaults::ANSWER_RATE)),
        keepalive: wait("keepalive", raw.keepalive, defaults::KEEPALIVE),
        tunnel_idle: wait("tunnel_idle", raw.tunnel_idle, defaults::TUNNEL_IDLE),
        handshake: wait("handshake", raw.handshake, defaults::HANDSHAKE),
        connections: count(ctx, &path.key("connections"), raw.connections, defaults::CONNECTIONS),
        connections_per_address: count(
            ctx,
            &path.key("connections_per_address"),
            raw.connections_per_address,
            defaults::CONNECTIONS_PER_ADDRESS,
        ),
        requests_per_connection: count(
            ctx,
            &path.key("requests_per_connection"),
            raw.requests_per_connection,
            defaults::REQUESTS_PER_CONNECTION,
        ),
        http2_streams: count(ctx, &path.key("http2_streams"), raw.http2_streams, defaults::HTTP2_STREAMS),
        http2_resets: count(ctx, &path.key("http2_resets"), raw.http2_resets, defaults::HTTP2_RESETS),
        http2_control_frames: count(
            ctx,
            &path.key("http2_control_frames"),
            raw.http2_control_frames,
            defaults::HTTP2_CONTROL_FRAMES,
        ),
    }
}

/// How slowly a request body may come on `route`, which stands at `path`.
pub fn body_pacing(ctx: &mut Context, path: &DocPath, route: &raw::route::Route, bounds: &Bounds) -> Pacing {
    let idle = match &route.body_idle {
        Some(OrOff::Off(_)) => None,
        Some(OrOff::On(span)) => Some(wait(ctx, &path.key("body_idle"), Some(*span), bounds.body_idle)),
        None => Some(bounds.body_idle),
    };
    Pacing { idle, rate: rate(route.body_rate.as_ref(), bounds.body_rate) }
}

fn rate(written: Option<&OrOff<Speed>>, default: Option<NonZeroU64>) -> Option<NonZeroU64> {
    match written {
        None => default,
        Some(OrOff::Off(_)) => None,
        Some(OrOff::On(Speed(rate))) => Some(*rate),
    }
}

/// The process itself.
pub fn process(ctx: &mut Context, raw: &raw::Config) -> Process {
    let path = DocPath::root().key("process");
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = match raw.process.threads {
        None => cores(),
        Some(Count(threads)) => {
            if !(1..=MAX_THREADS).contains(&threads) {
                let message = format!("{threads} is not between 1 and {MAX_THREADS}");
                ctx.error(&path.key("threads"), "out_of_range", message);
            }
            threads.clamp(1, MAX_THREADS) as usize
        }
    };
    let drain = wait_or_not(ctx, &path.key("drain"), raw.process.drain, defaults::DRAIN);
    let drain_notice = wait_or_not(ctx, &path.key("drain_notice"), raw.process.drain_notice, defaults::DRAIN_NOTICE);
    let drain_idle = wait_or_not(ctx, &path.key("drain_idle"), raw.process.drain_idle, defaults::DRAIN_IDLE);
    let mut drain_streams = wait_or_not(ctx, &path.key("drain_streams"), raw.process.drain_streams, drain);
    if drain_streams > drain {
        let message = format!("{drain_streams:?} is longer than `drain`, which ends everything after {drain:?}");
        let help = "raise `process.drain`, or leave `drain_streams` out";
        ctx.error_with_help(&path.key("drain_streams"), "out_of_range", message, help);
        drain_streams = drain;
    }
    let user = raw.process.user.as_deref().and_then(|written| user(ctx, &path.key("user"), written));
    let history = numbers::count(ctx, &path.key("history"), raw.process.history, 0..=100, defaults::HISTORY);
    Process { threads, drain, drain_notice, drain_idle, drain_streams, history, user }
}

/// No time to drain is a choice that one may make.
fn wait_or_not(ctx: &mut Context, path: &DocPath, span: Option<Span>, default: Duration) -> Duration {
    match span {
        Some(Span(Duration::ZERO)) => Duration::ZERO,
        span => wait(ctx, path, span, default),
    }
}

/// Bounds on size, and who is believed.
pub fn read_rules(ctx: &mut Context, raw: &raw::Config) -> ReadRules {
    let path = DocPath::root().key("bounds");
    let bounds = &raw.bounds;
    let count = bounds.header_count.map_or(defaults::MAX_HEADER_COUNT as u64, |count| count.0);
    if !(1..=defaults::HARD_MAX_HEADER_COUNT as u64).contains(&count) {
        let message = format!("{count} is not between 1 and {}", defaults::HARD_MAX_HEADER_COUNT);
        ctx.error(&path.key("header_count"), "out_of_range", message);
    }
    ReadRules {
        max_uri: size(ctx, &path.key("uri"), bounds.uri, defaults::MAX_URI_BYTES),
        max_header_bytes: size(ctx, &path.key("header_bytes"), bounds.header_bytes, defaults::MAX_HEADER_BYTES),
        max_header_count: count.min(defaults::HARD_MAX_HEADER_COUNT as u64) as usize,
        trusted_proxies: trusted_proxies(ctx, &raw.trusted_proxies),
    }
}

fn trusted_proxies(ctx: &mut Context, written: &[String]) -> Vec<IpNet> {
    ranges(ctx, &DocPath::root().key("trusted_proxies"), written, "name the addresses of your own proxies only")
}

/// The addresses and ranges at `list` of those who are believed about clients. Who lists everyone is warned with `narrower`.
pub(super) fn ranges(ctx: &mut Context, list: &DocPath, ranges: &[String], narrower: &str) -> Vec<IpNet> {
    let mut trusted = Vec::with_capacity(ranges.len());
    for (index, text) in ranges.iter().enumerate() {
        let path = list.index(index);
        let Some(range) = address::range(ctx, &path, text) else { continue };
        if range.prefix_len() == 0 {
            ctx.warning(&path, "everyone_trusted", "everyone may say which client a request is from", narrower);
        }
        trusted.push(range);
    }
    trusted
}

pub(in crate::config::compile) fn wait(
    ctx: &mut Context,
    path: &DocPath,
    span: Option<Span>,
    default: Duration,
) -> Duration {
    match span {
        None => default,
        Some(Span(wait)) if wait.is_zero() => {
            let help = "write at least `1ms`";
            ctx.error_with_help(path, "out_of_range", "without any time, every request would be refused", help);
            default
        }
        Some(Span(wait)) if wait > MAX_WAIT => {
            ctx.error(path, "out_of_range", "more than a day is no bound");
            default
        }
        Some(Span(wait)) => wait,
    }
}

fn count(ctx: &mut Context, path: &DocPath, count: Option<Count>, default: u32) -> u32 {
    let Some(Count(count)) = count else { return default };
    match u32::try_from(count) {
        Ok(count) if (1..=MAX_COUNT).contains(&count) => count,
        _ => {
            ctx.error(path, "out_of_range", format!("{count} is not between 1 and {MAX_COUNT}"));
            default
        }
    }
}

fn size(ctx: &mut Context, path: &DocPath, size: Option<Size>, default: usize) -> usize {
    match size {
        None => default,
        Some(Size(bytes)) => match usize::try_from(bytes) {
            Ok(bytes) if (1..=HARD_MAX_HEADER_BYTES).contains(&bytes) => bytes,
            _ => {
                ctx.error(path, "out_of_range", "the size is not between 1B and 1MiB");
                default
            }
        },
    }
}
