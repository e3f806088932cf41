use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn rules() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        on: On { connect: true, reset: true, timeout: true, statuses: vec![503] },
        backoff: Backoff { first: 25 * MS, longest: 250 * MS },
        try_timeout: None,
    }
}

fn progress(method: &Method) -> RetryProgress<'_> {
    RetryProgress { method, tries: 1, stale: 0, body_kept: true, left: None }
}

fn decide(route: Option<&RouteRetryRules>, failure: Failure, progress: &RetryProgress<'_>) -> RetryDecision {
    Effective { upstream: &rules(), route }.decide(failure, progress, u64::MAX / 2)
}

fn again(decision: RetryDecision) -> bool {
    matches!(decision, RetryDecision::Again { .. })
}

const AFTER_SENDING: [Failure; 4] = [Failure::Stale, Failure::Reset, Failure::Timeout, Failure::Status(503, None)];

#[test]
fn what_was_sent_is_repeated_only_where_that_does_no_harm() {
    let vouched = RouteRetryRules { vouched: true, ..RouteRetryRules::default() };
    for failure in AFTER_SENDING {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert!(again(decide(None, failure, &progress(&method))), "{failure:?} {method}");
        }
        for method in [Method::POST, Method::PATCH] {
            assert_eq!(decide(None, failure, &progress(&method)), RetryDecision::GiveUp(Why::Method), "{failure:?}");
            assert!(again(decide(Some(&vouched), failure, &progress(&method))), "{failure:?}");
        }
    }
}

#[test]
fn what_reached_no_origin_is_repeated_whatever_the_method() {
    for failure in [Failure::Connect { untried: true }, Failure::Ended, Failure::Refused] {
        assert!(again(decide(None, failure, &progress(&Method::POST))), "{failure:?}");
    }
}

#[test]
fn a_connection_that_had_ended_is_no_try_and_never_comes_twice() {
    let off = RouteRetryRules::off();
    let post = Method::POST;
    let first = decide(Some(&off), Failure::Ended, &progress(&post));
    assert_eq!(first, RetryDecision::Again { after: Duration::ZERO, charged: false, free: true, fresh: true });
    let late = RetryProgress { stale: MAX_STALE, ..progress(&post) };
    assert_eq!(decide(Some(&off), Failure::Ended, &late), RetryDecision::GiveUp(Why::Attempts));
}

#[test]
fn methods_narrow_what_is_repeated() {
    let only_get = RouteRetryRules { methods: Some(vec![Method::GET]), ..RouteRetryRules::default() };
    assert!(again(decide(Some(&only_get), Failure::Reset, &progress(&Method::GET))));
    assert!(!again(decide(Some(&only_get), Failure::Reset, &progress(&Method::PUT))));
    let only_post = RouteRetryRules { methods: Some(vec![Method::POST]), vouched: true, ..RouteRetryRules::default() };
    assert!(again(decide(Some(&only_post), Failure::Reset, &progress(&Method::POST))));
    assert!(!again(decide(Some(&only_post), Failure::Reset, &progress(&Method::PATCH))));
}

#[test]
fn each_bound_says_that_it_was_the_one() {
    let get = Method::GET;
    let standing = progress(&get);
    let why = |failure, progress: &RetryProgress<'_>| match decide(None, failure, progress) {
        RetryDecision::GiveUp(why) => why,
        again => panic!("{again:?}"),
    };
    assert_eq!(why(Failure::Status(500, None), &standing), Why::NotListed);
    assert_eq!(why(Failure::Nonsense, &standing), Why::NotListed);
    assert_eq!(why(Failure::Reset, &RetryProgress { tries: 3, ..standing }), Why::Attempts);
    assert_eq!(why(Failure::Connect { untried: false }, &standing), Why::Endpoints);
    assert_eq!(why(Failure::Reset, &RetryProgress { body_kept: false, ..standing }), Why::Body);
    assert_eq!(why(Failure::Ended, &RetryProgress { body_kept: false, ..standing }), Why::Body);
    assert_eq!(why(Failure::Status(503, Some(251 * MS)), &standing), Why::RetryAfter);
    assert_eq!(why(Failure::Timeout, &RetryProgress { left: Some(Duration::ZERO), ..standing }), Why::Deadline);
}

#[test]
fn an_origin_is_asked_no_sooner_than_it_says() {
    match decide(None, Failure::Status(503, Some(250 * MS)), &progress(&Method::GET)) {
        RetryDecision::Again { after, .. } => assert_eq!(after, 250 * MS),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_overrides_by_name() {
    let route = RouteRetryRules {
        attempts: Some(5),
        on: Some(On { reset: true, ..On::default() }),
        ..RouteRetryRules::default()
    };
    let fourth = RetryProgress { tries: 4, ..progress(&Method::GET) };
    assert!(again(decide(Some(&route), Failure::Reset, &fourth)));
    assert_eq!(decide(Some(&route), Failure::Timeout, &fourth), RetryDecision::GiveUp(Why::NotListed));
}

#[test]
fn the_names_are_those_of_the_positions() {
    let all = [
        Failure::Connect { untried: true },
        Failure::Ended,
        Failure::Stale,
        Failure::Refused,
        Failure::Reset,
        Failure::Timeout,
        Failure::Status(503, None),
        Failure::Nonsense,
    ];
    for failure in all {
        assert_eq!(Failure::NAMES[failure.index()], failure.as_str());
    }
}

fn any_failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        any::<bool>().prop_map(|untried| Failure::Connect { untried }),
        Just(Failure::Ended),
        Just(Failure::Stale),
        Just(Failure::Refused),
        Just(Failure::Reset),
        Just(Failure::Timeout),
        (400u16..600, proptest::option::of(0u64..400))
            .prop_map(|(status, wait)| Failure::Status(status, wait.map(Duration::from_millis))),
        Just(Failure::Nonsense),
    ]
}

proptest! {
    #[test]
    fn a_request_comes_to_an_end(failures in proptest::collection::vec((any_failure(), any::<u64>()), 64)) {
        let rules = rules();
        let effective = Effective { upstream: &rules, route: None };
        let (mut tries, mut stale, mut sent) = (0, 0, 0);
        for (failure, random) in failures {
            tries += 1;
            sent += 1;
            let progress = RetryProgress { method: &Method::GET, tries, stale, body_kept: true, left: None };
            match effective.decide(failure, &progress, random) {
                RetryDecision::GiveUp(_) => break,
                RetryDecision::Again { free, .. } if free => { tries -= 1; stale += 1; }
                RetryDecision::Again { .. } => {}
            }
        }
        prop_assert!(sent <= rules.attempts + MAX_STALE);
    }

    #[test]
    fn no_wait_is_longer_than_its_bound(tries in 1u32..40, random: u64) {
        let wait = rules().backoff.wait(tries, random);
        prop_assert!(wait <= 250 * MS && (tries > 1 || wait <= 25 * MS));
    }

    #[test]
    fn a_post_that_was_sent_is_never_sent_again(failure in any_failure(), tries in 1u32..5, random: u64) {
        let rules = rules();
        let effective = Effective { upstream: &rules, route: None };
        let progress = RetryProgress { method: &Method::POST, tries, stale: 0, body_kept: true, left: None };
        let unprocessed = matches!(failure, Failure::Connect { .. } | Failure::Ended | Failure::Refused);
        prop_assert!(unprocessed || !again(effective.decide(failure, &progress, random)));
    }
}
