//! Compile: `retries` of an upstream and of a route.

use std::time::Duration;

use http::Method;

use crate::config::compile::{CompileContext, numbers};
use crate::config::doc_path::DocPath;
use crate::config::raw::retries::{Backoff as Written, OwnRetries, Retries, RetryOn, RouteRetries, UpstreamRetries};
use crate::config::raw::shape::OneOrMany;
use crate::config::raw::units::{Count, Span};
use crate::config::snapshot::RetryBudget;
use crate::decision::defaults;
use crate::decision::upstream::retry::{Backoff, On, RetryPolicy, RouteRetryRules};

/// More tries than this have never helped anyone, and each costs its client time.
const MAX_ATTEMPTS: u32 = 10;

/// A wait is taken out of the client's patience.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// What an upstream says about retries.
pub(super) fn upstream(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: Option<&Retries>,
) -> (RetryPolicy, RetryBudget) {
    let nothing = UpstreamRetries::default();
    let written = match written {
        Some(Retries::Off) => return (RetryPolicy::off(), budget(&nothing)),
        Some(Retries::On(written)) => written,
        None => &nothing,
    };
    let rules = RetryPolicy {
        attempts: attempts(ctx, path, written.attempts).unwrap_or(defaults::RETRY_ATTEMPTS),
        on: match &written.on {
            Some(on) => conditions(ctx, &path.key("on"), on),
            None => On { connect: true, ..On::default() },
        },
        backoff: backoff(ctx, &path.key("backoff"), written.backoff),
        try_timeout: try_timeout(ctx, path, written.try_timeout),
    };
    (rules, budget(written))
}

/// What a route says about retries.
pub(in crate::config::compile) fn route(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &RouteRetries,
) -> RouteRetryRules {
    let written = match written {
        RouteRetries::Off => return RouteRetryRules::off(),
        RouteRetries::On(written) => written,
    };
    RouteRetryRules {
        attempts: attempts(ctx, path, written.attempts),
        on: written.on.as_ref().map(|on| conditions(ctx, &path.key("on"), on)),
        backoff: written.backoff.is_some().then(|| backoff(ctx, &path.key("backoff"), written.backoff)),
        try_timeout: try_timeout(ctx, path, written.try_timeout),
        methods: methods(ctx, &path.key("methods"), written),
        vouched: written.vouched,
    }
}

fn attempts(ctx: &mut CompileContext, path: &DocPath, written: Option<Count>) -> Option<u32> {
    let range = 1..=MAX_ATTEMPTS;
    written.map(|_| numbers::count(ctx, &path.key("attempts"), written, range, defaults::RETRY_ATTEMPTS))
}

fn try_timeout(ctx: &mut CompileContext, path: &DocPath, written: Option<Span>) -> Option<Duration> {
    written.map(|_| numbers::span(ctx, &path.key("try_timeout"), written, defaults::RESPONSE))
}

fn conditions(ctx: &mut CompileContext, path: &DocPath, written: &OneOrMany<RetryOn>) -> On {
    let mut on = On::default();
    for (index, each) in written.0.iter().enumerate() {
        match each {
            RetryOn::Connect => on.connect = true,
            RetryOn::Reset => on.reset = true,
            RetryOn::Timeout => on.timeout = true,
            RetryOn::Status(status) => match u16::try_from(*status) {
                Ok(status @ 400..=599) => on.statuses.push(status),
                _ => ctx.error_with_help(
                    &if written.0.len() == 1 { path.clone() } else { path.index(index) },
                    "out_of_range",
                    format!("{status} is no status of a failure"),
                    "write statuses from 400 to 599, such as 503",
                ),
            },
        }
    }
    on
}

fn backoff(ctx: &mut CompileContext, path: &DocPath, written: Option<Written>) -> Backoff {
    let Written { first, longest } = written.unwrap_or_default();
    let written_longest = longest;
    let first = first.map_or(defaults::RETRY_FIRST, |span| span.0);
    let longest = longest.map_or(defaults::RETRY_LONGEST.max(first), |span| span.0);
    if longest > MAX_BACKOFF || first > MAX_BACKOFF {
        let message = "a client would wait for longer than most wait for an answer";
        ctx.error_with_help(path, "out_of_range", message, "write at most 10s");
    } else if written_longest.is_some() && first > longest {
        ctx.error_with_help(
            &path.key("first"),
            "out_of_range",
            "the first wait is longer than the longest",
            "write a `first` that is at most `longest`",
        );
    }
    Backoff { first, longest }
}

fn budget(written: &UpstreamRetries) -> RetryBudget {
    let share = written.budget.map_or(defaults::RETRY_BUDGET, |share| share.millionths);
    let (floor, floor_per) =
        written.budget_floor.map_or((defaults::RETRY_FLOOR, Duration::from_secs(1)), |rate| (rate.count, rate.per));
    RetryBudget { share, floor, floor_per }
}

fn methods(ctx: &mut CompileContext, path: &DocPath, written: &OwnRetries) -> Option<Vec<Method>> {
    let texts = &written.methods.0;
    let mut methods = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = if texts.len() == 1 { path.clone() } else { path.index(index) };
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if method.is_idempotent() || written.vouched => methods.push(method),
            Ok(method) => ctx.error_with_help(
                &path,
                "retry_unsafe",
                format!("a {method} that is sent twice may have its effect twice"),
                "remove it, or vouch for the origin with `unsafe: true`",
            ),
            Err(_) => ctx.error_with_help(
                &path,
                "invalid_method",
                format!("`{text}` is not a method"),
                "write methods such as GET or POST",
            ),
        }
    }
    (!texts.is_empty()).then_some(methods)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, one};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn retries_have_defaults() {
        let upstream = one("  a: {endpoints: ['c:1']}");
        assert_eq!(upstream.retries.attempts, 3);
        assert_eq!(upstream.retries.on, On { connect: true, ..On::default() });
        assert_eq!(upstream.retries.backoff, Backoff { first: 25 * MS, longest: 250 * MS });
        assert_eq!(upstream.retries.try_timeout, None);
        let second = Duration::from_secs(1);
        assert_eq!(upstream.retry_budget, RetryBudget { share: 200_000, floor: 3, floor_per: second });
    }

    #[test]
    fn retries_are_as_written() {
        let upstream = one("
  a:
    endpoints: ['c:1']
    retries: {attempts: 2, on: [connect, reset, timeout, 502, 503], budget: 10%, budget_floor: 60/m,
      backoff: {first: 0ms, longest: 1s}, try_timeout: 2s}");
        let rules = upstream.retries;
        assert_eq!((rules.attempts, rules.try_timeout), (2, Some(Duration::from_secs(2))));
        assert_eq!(rules.on, On { connect: true, reset: true, timeout: true, statuses: vec![502, 503] });
        assert_eq!(rules.backoff, Backoff { first: Duration::ZERO, longest: Duration::from_secs(1) });
        let minute = Duration::from_secs(60);
        assert_eq!(upstream.retry_budget, RetryBudget { share: 100_000, floor: 60, floor_per: minute });
    }

    #[test]
    fn off_is_one_try() {
        assert_eq!(one("  a: {endpoints: ['c:1'], retries: off}").retries, RetryPolicy::off());
    }

    #[test]
    fn mistakes_in_retries_are_reported_together() {
        found(
            "
  a:
    endpoints: ['c:1']
    retries: {attempts: 11, on: [connect, 200], backoff: {first: 2s, longest: 1s}, try_timeout: 0s}
  b: {endpoints: ['c:1'], retries: {backoff: {longest: 1m}}}",
            &[
                "out_of_range upstreams.a.retries.attempts",
                "out_of_range upstreams.a.retries.on[1]",
                "out_of_range upstreams.a.retries.backoff.first",
                "duration_zero upstreams.a.retries.try_timeout",
                "out_of_range upstreams.b.retries.backoff",
            ],
        );
    }
}
