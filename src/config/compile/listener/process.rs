//! Compile: `process`, `trusted_proxies`.

use std::num::NonZero;
use std::sync::OnceLock;
use std::time::Duration;

use ipnet::IpNet;

use super::sandbox::sandbox;
use super::user::user;
use crate::config::compile::{CompileContext, address, numbers, via};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::listener::LaneSwitch;
use crate::config::raw::request::TargetReading;
use crate::config::raw::units::{Count, Span};
use crate::config::snapshot::ProcessConfig;
use crate::decision::bounds::Bounds;
use crate::decision::defaults;
use crate::decision::request::ReadRules;
use crate::decision::request::fields::FieldNames;

const MAX_THREADS: u64 = 1024;

/// CPU cores that the process may use. Asked once: in the sandbox, the quota of a control group can't be read any more, and a reload must
/// not see another number.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// The process itself.
pub fn process(ctx: &mut CompileContext, raw: &raw::Config) -> ProcessConfig {
    let path = DocPath::root().key("process");
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
    let core_dumps = raw.process.core_dumps;
    let fast_lane = raw.process.fast_lane == LaneSwitch::On;
    let sandbox = sandbox(ctx, &path.key("sandbox"), &raw.process.sandbox);
    ProcessConfig {
        threads,
        drain,
        drain_notice,
        drain_idle,
        drain_streams,
        history,
        user,
        core_dumps,
        fast_lane,
        sandbox,
    }
}

/// No time to drain is a choice that one may make.
fn wait_or_not(ctx: &mut CompileContext, path: &DocPath, span: Option<Span>, default: Duration) -> Duration {
    match span {
        Some(Span(Duration::ZERO)) => Duration::ZERO,
        span => numbers::wait(ctx, path, span, default),
    }
}

/// How a request is read: the bounds on its size, who is believed, and how targets are taken. The names that rules ask for are not
/// known yet.
pub fn read_rules(ctx: &mut CompileContext, raw: &raw::Config, bounds: &Bounds) -> ReadRules {
    ReadRules {
        max_uri: bounds.uri as usize,
        max_header_bytes: bounds.header_bytes as usize,
        max_header_count: bounds.header_count as usize,
        trusted_proxies: trusted_proxies(ctx, &raw.trusted_proxies),
        strict_target: raw.request.target == TargetReading::Strict,
        names: FieldNames::default(),
        via: via::via(ctx, raw),
        max_passes: bounds.passes,
    }
}

fn trusted_proxies(ctx: &mut CompileContext, written: &[String]) -> Vec<IpNet> {
    ranges(ctx, &DocPath::root().key("trusted_proxies"), written, "name the addresses of your own proxies only")
}

/// The addresses and ranges at `list` of those who are believed about clients. Who lists everyone is warned with `narrower`.
pub(super) fn ranges(ctx: &mut CompileContext, list: &DocPath, ranges: &[String], narrower: &str) -> Vec<IpNet> {
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
