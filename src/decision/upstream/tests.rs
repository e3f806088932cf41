mod groups;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod};
use proptest::prelude::*;

use super::schedule::Schedule;
use super::warmup::FULL_SHARE;
use super::*;
use crate::decision::request::{NormalizedRequest, RequestView};

#[derive(Clone, Debug, Default)]
struct Members {
    unhealthy: Vec<usize>,
    tried: Vec<usize>,
    active: Vec<usize>,
    drained: Vec<usize>,
    full: Vec<usize>,
    /// By member; the whole share for those behind.
    shares: Vec<u32>,
}

impl Live for Members {
    fn sound(&self, member: usize) -> bool {
        !self.unhealthy.contains(&member) && self.available(member)
    }
    fn available(&self, member: usize) -> bool {
        !self.drained.contains(&member)
    }
    fn has_room(&self, member: usize) -> bool {
        !self.full.contains(&member)
    }
    fn share(&self, member: usize) -> u32 {
        self.shares.get(member).copied().unwrap_or(FULL_SHARE)
    }
    fn tried(&self, member: usize) -> bool {
        self.tried.contains(&member)
    }
    fn active(&self, member: usize) -> usize {
        self.active.get(member).copied().unwrap_or(0)
    }
}

fn members(weights: &[u32]) -> Vec<Member> {
    let address = |index| SocketAddr::from(([10, 0, (index / 250) as u8, (index % 250) as u8], 80));
    weights.iter().enumerate().map(|(index, weight)| member(address(index), *weight)).collect()
}

fn member(address: SocketAddr, weight: u32) -> Member {
    Member { address, weight, priority: 0, elsewhere: false }
}

fn balanced(balance: Balance, weights: &[u32]) -> Balanced {
    Balanced::new(&balance, &members(weights))
}

/// The number that the balance wants, for the choice number `turn`.
fn number(balanced: &Balanced, turn: u64) -> u64 {
    if balanced.wants() == Wants::Turn { turn } else { mix(turn) }
}

/// How often each of `n` members is chosen in `choices` choices.
fn shares(balanced: &Balanced, live: &Members, n: usize, choices: u64) -> Vec<u64> {
    let mut shares = vec![0; n];
    for turn in 0..choices {
        match choose(&Permit::for_test(), balanced, live, number(balanced, turn)) {
            Pick::Sound(member) | Pick::Panic(member) => shares[member] += 1,
            Pick::Full | Pick::None => {}
        }
    }
    shares
}

#[track_caller]
fn assert_near(shares: &[u64], expected: &[u64], percent: u64) {
    for (share, expected) in shares.iter().zip(expected) {
        assert!(share.abs_diff(*expected) <= expected * percent / 100, "{shares:?}, expected {expected}");
    }
}

fn any_balance() -> impl Strategy<Value = Balance> {
    prop_oneof![
        Just(Balance::RoundRobin),
        Just(Balance::Random),
        Just(Balance::LeastRequests),
        Just(Balance::ConsistentHash(HashKey::Path)),
    ]
}

fn few() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..8, 0..6)
}

proptest! {
    #[test]
    fn only_what_is_usable_is_chosen_while_there_is_any(
        balance in any_balance(),
        weights in prop::collection::vec((1u32..20, 0u32..3, any::<bool>()), 0..8),
        (unhealthy, tried, drained, full) in (few(), few(), few(), few()),
        active in prop::collection::vec(0usize..9, 8),
        shares in prop::collection::vec(1..=FULL_SHARE, 0..8),
        turn in any::<u64>(),
    ) {
        let mut members = members(&weights.iter().map(|(weight, ..)| *weight).collect::<Vec<_>>());
        for (member, (_, priority, elsewhere)) in members.iter_mut().zip(weights) {
            (member.priority, member.elsewhere) = (priority, elsewhere);
        }
        let balanced = Balanced::new(&balance, &members);
        let live = Members { unhealthy, tried, active, drained, full, shares };
        let usable = |member: usize| live.sound(member) && live.has_room(member) && !live.tried(member);
        let sound_left = (0..members.len()).any(|member| live.sound(member) && !live.tried(member));
        let last_hope = |member: usize| live.available(member) && live.has_room(member) && !live.tried(member);
        match choose(&Permit::for_test(), &balanced, &live, number(&balanced, turn)) {
            Pick::Sound(member) => prop_assert!(member < members.len() && usable(member)),
            Pick::Full => prop_assert!(sound_left && !(0..members.len()).any(usable)),
            Pick::Panic(member) => prop_assert!(!sound_left && member < members.len() && last_hope(member)),
            Pick::None => prop_assert!(!sound_left && !(0..members.len()).any(last_hope)),
        }
    }

    #[test]
    fn a_round_gives_each_member_its_weight(weights in prop::collection::vec(1u32..=1000, 1..20)) {
        let schedule = Schedule::new(weights.iter().copied());
        let mut turns = vec![0u32; weights.len()];
        for member in schedule.round() {
            turns[*member as usize] += 1;
        }
        let scale = weights[0] / turns[0];
        for (weight, turns) in weights.iter().zip(turns) {
            prop_assert_eq!(*weight, turns * scale);
        }
    }
}

#[test]
fn turns_are_spread_over_the_round() {
    assert_eq!(Schedule::new([5, 1, 1].into_iter()).round(), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(Schedule::new([200, 400].into_iter()).round(), [1, 0, 1]);
    assert_eq!(Schedule::new([3, 3, 3].into_iter()).round(), [0, 1, 2]);
}

#[test]
fn a_long_round_is_scaled_down() {
    let weights = (0..3000).map(|member| 1 + member % 1000);
    let schedule = Schedule::new(weights.clone());
    assert!(schedule.round().len() < 70_000);
    assert!(weights.enumerate().all(|(member, _)| schedule.round().contains(&(member as u32))));
}

#[test]
fn shares_follow_the_weights() {
    for balance in [Balance::RoundRobin, Balance::Random] {
        let shares = shares(&balanced(balance, &[1, 2, 5]), &Members::default(), 3, 80_000);
        assert_near(&shares, &[10_000, 20_000, 50_000], 5);
    }
}

#[test]
fn a_dead_members_share_is_spread_over_all_others() {
    let live = Members { unhealthy: vec![1], ..Default::default() };
    for balance in [Balance::RoundRobin, Balance::Random] {
        let shares = shares(&balanced(balance, &[1, 1, 1, 2]), &live, 4, 80_000);
        assert_eq!(shares[1], 0);
        assert_near(&[shares[0], shares[2], shares[3]], &[20_000, 20_000, 40_000], 5);
    }
}

#[test]
fn of_two_the_less_busy_is_chosen() {
    let balanced = balanced(Balance::LeastRequests, &[1, 1]);
    let live = Members { active: vec![3, 2], ..Default::default() };
    assert_eq!(shares(&balanced, &live, 2, 1000), [0, 1000]);
}

#[test]
fn busy_is_relative_to_weight() {
    let balanced = balanced(Balance::LeastRequests, &[1, 10]);
    let live = Members { active: vec![1, 9], ..Default::default() };
    assert_eq!(shares(&balanced, &live, 2, 1000), [0, 1000]);
}

#[test]
fn idle_members_share_by_weight() {
    let shares = shares(&balanced(Balance::LeastRequests, &[1, 3]), &Members::default(), 2, 80_000);
    assert_near(&shares, &[20_000, 60_000], 5);
}

const BY_PATH: Balance = Balance::ConsistentHash(HashKey::Path);

fn owner(balanced: &Balanced, live: &Members, key: u64) -> usize {
    match choose(&Permit::for_test(), balanced, live, mix(key)) {
        Pick::Sound(member) => member,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_removed_member_moves_only_its_own_keys() {
    let all = members(&[1; 10]);
    let fewer = [&all[..4], &all[5..]].concat();
    let (before, after) = (Balanced::new(&BY_PATH, &all), Balanced::new(&BY_PATH, &fewer));
    let mut moved = 0;
    for key in 0..20_000 {
        let (was, is) = (owner(&before, &Members::default(), key), owner(&after, &Members::default(), key));
        if was == 4 {
            moved += 1;
        } else {
            assert_eq!(all[was], fewer[is]);
        }
    }
    assert_near(&[moved], &[2_000], 30);
}

#[test]
fn a_ring_over_its_bound_still_moves_few_keys() {
    let all = members(&[1000; 12]);
    let (before, after) = (Balanced::new(&BY_PATH, &all), Balanced::new(&BY_PATH, &all[..11]));
    let live = Members::default();
    let moved = (0..20_000).filter(|key| owner(&before, &live, *key) != owner(&after, &live, *key)).count();
    assert!(moved < 20_000 * 2 / 12, "{moved}");
}

#[test]
fn the_ring_follows_weights_and_not_the_order() {
    let mut all = members(&[1, 2, 5]);
    let straight = Balanced::new(&BY_PATH, &all);
    assert_near(&shares(&straight, &Members::default(), 3, 80_000), &[10_000, 20_000, 50_000], 25);
    all.reverse();
    let reversed = Balanced::new(&BY_PATH, &all);
    for key in 0..1000 {
        let live = Members::default();
        assert_eq!(owner(&straight, &live, key), 2 - owner(&reversed, &live, key));
    }
}

#[test]
fn an_unhealthy_members_keys_are_spread_and_the_others_stay() {
    let balanced = balanced(BY_PATH, &[1; 5]);
    let (well, ill) = (Members::default(), Members { unhealthy: vec![2], ..Default::default() });
    let mut heirs = [0; 5];
    for key in 0..20_000 {
        let was = owner(&balanced, &well, key);
        let is = owner(&balanced, &ill, key);
        if was == 2 {
            heirs[is] += 1;
        } else {
            assert_eq!(was, is);
        }
    }
    assert_eq!(heirs[2], 0);
    assert!(heirs.iter().enumerate().all(|(member, keys)| member == 2 || *keys > 400), "{heirs:?}");
}

fn hash_of(key: &HashKey, client: &str, path: &str, headers: &[(&'static str, &'static str)]) -> u64 {
    let normal = NormalizedRequest {
        path: path.to_owned(),
        client: client.parse::<IpAddr>().unwrap(),
        ..NormalizedRequest::for_test()
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    hash_input(key, &RequestView::for_test(&HttpMethod::GET, &normal, &map))
}

#[test]
fn equal_keys_hash_equal_whoever_sends_them() {
    let user = HashKey::Header(HeaderName::from_static("x-user").into());
    let sid = HashKey::Cookie("sid".to_owned());
    let ann = hash_of(&user, "10.0.0.1", "/a", &[("x-user", "ann")]);
    assert_eq!(ann, hash_of(&user, "10.0.0.2", "/b", &[("x-user", "ann")]));
    assert_ne!(ann, hash_of(&user, "10.0.0.1", "/a", &[("x-user", "bob")]));
    let seven = hash_of(&sid, "10.0.0.1", "/a", &[("cookie", "a=1; sid=7;b=2")]);
    assert_eq!(seven, hash_of(&sid, "10.0.0.2", "/b", &[("cookie", "xsid=8"), ("cookie", "sid=7")]));
    assert_eq!(
        hash_of(&HashKey::Path, "10.0.0.1", "/a", &[]),
        hash_of(&HashKey::Path, "10.0.0.2", "/a", &[("x-user", "ann")])
    );
}

#[test]
fn without_its_key_a_request_goes_by_its_client_address() {
    let client = hash_of(&HashKey::ClientAddress, "10.0.0.1", "/a", &[]);
    let user = HashKey::Header(HeaderName::from_static("x-user").into());
    assert_eq!(client, hash_of(&user, "10.0.0.1", "/b", &[]));
    assert_eq!(client, hash_of(&HashKey::Cookie("sid".to_owned()), "10.0.0.1", "/b", &[("cookie", "sidx=1; s=2")]));
    assert_ne!(client, hash_of(&user, "2001:db8::1", "/b", &[]));
}

#[test]
fn the_hash_never_changes() {
    // Gateways of different versions stand side by side during an upgrade and must agree.
    assert_eq!(hash_of(&HashKey::Path, "10.0.0.1", "/a", &[]), 0x3b50_1274_3154_5604);
}
