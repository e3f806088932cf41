use std::io;

use super::*;
use crate::config::environment::Environment;
use crate::config::load::SourceMap;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// The limits, those of each route, and the diagnostics as `code path`.
fn compile(yaml: &str) -> (Vec<Limit>, Vec<Vec<u32>>, Vec<String>) {
    // By way of JSON, whose enums are mappings; those of serde_yaml alone are tags.
    let written: serde_json::Value = serde_yaml::from_str(&format!("version: 1\n{yaml}")).unwrap();
    let raw: raw::Config = serde_json::from_value(written).unwrap();
    let places = SourceMap::default();
    let mut ctx = CompileContext::new(&places, &Nothing);
    let mut limits = LimitCompiler::new(&mut ctx, &raw);
    let routes = raw.routes.iter().enumerate().map(|(index, route)| {
        let ids = limits.route(&mut ctx, &DocPath::root().key("routes").index(index), route);
        ids.iter().map(|id| id.0).collect()
    });
    let routes = routes.collect();
    let found = ctx.into_diagnostics().into_iter().map(|found| format!("{} {}", found.code, found.path));
    (limits.finish(), routes, found.collect())
}

#[track_caller]
fn refused(yaml: &str, expected: &[&str]) {
    assert_eq!(compile(yaml).2, expected);
}

#[test]
fn a_rate_is_its_own_burst_and_counts_addresses() {
    let (limits, _, found) = compile("limits: [{name: a, rate: 50/s}, {name: b, rate: 1/m, burst: 7, mode: report}]");
    assert!(found.is_empty());
    assert_eq!(limits[0].key, LimitKey::ClientAddress);
    assert_eq!(limits[0].quota, Quota::Rate(RateQuota::new(50, Duration::from_secs(1), 50)));
    assert!(!limits[0].report_only);
    assert_eq!(limits[1].quota, Quota::Rate(RateQuota::new(1, Duration::from_secs(60), 7)));
    assert!(limits[1].report_only);
    assert_eq!(limits[1].policy, "\"b\";q=7;w=420");
}

#[test]
fn routes_share_what_they_inherit_and_own_what_they_override() {
    let (limits, routes, found) = compile(
        "
limits: [{name: a, rate: 50/s, key: gateway}, {name: b, concurrent: 9}]
routes:
  - {name: plain}
  - {name: strict, limits: [{name: c, rate: 1/s, key: {header: X-Tenant}}, {name: a, rate: 2/s}]}
  - {name: also-plain}
",
    );
    assert!(found.is_empty());
    assert_eq!(routes, [vec![0, 1], vec![3, 1, 2], vec![0, 1]]);
    let scopes: Vec<_> = limits.iter().map(|limit| &*limit.scope).collect();
    assert_eq!(scopes, ["a", "b", "strict/c", "strict/a"]);
    assert_eq!(limits[2].key, LimitKey::Header(HeaderName::from_static("x-tenant").into()));
}

#[test]
fn every_limit_that_is_switched_off_is_listed() {
    let (_, routes, found) = compile(
        "
limits: [{name: a, rate: 50/s}, {name: b, concurrent: 9}]
routes: [{name: r, limits: [{name: a, off: internal callers only}]}]
",
    );
    assert_eq!(routes, [[1]]);
    assert_eq!(found, ["limit_switched_off routes[0].limits[0]"]);
}

#[test]
fn off_must_say_why_and_mean_an_inherited_limit() {
    refused(
        "
limits: [{name: per-caller, rate: 50/s}, {name: x, off: because}]
routes:
  - {name: r, limits: [{name: per-calller, off: because}]}
  - {name: s, limits: [{name: per-caller, off: ' ', rate: 1/s, concurrent: 2}]}
",
        &[
            "limit_off_not_on_route limits[1].off",
            "unknown_limit routes[0].limits[0].name",
            "limit_off_without_reason routes[1].limits[0].off",
            "limit_off_with_settings routes[1].limits[0].rate",
            "limit_off_with_settings routes[1].limits[0].concurrent",
            "limit_switched_off routes[1].limits[0]",
        ],
    );
}

#[test]
fn everything_wrong_with_a_limit_is_reported() {
    refused(
        "
limits:
  - {name: 'a b', key: {header: 'x y'}}
  - {name: both, rate: 1/s, concurrent: 1}
  - {name: burst, concurrent: 0, burst: 5}
  - {name: none, rate: 1/s, burst: 0}
  - {name: none, rate: 1/s}
  - {name: years, rate: 1/d, burst: 100000}
",
        &[
            "invalid_name limits[0].name",
            "invalid_header_name limits[0].key.header",
            "limit_incomplete limits[0]",
            "limit_ambiguous limits[1]",
            "burst_without_rate limits[2].burst",
            "out_of_range limits[2].concurrent",
            "out_of_range limits[3].burst",
            "duplicate_limit limits[4].name",
            "burst_too_large limits[5].burst",
        ],
    );
}

#[test]
fn a_public_route_counts_no_principals_of_its_own() {
    let by_principal = "{name: a, key: principal, rate: 1/s}";
    refused(
        &format!("routes: [{{name: r, access: public, limits: [{by_principal}]}}]"),
        &["limit_without_principal routes[0].limits[0].key"],
    );
    refused(&format!("routes: [{{name: r, access: {{identity: corp}}, limits: [{by_principal}]}}]"), &[]);
    refused(&format!("limits: [{by_principal}]\nroutes: [{{name: r, access: public}}]"), &[]);
}

#[test]
fn ids_count_only_what_was_compiled() {
    let (limits, routes, _) =
        compile("limits: [{name: a}, {name: b, rate: 1/s}]\nroutes: [{name: r, limits: [{name: a, rate: 2/s}]}]");
    assert_eq!(limits.len(), 2);
    assert_eq!(routes, [[1, 0]]);
}

#[test]
fn a_limit_counts_as_early_as_its_key_is_known_unless_told_otherwise() {
    let (limits, routes, found) = compile(
        "
limits:
  - {name: a, rate: 1/s, key: principal}
  - {name: b, rate: 1/s, key: {header: X-Tenant}}
  - {name: c, rate: 1/s, key: gateway, phase: after_identity}
  - {name: d, rate: 1/s, key: principal, phase: after_identity}
  - {name: e, rate: 1/s, phase: before_identity}
routes: [{name: r}]
",
    );
    assert!(found.is_empty());
    let before: Vec<bool> = limits.iter().map(|limit| limit.phase == Phase::BeforeIdentity).collect();
    assert_eq!(before, [false, true, false, false, true]);
    assert_eq!(routes, [[1, 4, 0, 2, 3]], "the phases in their order, and within each the order of the file");
}

#[test]
fn a_limit_by_principal_cannot_count_before_identity() {
    refused(
        "limits: [{name: a, rate: 1/s, key: principal, phase: before_identity}]",
        &["limit_phase_without_principal limits[0].phase"],
    );
}
