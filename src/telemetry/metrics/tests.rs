use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use http::Method;

use super::*;
use crate::decision::outcome::Cause;
use crate::decision::request::Scheme;
use crate::decision::upstream::ejection::Reason;
use crate::decision::upstream::retry::Failure;
use crate::telemetry::record::{RecordedDecision, RequestRecord, UpstreamRecord};

fn record(status: u16, decision: RecordedDecision, cause: Option<Cause>) -> RequestRecord {
    RequestRecord {
        time: UNIX_EPOCH,
        duration: Duration::from_millis(3),
        request_id: String::new(),
        listener: "public".into(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        via: None,
        protocol: "HTTP/1.1",
        lane: None,
        scheme: Scheme::Http,
        tls: None,
        method: Method::GET,
        host: String::new(),
        path: "/".to_owned(),
        query: None,
        user_agent: None,
        referer: None,
        status,
        bytes_sent: 0,
        bytes_received: 0,
        route: None,
        generation: 1,
        decision,
        cause,
        detail: None,
        would_deny: None,
        principal: None,
        upstream: None,
    }
}

fn upstream(attempts: u32, response: Option<Duration>) -> UpstreamRecord {
    UpstreamRecord {
        name: "orders".into(),
        endpoint: None,
        attempts,
        retried: None,
        reused: false,
        connect: None,
        response,
    }
}

#[track_caller]
fn has(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    assert!(text.lines().any(|each| each == line), "no line `{line}` in:\n{text}");
}

#[test]
fn a_request_counts_by_class_decision_cause_and_time() {
    let metrics = Metrics::new();
    let route = metrics.route("orders");
    route.record(&record(200, RecordedDecision::Allow, None));
    route.record(&record(204, RecordedDecision::Allow, None));
    route.record(&record(401, RecordedDecision::Deny, Some(Cause::TokenExpired)));
    route.record(&record(504, RecordedDecision::Fail, Some(Cause::UpstreamTimeout)));
    route.record(&RequestRecord { would_deny: Some(Cause::RateExceeded), ..record(0, RecordedDecision::Allow, None) });
    has(&metrics, r#"portcullis_requests_total{decision="allow",route="orders",status_class="2xx"} 2"#);
    has(&metrics, r#"portcullis_requests_total{decision="deny",route="orders",status_class="4xx"} 1"#);
    has(&metrics, r#"portcullis_requests_total{decision="allow",route="orders",status_class="none"} 1"#);
    has(&metrics, r#"portcullis_denials_total{cause="token_expired",route="orders"} 1"#);
    has(&metrics, r#"portcullis_failures_total{cause="upstream_timeout",route="orders"} 1"#);
    has(&metrics, r#"portcullis_would_deny_total{cause="rate_exceeded",route="orders"} 1"#);
    has(&metrics, r#"portcullis_request_duration_seconds_bucket{route="orders",le="0.0025"} 0"#);
    has(&metrics, r#"portcullis_request_duration_seconds_bucket{route="orders",le="0.005"} 5"#);
}

#[test]
fn handles_of_two_generations_count_into_one_series() {
    let metrics = Metrics::new();
    metrics.route("orders").record(&record(200, RecordedDecision::Allow, None));
    metrics.route("orders").record(&record(200, RecordedDecision::Allow, None));
    has(&metrics, r#"portcullis_requests_total{decision="allow",route="orders",status_class="2xx"} 2"#);
}

#[test]
fn a_route_without_traffic_has_no_series() {
    let metrics = Metrics::new();
    let _route = metrics.route("seldom");
    assert!(!metrics.render().contains("seldom"));
}

#[test]
fn parallel_counts_are_exact() {
    let metrics = Metrics::new();
    let route = metrics.route("");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| route.record(&record(200, RecordedDecision::Allow, None))));
        }
    });
    has(&metrics, r#"portcullis_requests_total{decision="allow",route="",status_class="2xx"} 4000"#);
}

#[test]
fn an_upstream_counts_answers_retries_and_failed_connections() {
    let metrics = Metrics::new();
    let orders = metrics.upstream("orders");
    orders.connect_failed();
    orders.retried(Failure::Connect { untried: true });
    orders.retried(Failure::Connect { untried: true });
    orders.retry_denied(Failure::Status(503, None));
    orders.record(&upstream(3, Some(Duration::from_millis(20))), Some(200));
    orders.record(&upstream(0, None), None);
    has(&metrics, r#"portcullis_upstream_requests_total{status_class="2xx",upstream="orders"} 1"#);
    has(&metrics, r#"portcullis_upstream_requests_total{status_class="none",upstream="orders"} 1"#);
    has(&metrics, r#"portcullis_upstream_retries_total{reason="connect",upstream="orders"} 2"#);
    has(&metrics, r#"portcullis_upstream_retries_denied_total{reason="status",upstream="orders"} 1"#);
    has(&metrics, r#"portcullis_upstream_connect_failures_total{upstream="orders"} 1"#);
    has(&metrics, r#"portcullis_upstream_duration_seconds_count{upstream="orders"} 1"#);
}

#[test]
fn copies_count_by_what_became_of_them() {
    let metrics = Metrics::new();
    metrics.mirror("orders").count(MirrorOutcome::TooLarge);
    metrics.upstream("orders-next").fell_back();
    has(&metrics, r#"portcullis_mirrored_total{outcome="too_large",route="orders"} 1"#);
    has(&metrics, r#"portcullis_mirrored_total{outcome="answered",route="orders"} 0"#);
    has(&metrics, r#"portcullis_upstream_fallbacks_total{upstream="orders-next"} 1"#);
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped_even_by_a_panic() {
    let metrics = Metrics::new();
    let listener = metrics.listener("public");
    let open = listener.accepted();
    let result = thread::scope(|scope| {
        scope
            .spawn(|| {
                let _request = metrics.request_in_flight();
                panic!("a fault in a request");
            })
            .join()
    });
    assert!(result.is_err());
    has(&metrics, r#"portcullis_connections{listener="public"} 1"#);
    has(&metrics, "portcullis_requests_in_flight 0");
    drop(open);
    has(&metrics, r#"portcullis_connections{listener="public"} 0"#);
    has(&metrics, r#"portcullis_connections_total{listener="public"} 1"#);
}

fn sample<'a>(upstream: &'a str, endpoint: &str, takes_requests: bool) -> EndpointSample<'a> {
    let endpoint = endpoint.to_owned();
    EndpointSample { upstream, endpoint, takes_requests, ejected: false, draining: false, requests: 2 }
}

#[test]
fn a_scrape_asks_for_what_is_kept_elsewhere() {
    let metrics = Metrics::new();
    metrics.set_endpoints([sample("orders", "127.0.0.1:9001", true)]);
    metrics.on_scrape(|metrics| {
        set_total(&metrics.access_log_dropped, 7);
        metrics.set_endpoints([sample("orders", "127.0.0.1:9002", false)]);
    });
    metrics.render();
    has(&metrics, "portcullis_access_log_dropped_total 7");
    has(&metrics, r#"portcullis_upstream_endpoint_healthy{endpoint="127.0.0.1:9002",upstream="orders"} 0"#);
    assert!(!metrics.render().contains("9001"));
}

#[test]
fn address_lists_show_their_entries_and_whether_they_are_stale() {
    let metrics = Metrics::new();
    metrics.set_address_lists([("gone.txt", 1, false)]);
    metrics.set_address_lists([("blocked.txt", 3, true)]);
    has(&metrics, r#"portcullis_address_list_entries{file="blocked.txt"} 3"#);
    has(&metrics, r#"portcullis_address_list_stale{file="blocked.txt"} 1"#);
    assert!(!metrics.render().contains("gone.txt"));
}

#[test]
fn a_refused_connection_counts_by_its_reason() {
    let metrics = Metrics::new();
    metrics.listener("public").refused(ConnectionRefusal::Address);
    has(&metrics, r#"portcullis_connections_refused_total{listener="public",reason="address"} 1"#);
}

#[test]
fn an_applied_configuration_tells_its_generation_and_time() {
    let metrics = Metrics::new();
    metrics.config_applied(3, UNIX_EPOCH + Duration::from_secs(10));
    has(&metrics, "portcullis_config_generation 3");
    has(&metrics, "portcullis_config_last_reload_success 1");
    has(&metrics, "portcullis_config_last_reload_timestamp_seconds 10");
}

#[test]
fn every_name_of_the_registry_is_served_and_no_other() {
    let metrics = Metrics::new();
    let route = metrics.route("r");
    route.record(&RequestRecord {
        would_deny: Some(Cause::ScopeMissing),
        ..record(401, RecordedDecision::Deny, Some(Cause::TokenExpired))
    });
    route.record(&record(502, RecordedDecision::Fail, Some(Cause::UpstreamClosed)));
    metrics.upstream("u").record(&upstream(1, Some(Duration::ZERO)), Some(200));
    metrics.upstream("u").retried(Failure::Reset);
    metrics.upstream("u").retry_denied(Failure::Reset);
    metrics.upstream("u").fell_back();
    metrics.mirror("r").count(MirrorOutcome::Answered);
    metrics.listener("l").handshake_failed();
    metrics.limit_refusals("per-caller").inc();
    metrics.bound_hit(Bound::Uri);
    metrics.set_address_lists([("blocked.txt", 3, true)]);
    metrics.set_endpoints([sample("u", "127.0.0.1:9001", true)]);
    metrics.set_endpoint_full("u", 1);
    metrics.upstream("u").ejected(Reason::Consecutive);
    metrics.upstream("u").ejection_withheld(Reason::Consecutive);
    metrics.set_discovery([("addresses", "orders.internal", 2, false, Some(SystemTime::now()))]);
    metrics.discovery_failed("addresses");

    let text = metrics.render();
    let mut served: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    served.retain(|name| name.starts_with("portcullis_"));
    let mut registered: Vec<_> = names::ALL.iter().map(|spec| spec.name).collect();
    registered.sort_unstable();
    assert_eq!(served, registered);
    assert!(text.contains("process_resident_memory_bytes "));
}

#[test]
fn bounds_stand_at_their_positions() {
    for (position, bound) in Bound::ALL.iter().enumerate() {
        assert_eq!(*bound as usize, position);
    }
}
