//! Bounds on concurrent requests, draining, and sticky clients.

use super::*;
use crate::config::snapshot::CircuitBreaker;
use crate::decision::upstream::sticky::{SameSite, Sticky};
use http::header::COOKIE;

#[test]
fn an_upstream_takes_as_many_requests_as_it_may() {
    let upstreams = Upstreams::new();
    let breaker = CircuitBreaker { requests: Some(3), requests_per_endpoint: None };
    let bounded = snapshot::Upstream { circuit_breaker: breaker, ..upstream(&TWO) };
    let of_one = state(&upstreams, &bounded);
    let of_other = state(&upstreams, &bounded);
    let mut taken: Vec<_> = (0..2).map(|_| chosen(&of_one, &[])).collect();
    taken.push(chosen(&of_other, &[]));
    assert_eq!(choose(&of_one, &[]).unwrap_err(), Cause::UpstreamOverloaded);
    assert_eq!(choose(&of_other, &[]).unwrap_err(), Cause::UpstreamOverloaded);
    taken.pop();
    assert!(choose(&of_one, &[]).unwrap().is_some());
}

#[test]
fn a_busy_endpoint_is_passed_over() {
    let breaker = CircuitBreaker { requests: None, requests_per_endpoint: Some(2) };
    let state = state(&Upstreams::new(), &snapshot::Upstream { circuit_breaker: breaker, ..upstream(&TWO) });
    let mut taken: Vec<_> = (0..4).map(|_| chosen(&state, &[])).collect();
    for endpoint in &state.endpoints().endpoints {
        assert_eq!(endpoint.active(), 2);
    }
    assert_eq!(choose(&state, &[]).unwrap_err(), Cause::UpstreamOverloaded);
    assert!(state.passed_over() >= 1);
    let free = taken.remove(0).endpoint.address;
    assert_eq!(chosen(&state, &[]).endpoint.address, free);
}

#[test]
fn many_at_once_stay_within_the_bounds() {
    let breaker = CircuitBreaker { requests: Some(5), requests_per_endpoint: Some(2) };
    let state = state(&Upstreams::new(), &snapshot::Upstream { circuit_breaker: breaker, ..upstream(&TWO) });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let taken: Vec<_> = (0..3).filter_map(|_| choose(&state, &[]).ok().flatten()).collect();
                    drop(taken);
                }
            });
        }
    });
    assert!(state.endpoints().endpoints.iter().all(|endpoint| endpoint.active() == 0));
    assert_eq!((0..9).map(|_| choose(&state, &[])).filter(Result::is_ok).count(), 9);
    let taken: Vec<_> = (0..9).map(|_| choose(&state, &[])).collect();
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 4);
}

fn drain(upstreams: &Upstreams, which: &str, draining: bool) -> Result<usize, UnknownEndpoint> {
    upstreams.drain("orders", which, draining, Instant::now())
}

/// The addresses that get requests.
fn used(state: &UpstreamState) -> Vec<String> {
    let mut used: Vec<_> = (0..40).map(|_| chosen(state, &[]).endpoint.address.to_string()).collect();
    used.sort();
    used.dedup();
    used
}

#[test]
fn a_drained_endpoint_gets_nothing_new_and_stays_so_over_reloads() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &upstream(&TWO));
    assert_eq!(drain(&upstreams, "10.0.0.1:80", true), Ok(1));
    assert_eq!(used(&before), ["10.0.0.2:80"]);
    let after = state(&upstreams, &upstream(&TWO));
    assert_eq!(used(&after), ["10.0.0.2:80"]);
    // Not even if no other endpoint works.
    condemn(&after, &Arc::clone(&after.endpoints().endpoints[1]));
    assert_eq!(used(&after), ["10.0.0.2:80"]);
    assert_eq!(drain(&upstreams, "10.0.0.2:80", true), Ok(1));
    assert_eq!(choose(&after, &[]).unwrap_err(), Cause::UpstreamDrained);
    assert_eq!(drain(&upstreams, "10.0.0.1:80", false), Ok(1));
    assert_eq!(used(&after), ["10.0.0.1:80"]);
    assert_eq!(drain(&upstreams, "10.0.0.3:80", true), Err(UnknownEndpoint::Endpoint));
    assert_eq!(upstreams.drain("users", "10.0.0.1:80", true, Instant::now()), Err(UnknownEndpoint::Upstream));
}

#[test]
fn a_drained_name_stands_for_all_its_addresses() {
    let (upstreams, discovery) = (Upstreams::new(), Discovery::new());
    let state = state(&upstreams, &upstream(&[("orders.internal", 80), ("10.0.0.9", 80)]));
    hear(&discovery, &[&state], &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(drain(&upstreams, "orders.internal:80", true), Ok(2));
    assert_eq!(used(&state), ["10.0.0.9:80"]);
    // Addresses that DNS finds later are drained too.
    hear(&discovery, &[&state], &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(used(&state), ["10.0.0.9:80"]);
    // One address is restored without the others.
    assert_eq!(drain(&upstreams, "10.0.0.2:80", false), Ok(1));
    assert_eq!(used(&state), ["10.0.0.2:80", "10.0.0.9:80"]);
    assert_eq!(drain(&upstreams, "orders.internal:80", false), Ok(3));
    assert_eq!(used(&state).len(), 4);
}

#[test]
fn two_configurations_learn_from_one_answer() {
    let (upstreams, discovery) = (Upstreams::new(), Discovery::new());
    let before = state(&upstreams, &upstream(&[("orders.internal", 80)]));
    let after = state(&upstreams, &upstream(&[("orders.internal", 80), ("10.0.0.9", 80)]));
    hear(&discovery, &[&before, &after], &["10.0.0.1"]);
    assert_eq!(addresses(&before), ["10.0.0.1:80"]);
    assert_eq!(addresses(&after), ["10.0.0.1:80", "10.0.0.9:80"]);
    assert!(Arc::ptr_eq(&before.endpoints().endpoints[0], &after.endpoints().endpoints[0]));
}

#[test]
fn who_joins_later_starts_slowly_and_who_was_there_does_not() {
    let (upstreams, discovery) = (Upstreams::new(), Discovery::new());
    let slowly = |endpoints: &[(&str, u16)]| snapshot::Upstream {
        slow_start: Some(Duration::from_secs(3600)),
        ..upstream(endpoints)
    };
    let shares = |state: &UpstreamState| -> Vec<bool> {
        state.view(Instant::now()).iter().map(|endpoint| endpoint.share < 1.0).collect()
    };
    let before = state(&upstreams, &slowly(&[("10.0.0.1", 80), ("orders.internal", 80)]));
    hear(&discovery, &[&before], &["10.0.0.5"]);
    assert_eq!(shares(&before), [false, false]);
    hear(&discovery, &[&before], &["10.0.0.5", "10.0.0.6"]);
    assert_eq!(shares(&before), [false, false, true]);
    let after = state(&upstreams, &slowly(&[("10.0.0.1", 80), ("10.0.0.2", 80)]));
    assert_eq!(shares(&after), [false, true]);
}

#[test]
fn the_gateways_own_zone_comes_first() {
    let mut zoned = upstream(&[("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 80)]);
    for (endpoint, zone) in zoned.endpoints.iter_mut().zip(["a", "b", "a"]) {
        endpoint.zone = Some(zone.to_owned());
    }
    let everywhere = state(&Upstreams::new(), &zoned);
    assert_eq!(used(&everywhere).len(), 3);
    zoned.zone = Some("a".to_owned());
    let at_home = state(&Upstreams::new(), &zoned);
    assert_eq!(used(&at_home), ["10.0.0.1:80", "10.0.0.3:80"]);
}

fn sticky() -> snapshot::Upstream {
    let cookie = Sticky {
        name: "route".to_owned(),
        lifetime: None,
        path: "/".to_owned(),
        same_site: SameSite::Lax,
        secure: None,
    };
    snapshot::Upstream { sticky: Some(snapshot::Sticky { cookie, key: None }), ..upstream(&TWO) }
}

/// The `Cookie` field of a client that got the cookie of `chosen`.
fn brought(state: &UpstreamState, chosen: &SelectedEndpoint) -> HeaderMap {
    let set = state.cookie(chosen, false, UNIX_EPOCH).expect("a cookie");
    let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
    HeaderMap::from_iter([(COOKIE, pair.parse().unwrap())])
}

#[test]
fn a_client_comes_back_to_its_endpoint_while_that_works() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &sticky());
    let first = chosen(&before, &[]);
    let headers = brought(&before, &first);
    // The process's own key survives reloads.
    let after = state(&upstreams, &sticky());
    let back = |headers: &HeaderMap| choose_at(&after, &[], Instant::now(), headers).unwrap().unwrap();
    for _ in 0..10 {
        let chosen = back(&headers);
        assert_eq!(chosen.endpoint.address, first.endpoint.address);
        assert_eq!(after.cookie(&chosen, false, UNIX_EPOCH), None, "it has one");
    }
    // Drained: assigned clients stay, and no others are assigned.
    drain(&upstreams, &first.endpoint.name, true).unwrap();
    assert_eq!(back(&headers).endpoint.address, first.endpoint.address);
    assert_ne!(chosen(&after, &[]).endpoint.address, first.endpoint.address);
    // Unhealthy: the client moves and gets a new cookie.
    condemn(&after, &first.endpoint);
    let moved = back(&headers);
    assert_ne!(moved.endpoint.address, first.endpoint.address);
    let headers = brought(&after, &moved);
    assert_eq!(back(&headers).endpoint.address, moved.endpoint.address);
}

#[test]
fn another_process_has_another_key() {
    let ours = state(&Upstreams::new(), &sticky());
    let theirs = state(&Upstreams::new(), &sticky());
    let headers = brought(&ours, &chosen(&ours, &[]));
    let chosen = choose_at(&theirs, &[], Instant::now(), &headers).unwrap().unwrap();
    assert!(theirs.cookie(&chosen, false, UNIX_EPOCH).is_some());
}
