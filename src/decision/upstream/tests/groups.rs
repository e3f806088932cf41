//! Priorities, zones and warming up: what share of the requests goes where.

use super::*;

/// Members with a priority each, of weight 1 in the gateway's zone.
fn by_priority(priorities: &[u32]) -> Vec<Member> {
    let mut members = members(&vec![1; priorities.len()]);
    for (member, priority) in members.iter_mut().zip(priorities) {
        member.priority = *priority;
    }
    members
}

fn unhealthy(unhealthy: &[usize]) -> Members {
    Members { unhealthy: unhealthy.to_vec(), ..Default::default() }
}

/// How often each member is chosen in 60,000 choices, for every balance.
#[track_caller]
fn expect_shares(members: &[Member], live: &Members, expected: &[u64]) {
    for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequests] {
        let shares = shares(&Balanced::new(&balance, members), live, members.len(), 60_000);
        for (share, expected) in shares.iter().zip(expected) {
            assert!(share.abs_diff(*expected) <= expected / 15, "{balance:?}: {shares:?}, expected {expected:?}");
        }
    }
}

#[test]
fn a_lower_tier_gets_nothing_while_enough_of_the_first_is_sound() {
    let members = by_priority(&[0, 0, 0, 0, 1, 1]);
    expect_shares(&members, &Members::default(), &[15_000, 15_000, 15_000, 15_000, 0, 0]);
    expect_shares(&members, &unhealthy(&[3]), &[20_000, 20_000, 20_000, 0, 0, 0]);
}

#[test]
fn a_tier_passes_on_what_it_cannot_take() {
    let members = by_priority(&[0, 0, 1, 1]);
    // Half of it is sound, which takes seven tenths.
    expect_shares(&members, &unhealthy(&[1]), &[42_000, 0, 9_000, 9_000]);
    expect_shares(&members, &unhealthy(&[0, 1]), &[0, 0, 30_000, 30_000]);
}

#[test]
fn when_all_tiers_are_weak_they_share_in_proportion() {
    let members = by_priority(&[0, 0, 0, 0, 1, 1, 1, 1]);
    // A quarter of each is sound, which would take 35 of 100.
    expect_shares(&members, &unhealthy(&[1, 2, 3, 5, 6, 7]), &[30_000, 0, 0, 0, 30_000, 0, 0, 0]);
}

#[test]
fn when_nothing_is_sound_the_first_tier_is_used() {
    expect_shares(&by_priority(&[1, 0, 0]), &unhealthy(&[0, 1, 2]), &[0, 30_000, 30_000]);
}

#[test]
fn a_retry_goes_to_the_next_tier_when_the_first_is_spent() {
    let balanced = Balanced::new(&Balance::RoundRobin, &by_priority(&[1, 0]));
    let tried = Members { tried: vec![1], ..Default::default() };
    assert_eq!(choose(&Permit::for_test(), &balanced, &tried, 0), Pick::Sound(0));
    let full = Members { full: vec![1], ..Default::default() };
    assert_eq!(choose(&Permit::for_test(), &balanced, &full, 0), Pick::Sound(0));
}

#[test]
fn the_own_zone_is_preferred_and_spills_over() {
    let mut members = by_priority(&[0, 0, 0, 0]);
    for member in &mut members[2..] {
        member.elsewhere = true;
    }
    expect_shares(&members, &Members::default(), &[30_000, 30_000, 0, 0]);
    expect_shares(&members, &unhealthy(&[0]), &[0, 42_000, 9_000, 9_000]);
}

#[test]
fn another_zone_comes_before_another_tier() {
    let mut members = by_priority(&[0, 0, 1]);
    members[1].elsewhere = true;
    expect_shares(&members, &unhealthy(&[0]), &[0, 60_000, 0]);
}

#[test]
fn who_is_warming_up_takes_a_part_of_its_share() {
    let live = Members { shares: vec![FULL_SHARE / 10], ..Default::default() };
    let members = by_priority(&[0, 0, 0, 0]);
    expect_shares(&members, &live, &[1_500, 19_500, 19_500, 19_500]);
    // The others are gone: it takes what there is.
    let alone = Members { unhealthy: vec![1, 2, 3], ..live };
    expect_shares(&members, &alone, &[60_000, 0, 0, 0]);
}

#[test]
fn when_all_are_warming_up_they_share_as_ever() {
    let live = Members { shares: vec![FULL_SHARE / 4; 3], ..Default::default() };
    expect_shares(&by_priority(&[0, 0, 0]), &live, &[20_000, 20_000, 20_000]);
}

#[test]
fn a_key_stays_with_its_endpoint_while_that_is_warming_up() {
    let balanced = balanced(BY_PATH, &[1; 4]);
    let cold = Members { shares: vec![FULL_SHARE / 10; 2], ..Default::default() };
    for key in 0..1000 {
        assert_eq!(owner(&balanced, &Members::default(), key), owner(&balanced, &cold, key));
    }
}

#[test]
fn a_full_upstream_is_told_from_a_sick_one() {
    let balanced = balanced(Balance::Random, &[1, 1]);
    let pick = |live: Members| choose(&Permit::for_test(), &balanced, &live, 7);
    assert_eq!(pick(Members { full: vec![0, 1], ..Default::default() }), Pick::Full);
    // What is sick does not get what the sound one has no room for.
    assert_eq!(pick(Members { full: vec![0], unhealthy: vec![1], ..Default::default() }), Pick::Full);
    assert_eq!(pick(Members { unhealthy: vec![0], drained: vec![1], ..Default::default() }), Pick::Panic(0));
    assert_eq!(pick(Members { drained: vec![0, 1], ..Default::default() }), Pick::None);
}
