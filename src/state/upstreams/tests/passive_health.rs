//! Ejection of endpoints that fail requests, and their return.

use super::*;
use crate::decision::upstream::ejection::{EjectionPolicy, ErrorRate, Failures, Reason, Standing};
use crate::decision::upstream::outcome::TryResult::{self, Answered, ConnectFailed, TimedOut};

fn rules() -> EjectionPolicy {
    EjectionPolicy {
        consecutive: 3,
        failures: Failures::Answering([503].into_iter().collect()),
        error_rate: None,
        first: Duration::from_secs(10),
        longest: Duration::from_secs(60),
        most: 50,
    }
}

fn ejecting(endpoints: &[(&str, u16)], rules: EjectionPolicy) -> snapshot::Upstream {
    snapshot::Upstream { ejection: Some(rules), health: None, ..upstream(endpoints) }
}

/// Ends the next request of `address` with `result`. Returns the change.
#[track_caller]
fn try_at(state: &UpstreamState, address: SocketAddr, at: Instant, result: TryResult) -> Option<EjectionChange> {
    for _ in 0..100 {
        let mut chosen = choose_at(state, &[], at, &HeaderMap::new()).unwrap().unwrap();
        if chosen.endpoint.address == address {
            return state.record(&mut chosen, result, || at);
        }
    }
    panic!("{address} gets no request");
}

fn is_used(state: &UpstreamState, address: SocketAddr, at: Instant) -> bool {
    (0..20).any(|_| choose_at(state, &[], at, &HeaderMap::new()).unwrap().unwrap().endpoint.address == address)
}

/// Ends three requests with failures.
#[track_caller]
fn eject(state: &UpstreamState, address: SocketAddr, at: Instant) -> EjectionChange {
    let ends: Vec<_> = (0..3).map(|_| try_at(state, address, at, ConnectFailed)).collect();
    assert_eq!(ends[..2], [None, None]);
    ends[2].unwrap()
}

const SICK: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 80));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn who_fails_in_a_row_is_left_out_and_comes_back_by_a_trial() {
    let state = state(&Upstreams::new(), &ejecting(&TWO, rules()));
    let now = Instant::now();
    // A success resets the consecutive failures.
    for result in [ConnectFailed, Answered(503), Answered(200), TimedOut, ConnectFailed] {
        assert_eq!(try_at(&state, SICK, now, result), None);
    }
    let ejected = |reason, time| Some(EjectionChange::Ejected { reason, time: seconds(time) });
    assert_eq!(try_at(&state, SICK, now, TimedOut), ejected(Reason::Consecutive, 10));
    assert!(!is_used(&state, SICK, now + seconds(9)));

    let later = now + seconds(11);
    assert_eq!(try_at(&state, SICK, later, Answered(503)), ejected(Reason::Trial, 20));
    assert!(!is_used(&state, SICK, later + seconds(19)));
    assert_eq!(try_at(&state, SICK, later + seconds(21), Answered(200)), Some(EjectionChange::Returned));
    assert_eq!(try_at(&state, SICK, later + seconds(21), Answered(200)), None);
}

#[test]
fn one_trial_at_a_time_and_an_abandoned_one_is_repeated() {
    let state = state(&Upstreams::new(), &ejecting(&TWO, rules()));
    let now = Instant::now();
    eject(&state, SICK, now);
    let later = now + seconds(11);
    let trial = (0..20)
        .map(|_| choose_at(&state, &[], later, &HeaderMap::new()).unwrap().unwrap())
        .find(|chosen| chosen.endpoint.address == SICK)
        .expect("a trial");
    assert_eq!(trial.endpoint.standing(), Standing::OnTrial);
    assert!(!is_used(&state, SICK, later));
    // The client left.
    drop(trial);
    assert_eq!(try_at(&state, SICK, later, Answered(200)), Some(EjectionChange::Returned));
}

#[test]
fn what_was_under_way_does_not_bring_it_back_or_prolong_it() {
    let state = state(&Upstreams::new(), &ejecting(&TWO, rules()));
    let now = Instant::now();
    let mut slow: Vec<_> =
        (0..20).map(|_| chosen(&state, &[])).filter(|chosen| chosen.endpoint.address == SICK).collect();
    eject(&state, SICK, now);
    let before = slow[0].endpoint.standing();
    for (number, chosen) in slow.iter_mut().enumerate() {
        let result = if number % 2 == 0 { Answered(200) } else { ConnectFailed };
        assert_eq!(state.record(chosen, result, || now), None);
    }
    assert_eq!(slow[0].endpoint.standing(), before);
}

#[test]
fn no_more_are_left_out_than_may_be() {
    let four = [("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 80), ("10.0.0.4", 80)];
    let of_four = state(&Upstreams::new(), &ejecting(&four, rules()));
    let now = Instant::now();
    let endpoints = of_four.endpoints().endpoints.clone();
    for endpoint in &endpoints[..2] {
        assert!(matches!(eject(&of_four, endpoint.address, now), EjectionChange::Ejected { .. }));
    }
    let withheld = EjectionChange::Withheld { reason: Reason::Consecutive };
    assert_eq!(eject(&of_four, endpoints[2].address, now), withheld);
    assert!(is_used(&of_four, endpoints[2].address, now));

    let alone = state(&Upstreams::new(), &ejecting(&TWO[..1], rules()));
    assert_eq!(eject(&alone, SICK, now), withheld);
}

#[test]
fn the_unhealthy_and_the_drained_count_among_those_that_are_out() {
    let upstreams = Upstreams::new();
    let mut upstream = ejecting(&TWO, rules());
    upstream.health = super::upstream(&TWO).health;
    let state = state(&upstreams, &upstream);
    let other = Arc::clone(&state.endpoints().endpoints[1]);
    condemn(&state, &other);
    let withheld = EjectionChange::Withheld { reason: Reason::Consecutive };
    assert_eq!(eject(&state, SICK, Instant::now()), withheld);
    other.presume_healthy();
    upstreams.drain("orders", "10.0.0.2:80", true, Instant::now()).unwrap();
    assert_eq!(eject(&state, SICK, Instant::now()), withheld);
}

#[test]
fn who_fails_more_than_the_others_is_left_out() {
    let rate = ErrorRate { window: seconds(10), requests: 10, at_least: 25, times: 3 };
    let state = state(&Upstreams::new(), &ejecting(&TWO, EjectionPolicy { error_rate: Some(rate), ..rules() }));
    let now = Instant::now();
    let well = state.endpoints().endpoints[1].address;
    let mut ends = Vec::new();
    for number in 0..12 {
        assert_eq!(try_at(&state, well, now, Answered(200)), None);
        // Never three in a row.
        let result = if number % 3 == 2 { Answered(200) } else { Answered(503) };
        ends.push(try_at(&state, SICK, now, result));
        if ends.last().is_some_and(Option::is_some) {
            break;
        }
    }
    let reason = Reason::ErrorRate;
    assert_eq!(ends.pop().unwrap(), Some(EjectionChange::Ejected { reason, time: seconds(10) }));
    assert!(ends.len() >= 9 && ends.iter().all(Option::is_none), "{ends:?}");
}

#[test]
fn who_is_as_bad_as_the_others_stays() {
    let rate = ErrorRate { window: seconds(10), requests: 5, at_least: 25, times: 3 };
    let rules = EjectionPolicy { error_rate: Some(rate), consecutive: 100, ..rules() };
    let state = state(&Upstreams::new(), &ejecting(&TWO, rules));
    let now = Instant::now();
    for _ in 0..40 {
        let mut chosen = choose_at(&state, &[], now, &HeaderMap::new()).unwrap().unwrap();
        assert_eq!(state.record(&mut chosen, Answered(503), || now), None);
    }
}

#[test]
fn a_probe_that_passes_does_not_end_an_ejection() {
    let mut upstream = ejecting(&TWO, rules());
    upstream.health = super::upstream(&TWO).health;
    let state = state(&Upstreams::new(), &upstream);
    let now = Instant::now();
    eject(&state, SICK, now);
    let sick = Arc::clone(&state.endpoints().endpoints[0]);
    for _ in 0..10 {
        assert_eq!(state.record_probe(&sick, true), None);
    }
    assert!(!is_used(&state, SICK, now));
}

#[test]
fn two_configurations_see_one_ejection() {
    let upstreams = Upstreams::new();
    let before = state(&upstreams, &ejecting(&TWO, rules()));
    let mut changed = ejecting(&[("10.0.0.1", 80), ("10.0.0.3", 80)], rules());
    let after = state(&upstreams, &changed);
    let now = Instant::now();
    eject(&before, SICK, now);
    assert!(!is_used(&after, SICK, now));
    // Each configuration has its own endpoints and ejection settings.
    assert_eq!(addresses(&before), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(addresses(&after), ["10.0.0.1:80", "10.0.0.3:80"]);
    changed.ejection = None;
    assert!(is_used(&state(&upstreams, &changed), SICK, now));
    assert!(!is_used(&after, SICK, now));
}

#[test]
fn with_everything_left_out_the_owner_decides() {
    let mut upstream = ejecting(&TWO, EjectionPolicy { most: 100, ..rules() });
    upstream.refuse_when_unhealthy = true;
    let upstreams = Upstreams::new();
    let refusing = state(&upstreams, &upstream);
    let now = Instant::now();
    for endpoint in refusing.endpoints().endpoints.iter() {
        eject(&refusing, endpoint.address, now);
    }
    assert_eq!(choose_at(&refusing, &[], now, &HeaderMap::new()).unwrap_err(), Cause::UpstreamUnhealthy);
    upstream.refuse_when_unhealthy = false;
    assert!(chosen(&state(&upstreams, &upstream), &[]).panic);
}

#[test]
fn who_comes_back_takes_a_part_of_its_share() {
    let mut upstream = ejecting(&TWO, rules());
    upstream.slow_start = Some(seconds(100));
    let state = state(&Upstreams::new(), &upstream);
    let now = Instant::now();
    let share = |at| state.view(at)[0].share;
    assert_eq!(share(now), 1.0, "what is there from the beginning is warm");
    eject(&state, SICK, now);
    let back = now + seconds(11);
    assert_eq!(try_at(&state, SICK, back, Answered(200)), Some(EjectionChange::Returned));
    assert!(share(back) < 0.11);
    assert_eq!(state.view(back)[0].condition, EndpointCondition::SlowStart);
    let taken = |at| {
        let is_sick =
            |_: &i32| choose_at(&state, &[], at, &HeaderMap::new()).unwrap().unwrap().endpoint.address == SICK;
        (0..2000).filter(is_sick).count()
    };
    let (cold, half, warm) = (taken(back), taken(back + seconds(50)), taken(back + seconds(100)));
    assert!((50..200).contains(&cold), "{cold}");
    assert!((400..700).contains(&half), "{half}");
    assert_eq!(warm, 1000);
}

#[test]
fn an_endpoint_is_seen_as_it_is() {
    let state = state(&Upstreams::new(), &ejecting(&TWO, rules()));
    let now = Instant::now();
    let seen = |at| (state.view(at)[0].condition, state.view(at)[0].ejected.map(|left| left.as_secs()));
    assert_eq!(seen(now), (EndpointCondition::Healthy, None));
    eject(&state, SICK, now);
    assert_eq!(seen(now + seconds(4)), (EndpointCondition::Ejected, Some(6)));
    assert_eq!(seen(now + seconds(11)), (EndpointCondition::HalfOpen, Some(0)));
}
