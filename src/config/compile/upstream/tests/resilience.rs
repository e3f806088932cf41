use super::*;
use crate::config::snapshot::CircuitBreaker;
use crate::decision::upstream::ejection::{EjectionPolicy, ErrorRate, Failures};
use crate::decision::upstream::sticky::SameSite;

#[test]
fn by_default_only_endpoints_that_cannot_be_reached_are_left_out() {
    let upstream = one("  a: {endpoints: ['b:1']}");
    let ejection = upstream.ejection.unwrap();
    assert_eq!(ejection.failures, Failures::Connecting);
    assert_eq!((ejection.consecutive, ejection.most), (5, 50));
    assert_eq!((ejection.first, ejection.longest), (defaults::EJECT_FOR, defaults::EJECT_LONGEST));
    assert_eq!(upstream.slow_start, None);
    assert_eq!(upstream.circuit_breaker, CircuitBreaker::default());
    assert!(upstream.sticky.is_none() && upstream.zone.is_none());
    assert!(one("  a: {endpoints: ['b:1'], ejection: off}").ejection.is_none());
    let written = one("  a: {endpoints: ['b:1'], ejection: {}}").ejection.unwrap();
    assert_eq!(written.failures, Failures::Answering([502, 503, 504].into_iter().collect()));
}

#[test]
fn what_is_written_of_failing_and_joining_counts() {
    let upstream = one("
  a:
    endpoints: [{address: 'b:1', priority: 2, zone: here}, 'c:1']
    ejection:
      consecutive_failures: 3
      statuses: [500, 503]
      error_rate: {window: 30s, requests: 50, at_least: 10%, times: 5}
      for: 1m
      longest: 10m
      most: 33.4%
    slow_start: 20s
    circuit_breaker: {requests: 100, requests_per_endpoint: 10}
    zone: here");
    assert_eq!((upstream.endpoints[0].priority, upstream.endpoints[0].zone.as_deref()), (2, Some("here")));
    assert_eq!((upstream.endpoints[1].priority, upstream.endpoints[1].zone.as_deref()), (0, None));
    assert_eq!(
        upstream.ejection,
        Some(EjectionPolicy {
            consecutive: 3,
            failures: Failures::Answering([500, 503].into_iter().collect()),
            error_rate: Some(ErrorRate { window: Duration::from_secs(30), requests: 50, at_least: 10, times: 5 }),
            first: Duration::from_secs(60),
            longest: Duration::from_secs(600),
            most: 33,
        })
    );
    assert_eq!(upstream.slow_start, Some(Duration::from_secs(20)));
    assert_eq!(upstream.circuit_breaker, CircuitBreaker { requests: Some(100), requests_per_endpoint: Some(10) });
    assert_eq!(upstream.zone.as_deref(), Some("here"));
}

#[test]
fn what_could_not_work_is_reported_at_once() {
    found(
        "
  a:
    endpoints: [{address: 'b:1', priority: 101}]
    ejection: {consecutive_failures: 0, statuses: [404], for: 1m, longest: 1s, most: 0%, error_rate: {times: 1}}
    slow_start: 0s
    circuit_breaker: {requests: 0}",
        &[
            "out_of_range upstreams.a.endpoints[0].priority",
            "out_of_range upstreams.a.ejection.consecutive_failures",
            "out_of_range upstreams.a.ejection.longest",
            "out_of_range upstreams.a.ejection.statuses[0]",
            "out_of_range upstreams.a.ejection.error_rate.times",
            "out_of_range upstreams.a.ejection.most",
            "duration_zero upstreams.a.slow_start",
            "out_of_range upstreams.a.circuit_breaker.requests",
        ],
    );
}

#[test]
fn zones_that_do_nothing_are_a_warning() {
    found("  a: {endpoints: ['b:1'], zone: x}", &["setting_without_effect upstreams.a.zone"]);
    found("  a: {endpoints: [{address: 'b:1', zone: x}]}", &["setting_without_effect upstreams.a.endpoints"]);
    // A variable that is not set everywhere.
    assert_eq!(one("  a: {endpoints: [{address: 'b:1', zone: x}], zone: ''}").zone, None);
}

fn sticky(settings: &str) -> (Option<crate::config::snapshot::StickyConfig>, Vec<String>) {
    let files = Files(HashMap::from([("sticky.key", format!("{}\n", "k".repeat(32))), ("short.key", "k".repeat(31))]));
    let (mut compiled, found) = compile(&files, &format!("  a: {{endpoints: ['b:1'], sticky: {{{settings}}}}}"));
    (compiled.remove(0).sticky, found)
}

#[test]
fn a_cookie_is_as_written() {
    let (written, found) =
        sticky("cookie: __Host-route, lifetime: 1h, key: {file: sticky.key}, same_site: none, secure: true");
    assert!(found.is_empty(), "{found:?}");
    let written = written.unwrap();
    assert_eq!(written.cookie.lifetime, Some(Duration::from_secs(3600)));
    assert_eq!((written.cookie.path.as_str(), written.cookie.secure), ("/", Some(true)));
    assert_eq!(written.cookie.same_site, SameSite::None);
    assert_eq!(written.key.unwrap().expose().len(), 32);
    let (by_default, found) = sticky("cookie: route, lifetime: session");
    assert_eq!(found, ["sticky_key_missing upstreams.a.sticky"]);
    let by_default = by_default.unwrap();
    assert_eq!((by_default.cookie.lifetime, by_default.cookie.same_site), (None, SameSite::Lax));
}

#[test]
fn a_cookie_that_browsers_refuse_does_not_compile() {
    for (settings, expected) in [
        ("cookie: 'a b'", "invalid_cookie_name upstreams.a.sticky.cookie"),
        ("cookie: a, path: x", "invalid_path upstreams.a.sticky.path"),
        ("cookie: a, path: '/;x'", "invalid_path upstreams.a.sticky.path"),
        ("cookie: a, same_site: none", "cookie_needs_secure upstreams.a.sticky.same_site"),
        ("cookie: __Secure-a", "cookie_needs_secure upstreams.a.sticky.cookie"),
        ("cookie: __Host-a, secure: true, path: /x", "cookie_needs_secure upstreams.a.sticky.cookie"),
        ("cookie: a, lifetime: 20ms", "out_of_range upstreams.a.sticky.lifetime"),
        ("cookie: a, key: {file: short.key}", "key_too_short upstreams.a.sticky.key"),
    ] {
        let key = if settings.contains("key:") { "" } else { ", key: {file: sticky.key}" };
        assert_eq!(sticky(&format!("{settings}{key}")).1, [expected], "{settings}");
    }
}
