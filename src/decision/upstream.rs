//! Upstream: which endpoint takes a request.
//!
//! [`Balanced`] is made when the members of an upstream change; [`choose`] then allocates nothing. What changes from
//! request to request (health, load, which endpoints were tried) it asks through [`Live`], and its one random or counted
//! number is passed in.
//!
//! Members stand in groups, by priority and, within it, those of the gateway's own zone first. A group takes the requests
//! that are left to it as long as at least five of seven of its weight are sound; below, the share that it takes shrinks
//! in proportion, and the next group takes the rest (Envoy's overprovisioning factor of 1.4).

mod balance;
pub mod connection_auth;
mod display;
pub mod ejection;
mod group;
mod hash;
pub mod mirror;
mod mix;
pub mod outcome;
pub mod retry;
mod ring;
mod schedule;
pub mod share;
pub mod split;
pub mod sticky;
#[cfg(test)]
mod tests;
pub mod warmup;
mod weights;
pub mod window;

use super::access::Permit;
use group::Group;
use mix::mix;

pub use balance::{Balance, HashKey, Live, Member, Millis, Pick, Wants};
pub use hash::hash_input;

/// The members of an upstream, prepared for [`choose`]. Members are known by their index.
#[derive(Debug)]
pub struct Balanced {
    /// In the order in which they are preferred. Empty without members.
    groups: Box<[Group]>,
    balance: Balance,
}

/// Chooses a member for a request that was admitted.
///
/// `number` is what [`Balanced::wants`] asks for. Among the members of a group that may be chosen, each is chosen in
/// proportion to its weight, whichever of them can't be; `consistent_hash` passes over those to the next on the ring
/// instead. When nothing is sound, the groups are asked in their order, as if all of their members were.
pub fn choose(_permit: &Permit, balanced: &Balanced, live: &impl Live, number: u64) -> Pick {
    if let Some(member) = balanced.sound(live, number) {
        return Pick::Sound(member);
    }
    if balanced.members().any(|member| live.sound(member) && !live.tried(member)) {
        return Pick::Full;
    }
    let usable = |member| live.available(member) && live.has_room(member) && !live.tried(member);
    match balanced.groups.iter().find_map(|group| group.pick(number, usable, live)) {
        Some(member) => Pick::Panic(member),
        None => Pick::None,
    }
}

impl Balanced {
    /// Prepares choices among `members`.
    pub fn new(balance: &Balance, members: &[Member]) -> Self {
        let mut ranks: Vec<_> = members.iter().map(|member| (member.priority, member.elsewhere)).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let groups = ranks.into_iter().map(|rank| {
            let indices =
                (0..members.len()).filter(|index| (members[*index].priority, members[*index].elsewhere) == rank);
            Group::new(balance, indices.collect(), members)
        });
        Balanced { groups: groups.collect(), balance: balance.clone() }
    }

    /// The number that [`choose`] needs.
    pub fn wants(&self) -> Wants<'_> {
        match &self.balance {
            Balance::RoundRobin => Wants::Turn,
            Balance::Random | Balance::LeastRequests => Wants::Random,
            Balance::ConsistentHash(key) => Wants::Hash(key),
        }
    }

    fn members(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flat_map(Group::members)
    }

    /// A sound member with room that was not tried: of the group that the request falls to, or of the next one that has any.
    fn sound(&self, live: &impl Live, number: u64) -> Option<usize> {
        let usable = |member| live.sound(member) && live.has_room(member) && !live.tried(member);
        let first = if self.groups.len() > 1 { self.falls_to(live, number) } else { 0 };
        let (before, after) = self.groups.split_at_checked(first)?;
        after.iter().chain(before).find_map(|group| group.pick(number, usable, live))
    }

    /// The group that the request falls to, by what each can take.
    fn falls_to(&self, live: &impl Live, number: u64) -> usize {
        let mut shares = 0;
        for (index, group) in self.groups.iter().enumerate() {
            shares += group.capacity(live);
            if shares >= group::FULL_CAPACITY {
                // Nothing is left to the groups behind.
                if index == 0 {
                    return 0;
                }
                break;
            }
        }
        let target = weights::below(shares.min(group::FULL_CAPACITY), mix(!number));
        let mut end = 0;
        let found = self.groups.iter().position(|group| {
            end += group.capacity(live);
            target < end
        });
        // Without any capacity the first is as good as another.
        found.unwrap_or(0)
    }
}
