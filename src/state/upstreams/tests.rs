mod bounds;
mod passive_health;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, UNIX_EPOCH};

use http::{HeaderMap, Method};

use super::*;
use crate::config::snapshot::{Health, Probe, RetryBudget, Timeouts};
use crate::decision::access::Permit;
use crate::decision::outcome::Cause;
use crate::decision::request::{NormalizedRequest, RequestView};
use crate::decision::upstream::{Balance, HashKey, retry};
use crate::state::discovery::dns::AddressAnswer;

fn upstream(endpoints: &[(&str, u16)]) -> snapshot::Upstream {
    let second = Duration::from_secs(1);
    snapshot::Upstream {
        name: "orders".into(),
        endpoints: endpoints
            .iter()
            .map(|(host, port)| snapshot::EndpointConfig {
                host: (*host).to_owned(),
                port: *port,
                weight: 1,
                priority: 0,
                zone: None,
            })
            .collect(),
        services: Vec::new(),
        files: Vec::new(),
        balance: Balance::RoundRobin,
        health: Some(Health {
            probe: Probe::Tcp,
            interval: second,
            timeout: second,
            healthy_after: 2,
            unhealthy_after: 3,
        }),
        refuse_when_unhealthy: false,
        ejection: None,
        slow_start: None,
        circuit_breaker: Default::default(),
        zone: None,
        sticky: None,
        timeouts: Timeouts {
            connect: second,
            response: second,
            send: second,
            idle: second,
            idle_unsafe: second,
            request: None,
        },
        retries: retry::RetryPolicy::off(),
        retry_budget: RetryBudget { share: 200_000, floor: 3, floor_per: second },
        tls: None,
        http2: false,
        http2_streams: 100,
        proxy_protocol: None,
    }
}

fn state(upstreams: &Upstreams, upstream: &snapshot::Upstream) -> Arc<UpstreamState> {
    upstreams.reconcile(std::slice::from_ref(upstream), &Discovery::new()).remove(0)
}

fn choose(state: &UpstreamState, tried: &[SocketAddr]) -> Result<Option<SelectedEndpoint>, Cause> {
    choose_at(state, tried, Instant::now(), &HeaderMap::new())
}

/// Like [`choose`] at a time, for a request with these fields.
fn choose_at(
    state: &UpstreamState,
    tried: &[SocketAddr],
    at: Instant,
    headers: &HeaderMap,
) -> Result<Option<SelectedEndpoint>, Cause> {
    let normal = NormalizedRequest { client: IpAddr::from([127, 0, 0, 1]), ..NormalizedRequest::for_test() };
    let request = RequestView::for_test(&Method::GET, &normal, headers);
    state.choose(&Permit::for_test(), &request, tried, 7, SelectionTime { at, time: UNIX_EPOCH })
}

#[track_caller]
fn chosen(state: &UpstreamState, tried: &[SocketAddr]) -> SelectedEndpoint {
    choose(state, tried).unwrap().unwrap()
}

fn condemn(state: &UpstreamState, endpoint: &EndpointState) {
    assert_eq!(state.record_probe(endpoint, true), None);
    let changes: Vec<_> = (0..3).map(|_| state.record_probe(endpoint, false)).collect();
    assert_eq!(changes, [None, None, Some(HealthChange::BecameUnhealthy)]);
}

fn addresses(state: &UpstreamState) -> Vec<String> {
    state.endpoints().endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

/// Lets `discovery` and these states know the addresses of `orders.internal`.
fn hear(discovery: &Discovery, states: &[&Arc<UpstreamState>], found: &[&str]) {
    learn(discovery, &states[0].upstream, found);
    states.iter().for_each(|state| _ = state.discover(discovery));
}

/// Lets `discovery` know the addresses of `orders.internal`.
fn learn(discovery: &Discovery, upstream: &snapshot::Upstream, found: &[&str]) {
    let rules = snapshot::Dns {
        servers: Vec::new(),
        timeout: Duration::from_secs(1),
        attempts: 1,
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        startup: Duration::from_secs(5),
        family: snapshot::Family::Both,
        addresses: 256,
    };
    let now = Instant::now();
    discovery.track([upstream], now);
    let found = found.iter().map(|ip| ip.parse().unwrap()).collect();
    let answer = AddressAnswer { found, ttl: Duration::from_secs(9), lost: None };
    discovery.learn_addresses("orders.internal", Ok(answer), &rules, now, 0);
}

const TWO: [(&str, u16); 2] = [("10.0.0.1", 80), ("10.0.0.2", 80)];

#[test]
fn turns_go_round() {
    let state = state(&Upstreams::new(), &upstream(&TWO));
    let first = chosen(&state, &[]).endpoint.address;
    let second = chosen(&state, &[]).endpoint.address;
    assert_ne!(first, second);
    assert_eq!(chosen(&state, &[]).endpoint.address, first);
}

#[test]
fn what_was_tried_is_not_chosen_again_and_then_there_is_none() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::ConsistentHash(HashKey::Path)] {
        let mut upstream = upstream(&TWO);
        upstream.balance = balance;
        let state = state(&Upstreams::new(), &upstream);
        let first = chosen(&state, &[]).endpoint.address;
        let second = chosen(&state, &[first]).endpoint.address;
        assert_ne!(first, second);
        assert!(choose(&state, &[first, second]).unwrap().is_none());
    }
}

#[test]
fn an_endpoint_is_busy_until_the_choice_is_dropped() {
    let state = state(&Upstreams::new(), &upstream(&TWO[..1]));
    let (one, two) = (chosen(&state, &[]), chosen(&state, &[]));
    let endpoint = Arc::clone(&one.endpoint);
    assert_eq!(endpoint.active(), 2);
    drop(one);
    assert_eq!(endpoint.active(), 1);
    drop(two);
    assert_eq!(endpoint.active(), 0);
}

#[test]
fn health_changes_after_results_in_a_row() {
    let state = state(&Upstreams::new(), &upstream(&TWO));
    let endpoint = Arc::clone(&state.endpoints().endpoints[0]);
    for ok in [true, false, false, true, false, false] {
        assert_eq!(state.record_probe(&endpoint, ok), None);
    }
    assert!(endpoint.healthy());
    assert_eq!(state.record_probe(&endpoint, false), Some(HealthChange::BecameUnhealthy));
    assert!((0..10).all(|_| chosen(&state, &[]).endpoint.address != endpoint.address));
    for ok in [true, false, true] {
        assert_eq!(state.record_probe(&endpoint, ok), None);
    }
    assert_eq!(state.record_probe(&endpoint, true), Some(HealthChange::BecameHealthy));
    assert!(endpoint.healthy());
}

#[test]
fn the_first_probe_decides_at_once() {
    let state = state(&Upstreams::new(), &upstream(&TWO));
    let [sick, well] = [0, 1].map(|index: usize| Arc::clone(&state.endpoints().endpoints[index]));
    assert!(sick.begins_first_probe() && !sick.begins_first_probe() && !sick.was_probed());
    assert_eq!(state.record_probe(&sick, false), Some(HealthChange::BecameUnhealthy));
    assert_eq!((state.record_probe(&well, true), state.record_probe(&well, false)), (None, None));
    assert!(sick.was_probed() && !sick.healthy() && well.healthy());
}

#[test]
fn when_all_are_unhealthy_the_owner_decides() {
    let upstreams = Upstreams::new();
    let mut upstream = upstream(&TWO);
    let state_of_both = state(&upstreams, &upstream);
    for endpoint in &state_of_both.endpoints().endpoints {
        condemn(&state_of_both, endpoint);
    }
    let used = chosen(&state_of_both, &[]);
    assert!(used.panic);
    assert!(chosen(&state_of_both, &[used.endpoint.address]).panic);

    upstream.refuse_when_unhealthy = true;
    let refusing = state(&upstreams, &upstream);
    assert_eq!(choose(&refusing, &[]).unwrap_err(), Cause::UpstreamUnhealthy);
    assert!(choose(&refusing, &[used.endpoint.address]).unwrap().is_none());
}

#[test]
fn a_reload_keeps_the_endpoints_that_stay() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &upstream(&TWO));
    let sick = Arc::clone(&before.endpoints().endpoints[1]);
    condemn(&before, &sick);
    let after = state(&upstreams, &upstream(&[("10.0.0.3", 80), ("10.0.0.2", 80)]));
    let members = after.endpoints();
    assert!(Arc::ptr_eq(&members.endpoints[1], &sick));
    assert!(!members.endpoints[1].healthy());
    assert!(members.endpoints[0].healthy());
}

#[test]
fn without_probes_nobody_stays_unhealthy() {
    let upstreams = Upstreams::new();
    let mut upstream = upstream(&TWO);
    let probed = state(&upstreams, &upstream);
    let sick = Arc::clone(&probed.endpoints().endpoints[0]);
    condemn(&probed, &sick);
    upstream.health = None;
    let unprobed = state(&upstreams, &upstream);
    assert!((0..4).any(|_| chosen(&unprobed, &[]).endpoint.address == sick.address));
    assert_eq!(unprobed.health(), None);
    // A probe that was in progress.
    assert!((0..5).all(|_| unprobed.record_probe(&sick, false).is_none()));
    // With probes again, their earlier results are out of date.
    upstream.health = probed.health().cloned();
    let _probed_again = state(&upstreams, &upstream);
    assert!(sick.healthy());
}

#[test]
fn an_upstream_that_left_and_came_back_begins_afresh() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &upstream(&TWO));
    condemn(&before, &before.endpoints().endpoints[0]);
    assert!(upstreams.reconcile(&[], &Discovery::new()).is_empty());
    drop(before);
    assert!(state(&upstreams, &upstream(&TWO)).endpoints().endpoints.iter().all(|endpoint| endpoint.healthy()));
}

#[test]
fn a_name_stands_for_all_its_addresses() {
    let (upstreams, discovery) = (Upstreams::new(), Discovery::new());
    let upstream = upstream(&[("orders.internal", 80), ("::1", 81)]);
    let state = upstreams.reconcile(std::slice::from_ref(&upstream), &discovery).remove(0);
    assert_eq!(addresses(&state), ["[::1]:81"]);
    assert_eq!(state.endpoints().endpoints[0].name.as_ref(), "[::1]:81");
    learn(&discovery, &upstream, &["10.0.0.2", "10.0.0.1", "10.0.0.2"]);
    assert!(state.discover(&discovery) && !state.discover(&discovery));
    assert_eq!(addresses(&state), ["10.0.0.1:80", "10.0.0.2:80", "[::1]:81"]);
    assert_eq!(state.endpoints().endpoints[0].name.as_ref(), "orders.internal:80");
}

#[test]
fn an_address_that_stays_keeps_its_state() {
    let (upstreams, discovery) = (Upstreams::new(), Discovery::new());
    let upstream = upstream(&[("orders.internal", 80)]);
    let state = upstreams.reconcile(std::slice::from_ref(&upstream), &discovery).remove(0);
    assert_eq!(choose(&state, &[]).unwrap_err(), Cause::UpstreamUnresolved);
    learn(&discovery, &upstream, &["10.0.0.1", "10.0.0.2"]);
    state.discover(&discovery);
    let kept = Arc::clone(&state.endpoints().endpoints[1]);
    condemn(&state, &kept);
    learn(&discovery, &upstream, &["10.0.0.2", "10.0.0.9"]);
    state.discover(&discovery);
    assert_eq!(addresses(&state), ["10.0.0.2:80", "10.0.0.9:80"]);
    assert!(Arc::ptr_eq(&kept, &state.endpoints().endpoints[0]) && !kept.healthy());
    // A reload has the answers at once.
    let again = upstreams.reconcile(std::slice::from_ref(&upstream), &discovery).remove(0);
    assert!(Arc::ptr_eq(&kept, &again.endpoints().endpoints[0]));
}
