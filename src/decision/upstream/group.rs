//! Members of one rank: the same priority, and the gateway's own zone or another one.

use super::balance::{Balance, Live, Member};
use super::mix::mix;
use super::ring::Ring;
use super::schedule::Schedule;
use super::warmup::FULL_SHARE;
use super::weights::Weights;

/// The capacity of a group that can take everything.
pub(super) const FULL_CAPACITY: u64 = 1 << 16;

/// Indices within it are called places; `members` tells whose place it is.
#[derive(Debug)]
pub(super) struct Group {
    members: Box<[usize]>,
    weights: Weights,
    method: Selection,
}

#[derive(Debug)]
enum Selection {
    RoundRobin(Schedule),
    Random,
    LeastRequests,
    ConsistentHash(Ring),
}

impl Group {
    /// The group of those of `members` whose indices are given.
    pub(super) fn new(balance: &Balance, indices: Box<[usize]>, members: &[Member]) -> Self {
        let own: Vec<Member> = indices.iter().map(|index| members[*index]).collect();
        let weights = || own.iter().map(|member| member.weight);
        let method = match balance {
            Balance::RoundRobin => Selection::RoundRobin(Schedule::new(weights())),
            Balance::Random => Selection::Random,
            Balance::LeastRequests => Selection::LeastRequests,
            Balance::ConsistentHash(_) => Selection::ConsistentHash(Ring::new(&own)),
        };
        Group { weights: Weights::new(weights()), members: indices, method }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        self.members.iter().copied()
    }

    /// How much of all requests the group can take, up to [`FULL_CAPACITY`]: seven fifths of the part of its weight that is
    /// sound.
    pub(super) fn capacity(&self, live: &impl Live) -> u64 {
        let (mut sound, mut total) = (0, 0);
        for (place, member) in self.members.iter().enumerate() {
            let weight = self.weights.of(place);
            total += weight;
            if live.sound(*member) {
                sound += weight;
            }
        }
        (sound * 7 * FULL_CAPACITY / (total * 5).max(1)).min(FULL_CAPACITY)
    }

    /// One of the usable members, by the balance.
    pub(super) fn pick(&self, number: u64, usable: impl Fn(usize) -> bool, live: &impl Live) -> Option<usize> {
        let usable = |place: usize| usable(self.members[place]);
        let place = self.by_method(number, usable, live)?;
        Some(self.members[self.unless_cold(place, number, usable, live)])
    }

    fn by_method(&self, number: u64, usable: impl Fn(usize) -> bool, live: &impl Live) -> Option<usize> {
        match &self.method {
            Selection::RoundRobin(schedule) => match schedule.at(number) {
                Some(place) if usable(place) => Some(place),
                // Handing the turn to the next in the schedule would give one neighbour all of a dead member's load.
                _ => self.weights.pick_among(mix(number), usable),
            },
            Selection::Random => self.weights.pick(number, usable),
            Selection::LeastRequests => {
                let first = self.weights.pick(number, &usable)?;
                let second = self.weights.pick(mix(!number), |place| place != first && usable(place));
                Some(match second {
                    Some(second) if self.load(second, live) < self.load(first, live) => second,
                    _ => first,
                })
            }
            Selection::ConsistentHash(ring) => {
                ring.find(number, &usable).or_else(|| self.weights.pick_among(number, usable))
            }
        }
    }

    /// `place`, or another one for those requests that a member which is warming up does not take yet.
    fn unless_cold(&self, place: usize, number: u64, usable: impl Fn(usize) -> bool, live: &impl Live) -> usize {
        let share = |place: usize| live.share(self.members[place]);
        // A key that moved away while its endpoint is cold would only make another one cold too.
        if matches!(self.method, Selection::ConsistentHash(_)) {
            return place;
        }
        let own = share(place);
        let chance = mix(number.rotate_left(32)) % u64::from(FULL_SHARE);
        if own >= FULL_SHARE || chance < u64::from(own) {
            return place;
        }
        let others = |other: usize| other != place && usable(other);
        self.weights.pick_scaled(mix(number.rotate_left(16)), others, |other| share(other).into()).unwrap_or(place)
    }

    /// Requests for each unit of weight, in 2^-32.
    fn load(&self, place: usize, live: &impl Live) -> u64 {
        ((live.active(self.members[place]) as u64) << 32) / self.weights.of(place)
    }
}
