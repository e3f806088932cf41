use http::{HeaderMap, Method};

use super::*;
use crate::config::snapshot::{Probe, RetryBudget, Timeouts};
use crate::decision::request::{Normal, Scheme};
use crate::decision::upstream::{Balance, HashKey, retry};

fn upstream(endpoints: &[(&str, u16)]) -> snapshot::Upstream {
    let second = Duration::from_secs(1);
    snapshot::Upstream {
        name: "orders".into(),
        endpoints: endpoints
            .iter()
            .map(|(host, port)| snapshot::Endpoint { host: (*host).to_owned(), port: *port, weight: 1 })
            .collect(),
        balance: Balance::RoundRobin,
        health: Some(Health {
            probe: Probe::Tcp,
            interval: second,
            timeout: second,
            healthy_after: 2,
            unhealthy_after: 3,
        }),
        refuse_when_unhealthy: false,
        timeouts: Timeouts {
            connect: second,
            response: second,
            send: second,
            idle: second,
            idle_unsafe: second,
            request: None,
        },
        retries: retry::Rules::off(),
        retry_budget: RetryBudget { percent: 20, floor: 3, floor_per: second },
        tls: None,
        http2: false,
        http2_streams: 100,
        resolve: second,
        proxy_protocol: None,
    }
}

fn state(upstreams: &Upstreams, upstream: &snapshot::Upstream) -> Arc<UpstreamState> {
    upstreams.reconcile(std::slice::from_ref(upstream)).remove(0)
}

fn choose(state: &UpstreamState, tried: &[SocketAddr]) -> Result<Option<Chosen>, Cause> {
    let normal = Normal {
        host: String::new(),
        port: None,
        path: "/".to_owned(),
        query: None,
        path_changed: false,
        spelling: Default::default(),
        client: IpAddr::from([127, 0, 0, 1]),
        scheme: Scheme::Http,
        trusted_peer: false,
        request_id: None,
    };
    let headers = HeaderMap::new();
    let request = RequestView { method: &Method::GET, normal: &normal, headers: &headers };
    state.choose(&Permit::for_test(), &request, tried, 7)
}

#[track_caller]
fn chosen(state: &UpstreamState, tried: &[SocketAddr]) -> Chosen {
    choose(state, tried).unwrap().unwrap()
}

fn condemn(state: &UpstreamState, endpoint: &Endpoint) {
    let changes: Vec<_> = (0..3).map(|_| state.record_probe(endpoint, false)).collect();
    assert_eq!(changes, [None, None, Some(HealthChange::BecameUnhealthy)]);
}

fn addresses(state: &UpstreamState) -> Vec<String> {
    state.endpoints().endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
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
    for ok in [false, false, true, false, false] {
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
    assert!(Arc::ptr_eq(&before, &after));
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
    assert!(sick.healthy());
    assert_eq!(unprobed.health(), None);
    // A probe that was under way.
    assert!((0..5).all(|_| unprobed.record_probe(&sick, false).is_none()));
    assert!(sick.healthy());
}

#[test]
fn an_upstream_that_left_and_came_back_begins_afresh() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &upstream(&TWO));
    assert!(upstreams.reconcile(&[]).is_empty());
    assert!(!Arc::ptr_eq(&before, &state(&upstreams, &upstream(&TWO))));
}

#[test]
fn a_name_stands_for_all_its_addresses() {
    let state = state(&Upstreams::new(), &upstream(&[("orders.internal", 80), ("::1", 81)]));
    assert_eq!(addresses(&state), ["[::1]:81"]);
    assert_eq!(state.endpoints().endpoints[0].name.as_ref(), "[::1]:81");
    assert_eq!(state.resolve_every(), Some(Duration::from_secs(1)));
    let answer = vec![ip("10.0.0.2"), ip("10.0.0.1"), ip("10.0.0.2")];
    assert!(state.learn("orders.internal", Ok(answer)).unwrap());
    assert_eq!(addresses(&state), ["10.0.0.1:80", "10.0.0.2:80", "[::1]:81"]);
    assert_eq!(state.endpoints().endpoints[0].name.as_ref(), "orders.internal:80");
    let kept = Arc::clone(&state.endpoints().endpoints[1]);
    assert!(state.learn("orders.internal", Ok(vec![ip("10.0.0.2"), ip("10.0.0.9")])).unwrap());
    assert_eq!(addresses(&state), ["10.0.0.2:80", "10.0.0.9:80", "[::1]:81"]);
    assert!(Arc::ptr_eq(&kept, &state.endpoints().endpoints[0]));
}

#[test]
fn the_last_good_answer_is_kept() {
    let upstreams = Upstreams::new();
    let by_name = upstream(&[("orders.internal", 80)]);
    let state_of_name = state(&upstreams, &by_name);
    assert_eq!(choose(&state_of_name, &[]).unwrap_err(), Cause::UpstreamUnresolved);
    assert!(state_of_name.learn("orders.internal", Ok(vec![ip("10.0.0.1")])).unwrap());
    assert!(!state_of_name.learn("orders.internal", Ok(vec![ip("10.0.0.1")])).unwrap());
    assert!(state_of_name.learn("orders.internal", Err(io::ErrorKind::TimedOut.into())).is_err());
    assert!(state_of_name.learn("orders.internal", Ok(Vec::new())).is_err());
    assert!(!state_of_name.learn("other.internal", Ok(vec![ip("10.0.0.2")])).unwrap());
    assert_eq!(addresses(&state(&upstreams, &by_name)), ["10.0.0.1:80"]);
    assert_eq!(state(&upstreams, &upstream(&TWO)).resolve_every(), None);
}

#[tokio::test]
async fn names_are_resolved_by_the_system() {
    let state = state(&Upstreams::new(), &upstream(&[("localhost", 80), ("name.invalid", 80)]));
    let resolved = state.resolve().await;
    assert!(resolved.changed);
    assert_eq!(resolved.failures.len(), 1);
    assert_eq!(resolved.failures[0].0, "name.invalid");
    assert!(chosen(&state, &[]).endpoint.address.ip().is_loopback());
}
