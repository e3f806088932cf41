//! Ejection, bounds on requests at a time, and zones.

use std::time::Duration;

use crate::config::compile::{CompileContext, numbers};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::units::{Count, Share};
use crate::config::raw::upstream::resilience::{Ejection, EjectionRules};
use crate::config::snapshot::CircuitBreaker;
use crate::decision::defaults;
use crate::decision::upstream::ejection::{EjectionPolicy, ErrorRate, Failures};

/// Millions in a hundredth of a whole.
const HUNDREDTH: u32 = 10_000;

/// `None`: endpoints are never left out for what they fail.
pub(super) fn ejection(ctx: &mut CompileContext, path: &DocPath, raw: Option<&Ejection>) -> Option<EjectionPolicy> {
    match raw {
        Some(Ejection::Off) => None,
        Some(Ejection::On(rules)) => Some(rules_of(ctx, path, rules)),
        None => Some(EjectionPolicy {
            consecutive: defaults::EJECT_AFTER,
            failures: Failures::Connecting,
            error_rate: None,
            first: defaults::EJECT_FOR,
            longest: defaults::EJECT_LONGEST,
            most: defaults::EJECT_MOST,
        }),
    }
}

fn rules_of(ctx: &mut CompileContext, path: &DocPath, raw: &EjectionRules) -> EjectionPolicy {
    let after = path.key("consecutive_failures");
    let consecutive = numbers::count(ctx, &after, raw.consecutive_failures, 1..=1000, defaults::EJECT_AFTER);
    let (first, longest) = times(ctx, path, raw);
    EjectionPolicy {
        consecutive,
        failures: failures(ctx, &path.key("statuses"), raw.statuses.as_deref()),
        error_rate: raw.error_rate.as_ref().map(|rate| error_rate(ctx, &path.key("error_rate"), rate)),
        first,
        longest,
        most: hundredths(ctx, &path.key("most"), raw.most, defaults::EJECT_MOST),
    }
}

fn times(ctx: &mut CompileContext, path: &DocPath, raw: &EjectionRules) -> (Duration, Duration) {
    let first = numbers::span(ctx, &path.key("for"), raw.first, defaults::EJECT_FOR);
    let longest = match raw.longest {
        // A long first time lengthens the default, which nobody wrote.
        None => defaults::EJECT_LONGEST.max(first),
        written => numbers::span(ctx, &path.key("longest"), written, defaults::EJECT_LONGEST),
    };
    if longest < first {
        ctx.error_with_help(
            &path.key("longest"),
            "out_of_range",
            "the longest ejection is shorter than the first",
            "make `longest` at least `for`",
        );
    }
    (first, longest)
}

fn failures(ctx: &mut CompileContext, path: &DocPath, raw: Option<&[Count]>) -> Failures {
    let Some(raw) = raw else { return Failures::Answering(defaults::EJECT_STATUSES.into_iter().collect()) };
    let statuses = raw
        .iter()
        .enumerate()
        .map(|(index, status)| numbers::count(ctx, &path.index(index), Some(*status), 500..=599, 503) as u16);
    Failures::Answering(statuses.collect())
}

fn error_rate(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::resilience::ErrorRate) -> ErrorRate {
    ErrorRate {
        window: numbers::span(ctx, &path.key("window"), raw.window, defaults::ERROR_RATE_WINDOW),
        requests: numbers::count(
            ctx,
            &path.key("requests"),
            raw.requests,
            1..=1_000_000,
            defaults::ERROR_RATE_REQUESTS,
        ),
        at_least: hundredths(ctx, &path.key("at_least"), raw.at_least, defaults::ERROR_RATE_AT_LEAST),
        times: numbers::count(ctx, &path.key("times"), raw.times, 2..=100, defaults::ERROR_RATE_TIMES),
    }
}

/// A share of 1% to 100%, rounded down to whole hundredths.
fn hundredths(ctx: &mut CompileContext, path: &DocPath, written: Option<Share>, default: u32) -> u32 {
    match written.map(|share| share.millionths / HUNDREDTH) {
        None => default,
        Some(0) => {
            let help = "write a share from `1%` to `100%`";
            ctx.error_with_help(path, "out_of_range", "the share is less than a hundredth", help);
            default
        }
        Some(hundredths) => hundredths,
    }
}

pub(super) fn circuit_breaker(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::upstream::resilience::CircuitBreaker,
) -> CircuitBreaker {
    let mut bound = |name, written: Option<Count>| {
        written.map(|count| numbers::count(ctx, &path.key(name), Some(count), 1..=10_000_000, 1) as usize)
    };
    CircuitBreaker {
        requests: bound("requests", raw.requests),
        requests_per_endpoint: bound("requests_per_endpoint", raw.requests_per_endpoint),
    }
}

/// The gateway's zone, among endpoints that are in `zoned`. An empty one, as `${ZONE:-}` gives where nothing is set, is none.
pub(super) fn zone(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::upstream::Upstream,
    zoned: &[&str],
) -> Option<String> {
    let zone = raw.zone.clone().filter(|zone| !zone.is_empty());
    match &zone {
        Some(own) if !zoned.contains(&own.as_str()) => ctx.warning(
            &path.key("zone"),
            "setting_without_effect",
            format!("no endpoint is in the zone `{own}`, so that none is preferred"),
            "write the `zone` of each endpoint, or remove it here",
        ),
        None if raw.zone.is_none() && !zoned.is_empty() => ctx.warning(
            &path.key("endpoints"),
            "setting_without_effect",
            "the zones of the endpoints do nothing, since the gateway's own is not known",
            "write the upstream's `zone`, such as `zone: ${ZONE}`, or remove the endpoints' zones",
        ),
        _ => {}
    }
    zone
}
