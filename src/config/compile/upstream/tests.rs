mod resilience;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::config::compile::Environment;
use crate::config::load::SourceMap;
use crate::config::snapshot::{Health, Probe};

#[derive(Default)]
struct Files(HashMap<&'static str, String>);

impl Environment for Files {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The upstreams and the diagnostics as `code path`.
fn compile(files: &Files, yaml: &str) -> (Vec<Upstream>, Vec<String>) {
    // By way of JSON, whose enums are mappings; those of serde_yaml alone are tags.
    let written: serde_json::Value = serde_yaml::from_str(&format!("version: 1\nupstreams:\n{yaml}")).unwrap();
    let raw: raw::Config = serde_json::from_value(written).unwrap();
    let places = SourceMap::default();
    let mut ctx = Context::new(&places, files);
    let compiled = upstreams(&mut ctx, &raw);
    let found = ctx.into_diagnostics().into_iter().map(|found| format!("{} {}", found.code, found.path));
    (compiled, found.collect())
}

#[track_caller]
pub(super) fn one(yaml: &str) -> Upstream {
    let (mut compiled, found) = compile(&Files::default(), yaml);
    assert!(found.is_empty(), "{found:?}");
    compiled.remove(0)
}

#[track_caller]
pub(super) fn found(yaml: &str, expected: &[&str]) {
    assert_eq!(compile(&Files::default(), yaml).1, expected);
}

#[test]
fn what_is_not_written_has_a_default() {
    let upstream = one("  orders: {endpoints: ['127.0.0.1:9001', {address: 'B.internal:80', weight: 2}]}");
    let endpoint = |host: &str, port, weight| Endpoint { host: host.to_owned(), port, weight, priority: 0, zone: None };
    assert_eq!(upstream.endpoints, [endpoint("127.0.0.1", 9001, 1), endpoint("b.internal", 80, 2)]);
    assert_eq!(upstream.balance, Balance::RoundRobin);
    assert_eq!(upstream.health, None);
    assert!(!upstream.refuse_when_unhealthy);
    assert_eq!(upstream.timeouts.connect, defaults::CONNECT);
    assert_eq!(upstream.timeouts.idle, defaults::UPSTREAM_IDLE);
    assert_eq!((upstream.timeouts.idle_unsafe, upstream.timeouts.request), (defaults::UPSTREAM_IDLE_UNSAFE, None));
    assert!(upstream.services.is_empty() && upstream.files.is_empty());
    assert_eq!(upstream.proxy_protocol, None);
}

#[test]
fn what_is_written_counts() {
    let upstream = one("
  orders:
    endpoints: ['[::1]:80']
    balance: {consistent_hash: {cookie: Sid}}
    health: {http: {path: '/healthz?deep=1', host: orders.example.com, expected_status: [200, 204], interval: 1s}}
    all_unhealthy: refuse
    timeouts: {connect: 1s, response: 250ms, idle_unsafe: 0s, request: 3s}
    http2: true
    http2_streams: 7
    proxy_protocol: v2");
    assert_eq!(upstream.balance, Balance::ConsistentHash(HashKey::Cookie("Sid".to_owned())));
    assert_eq!(
        upstream.health,
        Some(Health {
            probe: Probe::Http {
                path: "/healthz?deep=1".to_owned(),
                host: Some("orders.example.com".to_owned()),
                expected: vec![200, 204],
            },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
        })
    );
    assert!(upstream.refuse_when_unhealthy);
    assert_eq!(upstream.timeouts.response, Duration::from_millis(250));
    assert_eq!(upstream.timeouts.idle_unsafe, Duration::ZERO);
    assert_eq!(upstream.timeouts.request, Some(Duration::from_secs(3)));
    assert_eq!(upstream.http2_streams, 7);
    assert_eq!(upstream.proxy_protocol, Some(proxy_protocol::Version::V2));
}

#[test]
fn an_upstream_with_mistakes_keeps_its_index() {
    let (compiled, found) = compile(&Files::default(), "  a: {endpoints: []}\n  b: {endpoints: ['c:1']}");
    assert_eq!(found, ["endpoints_empty upstreams.a.endpoints"]);
    let names: Vec<_> = compiled.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn every_mistake_is_reported_in_one_run() {
    found(
        "
  'a b':
    endpoints: [{address: 'c:1', weight: 0}, 'C:1', nowhere, '[::1]:1', '[0::1]:1']
    balance: {consistent_hash: {header: 'x y'}}
    health: {http: {path: healthz, host: 'a@b', expected_status: [99, 200], healthy_after: 0, interval: 1s, timeout: 5s}}
    timeouts: {connect: 0s, idle: 0ms, request: 0s}
    http2_streams: 0",
        &[
            "invalid_name upstreams.a b",
            "setting_without_effect upstreams.a b.http2_streams",
            "out_of_range upstreams.a b.endpoints[0].weight",
            "duplicate_endpoint upstreams.a b.endpoints[1]",
            "invalid_address upstreams.a b.endpoints[2]",
            "duplicate_endpoint upstreams.a b.endpoints[4]",
            "invalid_header_name upstreams.a b.balance.consistent_hash.header",
            "invalid_path upstreams.a b.health.http.path",
            "invalid_host upstreams.a b.health.http.host",
            "out_of_range upstreams.a b.health.http.expected_status[0]",
            "out_of_range upstreams.a b.health.http.healthy_after",
            "probe_timeout_exceeds_interval upstreams.a b.health.http.timeout",
            "duration_zero upstreams.a b.timeouts.connect",
            "duration_zero upstreams.a b.timeouts.idle",
            "duration_zero upstreams.a b.timeouts.request",
            "out_of_range upstreams.a b.http2_streams",
        ],
    );
}

#[test]
fn endpoints_may_be_found_in_files_and_by_dns() {
    let files = Files(HashMap::from([("orders.yaml", "['a:1', {address: 'b:2', weight: 3}]".to_owned())]));
    let (compiled, found) = compile(
        &files,
        "  one: {endpoints: {file: orders.yaml}}
  two: {endpoints: ['c:3', {srv: _HTTP._tcp.orders.internal}, {file: orders.yaml}, {weight: 2, address: 'd:4'}]}
  three: {endpoints: {srv: orders.service.consul.}}",
    );
    assert!(found.is_empty(), "{found:?}");
    let endpoint = |host: &str, port, weight| Endpoint { host: host.to_owned(), port, weight, priority: 0, zone: None };
    assert_eq!(*compiled[0].files[0].loaded, [endpoint("a", 1, 1), endpoint("b", 2, 3)]);
    assert_eq!(compiled[1].endpoints, [endpoint("c", 3, 1), endpoint("d", 4, 2)]);
    assert_eq!(compiled[1].services, ["_http._tcp.orders.internal".into()]);
    assert_eq!(compiled[1].files.len(), 1);
    assert_eq!(compiled[2].services, ["orders.service.consul.".into()]);
}

#[test]
fn a_source_of_endpoints_that_is_wrong_is_reported_where_it_stands() {
    let files = Files(HashMap::from([("wrong.yaml", "['a:1', b]".to_owned()), ("good.yaml", "['a:1']".to_owned())]));
    let yaml =
        "  a: {endpoints: [{file: wrong.yaml}, {file: gone.yaml}, {srv: 'a:1'}, {srv: b}, {srv: B}, {file: good.yaml},
    {file: good.yaml}]}";
    assert_eq!(
        compile(&files, yaml).1,
        [
            "invalid_address upstreams.a.endpoints[0].file",
            "file_unreadable upstreams.a.endpoints[1].file",
            "invalid_service upstreams.a.endpoints[2].srv",
            "duplicate_endpoint upstreams.a.endpoints[4]",
            "duplicate_endpoint upstreams.a.endpoints[6]",
        ]
    );
}

#[test]
fn a_cookie_needs_a_name() {
    found(
        "  a: {endpoints: ['c:1'], balance: {consistent_hash: {cookie: 'a=b'}}}",
        &["invalid_cookie_name upstreams.a.balance.consistent_hash.cookie"],
    );
}

fn files() -> Files {
    let own = rcgen::generate_simple_self_signed(["client.internal".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other.internal".to_owned()]).unwrap();
    Files(HashMap::from([
        ("ca.pem", format!("{}{}", own.cert.pem(), other.cert.pem())),
        ("own.pem", own.cert.pem()),
        ("own.key", own.signing_key.serialize_pem()),
        ("other.key", other.signing_key.serialize_pem()),
        ("empty.pem", String::new()),
        ("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned()),
        ("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
    ]))
}

fn tls(settings: &str) -> (Option<crate::config::snapshot::UpstreamTls>, Vec<String>) {
    let (mut compiled, found) = compile(&files(), &format!("  a: {{endpoints: ['c:1'], tls: {{{settings}}}}}"));
    (compiled.remove(0).tls, found)
}

#[test]
fn certificates_and_keys_come_as_der() {
    let (tls, found) = tls("sni: Orders.Internal, ca: ca.pem, client_certificate: {cert: own.pem, key: own.key}");
    assert!(found.is_empty(), "{found:?}");
    let tls = tls.unwrap();
    assert_eq!(tls.sni, "orders.internal");
    assert_eq!(tls.authorities.unwrap().len(), 2);
    let client = tls.client_certificate.unwrap();
    assert_eq!(client.chain.len(), 1);
    assert!(PrivateKeyDer::try_from(client.key.expose().as_slice()).is_ok());
    assert!(!format!("{client:?}").contains("key"));
}

#[test]
fn tls_that_would_verify_less_does_not_compile() {
    for (settings, expected) in [
        ("sni: ''", "invalid_sni upstreams.a.tls.sni"),
        ("sni: 'a b'", "invalid_sni upstreams.a.tls.sni"),
        ("sni: a, ca: missing.pem", "file_unreadable upstreams.a.tls.ca"),
        ("sni: a, ca: empty.pem", "invalid_certificate upstreams.a.tls.ca"),
        ("sni: a, ca: broken.pem", "invalid_certificate upstreams.a.tls.ca"),
        ("sni: a, ca: junk.pem", "invalid_certificate upstreams.a.tls.ca"),
        (
            "sni: a, client_certificate: {cert: own.pem, key: other.key}",
            "key_mismatch upstreams.a.tls.client_certificate.key",
        ),
        (
            "sni: a, client_certificate: {cert: own.pem, key: own.pem}",
            "invalid_key upstreams.a.tls.client_certificate.key",
        ),
    ] {
        let (tls, found) = tls(settings);
        assert_eq!(found, [expected]);
        assert!(tls.is_none());
    }
}
