use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::decision::access::Principal;
use crate::decision::request::NormalizedRequest;
use crate::decision::upstream::{HashKey, hash_input};

const REST: UpstreamId = UpstreamId(0);
const CANARY: UpstreamId = UpstreamId(1);

/// A split with these millionths for the upstreams 1, 2, …; the rest is the upstream 0 and stands first.
fn split(shares: &[u32], sticky_by: Option<StickyBy>) -> Split {
    let side = |(index, millionths): (usize, &u32)| Side {
        upstream: UpstreamId(index as u32 + 1),
        share: Share::millionths(*millionths),
        when: Vec::new(),
    };
    let mut sides = vec![Side { upstream: REST, share: Share::NONE, when: Vec::new() }];
    sides.extend(shares.iter().enumerate().map(side));
    Split { sides, rest: REST, sticky_by, falls_back: true }
}

fn claiming(field: SplitField, condition: Condition) -> Split {
    let mut split = split(&[0], None);
    split.sides[1].when = vec![When { field, condition }];
    split
}

fn header(name: &'static str) -> SplitField {
    SplitField::Header(HeaderName::from_static(name).into())
}

/// Where a request from `client` with these headers goes, with `random` for chance.
fn chosen(split: &Split, permit: &Permit, client: &str, headers: &[(HeaderName, &str)], random: u64) -> UpstreamId {
    seen(client, headers, |view| split.settle(permit, view).unwrap_or_else(|| split.at(random)))
}

fn seen<T>(client: &str, headers: &[(HeaderName, &str)], look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let normal = NormalizedRequest { client: client.parse().unwrap(), ..NormalizedRequest::for_test() };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    look(&RequestView::for_test(&Method::GET, &normal, &map))
}

const CLIENT: &str = "192.0.2.1";

fn principal(id: &str) -> Permit {
    Permit::for_caller(Some(Arc::new(Principal {
        id: id.into(),
        identity: "corp".into(),
        scopes: Vec::new(),
        roles: Vec::new(),
        claims: Default::default(),
        expires: None,
    })))
}

/// How many of `n` callers go to each upstream.
fn counts(split: &Split, n: u64) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for caller in 0..n {
        let upstream = chosen(split, &principal(&format!("caller-{caller}")), CLIENT, &[], caller);
        *counts.entry(upstream.0).or_insert(0) += 1;
    }
    counts
}

#[test]
fn chance_follows_the_shares() {
    let split = split(&[50_000, 200_000], None);
    let mut random = fastrand::Rng::with_seed(7);
    let mut counts = [0u32; 3];
    for _ in 0..100_000 {
        counts[chosen(&split, &Permit::for_test(), CLIENT, &[], random.u64(..)).0 as usize] += 1;
    }
    // Five standard deviations of a binomial of 100,000 are less than 700.
    for (count, expected) in counts.into_iter().zip([75_000, 5_000, 20_000]) {
        assert!(count.abs_diff(expected) < 700, "{counts:?}");
    }
}

#[test]
fn callers_are_spread_by_the_shares_too() {
    let counts = counts(&split(&[50_000, 200_000], Some(StickyBy::Principal)), 100_000);
    for (upstream, expected) in [(0, 75_000), (1, 5_000), (2, 20_000)] {
        assert!(counts[&upstream].abs_diff(expected) < 700u64, "{counts:?}");
    }
}

#[test]
fn the_ends_are_all_and_nothing() {
    for random in [0, 1, u64::MAX] {
        assert_eq!(chosen(&split(&[0], None), &Permit::for_test(), CLIENT, &[], random), REST);
        assert_eq!(chosen(&split(&[1_000_000], None), &Permit::for_test(), CLIENT, &[], random), CANARY);
    }
}

proptest! {
    #[test]
    fn a_share_that_grows_keeps_whom_it_had(id in ".{0,20}", small in 0u32..=1_000_000, more in 0u32..=1_000_000) {
        let permit = principal(&id);
        let at = |share| chosen(&split(&[share], Some(StickyBy::Principal)), &permit, CLIENT, &[], 0);
        let (small, large) = (small.min(more), small.max(more));
        prop_assert!(at(small) != CANARY || at(large) == CANARY);
    }

    #[test]
    fn changing_the_last_share_moves_nobody_between_the_others(
        id in ".{0,20}", first in 0u32..=500_000, before in 0u32..=500_000, after in 0u32..=500_000,
    ) {
        let permit = principal(&id);
        let at = |last| chosen(&split(&[first, last], Some(StickyBy::Principal)), &permit, CLIENT, &[], 0);
        prop_assert!((at(before) == CANARY) == (at(after) == CANARY));
    }

    #[test]
    fn a_caller_stays_on_its_side_whatever_chance_says(id in ".{0,20}", share in 0u32..=1_000_000, a: u64, b: u64) {
        let split = split(&[share], Some(StickyBy::Principal));
        let permit = principal(&id);
        prop_assert_eq!(chosen(&split, &permit, CLIENT, &[], a), chosen(&split, &permit, "198.51.100.7", &[], b));
    }

    #[test]
    fn what_explain_settles_is_what_happens(id in "[a-z]{1,8}", shares in prop::collection::vec(0u32..=250_000, 0..4)) {
        let split = split(&shares, Some(StickyBy::Principal));
        let permit = principal(&id);
        let SplitOutcome::Settled { upstream, .. } = seen(CLIENT, &[], |view| split.explain(&permit, view)) else {
            return Err(TestCaseError::fail("a sticky split leaves nothing to chance"));
        };
        prop_assert_eq!(upstream, chosen(&split, &permit, CLIENT, &[], 0));
    }
}

/// The place of a caller must be the same in every version, or an upgrade would move callers between the sides.
#[test]
fn the_place_of_a_caller_never_changes() {
    let place = |key: StickyBy, headers: &[(HeaderName, &str)]| {
        seen("2001:db8::1", headers, |view| key.place(&principal("ann"), view))
    };
    let named = || HeaderName::from_static("x-user");
    assert_eq!(place(StickyBy::Principal, &[]), PLACES[0]);
    assert_eq!(place(StickyBy::ClientAddress, &[]), PLACES[1]);
    assert_eq!(place(StickyBy::Header(named().into()), &[(named(), "ann")]), PLACES[2]);
    assert_eq!(place(StickyBy::Cookie("sid".into()), &[(COOKIE, "a=1; sid=ann")]), PLACES[2]);
}

/// Computed apart from this code, by the definitions of FNV-1a and of MurmurHash3's finaliser.
const PLACES: [u64; 3] = [0x7e77_ebf0_5c26_60ae, 0x13cc_af2d_4391_7e4f, 0x9701_195c_2667_2461];

#[test]
fn without_its_key_a_caller_goes_by_its_address() {
    let key = || StickyBy::Cookie("sid".into());
    let place = |key: StickyBy, client: &str| seen(client, &[], |view| key.place(&Permit::for_test(), view));
    assert_eq!(place(key(), CLIENT), place(StickyBy::ClientAddress, CLIENT));
    assert_eq!(place(StickyBy::Principal, CLIENT), place(StickyBy::ClientAddress, CLIENT));
    assert_eq!(place(key(), "::ffff:192.0.2.1"), place(key(), CLIENT));
    assert_ne!(place(key(), "192.0.2.2"), place(key(), CLIENT));
    // An IPv6 client may use any address of its /64.
    assert_eq!(place(key(), "2001:db8::1"), place(key(), "2001:db8::ffff:2"));
    assert_ne!(place(key(), "2001:db8::1"), place(key(), "2001:db8:0:1::1"));
}

/// Both may go by the same header: the few percent of a canary must still reach every endpoint of its upstream.
#[test]
fn a_side_has_callers_everywhere_on_the_ring_of_its_endpoints() {
    let name = HeaderName::from_static("x-user");
    let split = split(&[50_000], Some(StickyBy::Header(name.clone().into())));
    let ring = HashKey::Header(name.clone().into());
    let mut sixteenths = [0; 16];
    for caller in 0..20_000 {
        seen(CLIENT, &[(name.clone(), &format!("caller-{caller}"))], |view| {
            if split.settle(&Permit::for_test(), view) == Some(CANARY) {
                sixteenths[(hash_input(&ring, view) >> 60) as usize] += 1;
            }
        });
    }
    // 1,000 callers, 62 in each.
    assert!(sixteenths.iter().all(|count| (20..130).contains(count)), "{sixteenths:?}");
}

#[test]
fn a_condition_decides_before_any_share() {
    let exact = || Condition::Exact(HeaderValue::from_static("1"));
    let x = HeaderName::from_static("x-canary");
    let by_header = claiming(header("x-canary"), exact());
    let side = |split: &Split, headers: &[(HeaderName, &str)]| chosen(split, &Permit::for_test(), CLIENT, headers, 0);
    assert_eq!(side(&by_header, &[(x.clone(), "1")]), CANARY);
    assert_eq!(side(&by_header, &[(x.clone(), "2")]), REST);
    assert_eq!(side(&by_header, &[(x.clone(), "1"), (x.clone(), "1")]), REST, "sent twice, it has no value");
    assert_eq!(side(&by_header, &[]), REST);

    let by_cookie = claiming(SplitField::Cookie("canary".into()), exact());
    for cookie in ["canary=1", "a=b; canary=1", "canary=1;a=b"] {
        assert_eq!(side(&by_cookie, &[(COOKIE, cookie)]), CANARY, "{cookie}");
    }
    for cookie in ["canary=2", "xcanary=1", "canary=1; canary=1", "Canary=1", "canary"] {
        assert_eq!(side(&by_cookie, &[(COOKIE, cookie)]), REST, "{cookie}");
    }
    assert_eq!(side(&by_cookie, &[(COOKIE, "a=b"), (COOKIE, "canary=1")]), CANARY, "crumbs of HTTP/2");

    let absent = claiming(header("x-canary"), Condition::Present(false));
    assert_eq!((side(&absent, &[]), side(&absent, &[(x.clone(), "0")])), (CANARY, REST));
    let regex = claiming(header("x-canary"), Condition::Regex(Regex::new("^(?:on|1)$").unwrap()));
    assert_eq!((side(&regex, &[(x.clone(), "on")]), side(&regex, &[(x, "one")])), (CANARY, REST));
}

#[test]
fn the_rest_may_claim_requests_too_and_the_first_that_claims_wins() {
    let mut split = split(&[1_000_000], None);
    split.sides[0].when = vec![When { field: header("x-stable"), condition: Condition::Present(true) }];
    split.sides[1].when = vec![When { field: header("x-canary"), condition: Condition::Present(true) }];
    let side = |names: &[&'static str]| {
        let headers: Vec<_> = names.iter().map(|name| (HeaderName::from_static(name), "1")).collect();
        chosen(&split, &Permit::for_test(), CLIENT, &headers, 0)
    };
    assert_eq!(side(&["x-stable"]), REST);
    assert_eq!(side(&["x-canary", "x-stable"]), REST);
    assert_eq!(side(&[]), CANARY);
}

#[test]
fn only_the_other_sides_fall_back() {
    let whole = |falls_back| Destination::Split(Box::new(Split { falls_back, ..split(&[50_000], None) }));
    assert_eq!(whole(true).instead_of(CANARY), Some(REST));
    assert_eq!(whole(true).instead_of(REST), None);
    assert_eq!(whole(false).instead_of(CANARY), None);
    assert_eq!(Destination::One(CANARY).instead_of(CANARY), None);
}

#[test]
fn explain_tells_the_reason_or_the_shares() {
    let told = |split: &Split, headers: &[(HeaderName, &str)]| {
        seen(CLIENT, headers, |view| split.explain(&principal("ann"), view))
    };
    let shares = |list: &[(u32, u32)]| {
        SplitOutcome::ByChance(list.iter().map(|(id, share)| (UpstreamId(*id), Share::millionths(*share))).collect())
    };
    assert_eq!(told(&split(&[50_000, 0], None), &[]), shares(&[(0, 950_000), (1, 50_000)]));
    let by_header = claiming(header("x-canary"), Condition::Present(true));
    let why = "the header x-canary fits".to_owned();
    let fits = [(HeaderName::from_static("x-canary"), "1")];
    assert_eq!(told(&by_header, &fits), SplitOutcome::Settled { upstream: CANARY, why });
    let why = "its principal is among the 100%".to_owned();
    let all = split(&[1_000_000], Some(StickyBy::Principal));
    assert_eq!(told(&all, &[]), SplitOutcome::Settled { upstream: CANARY, why });
}
