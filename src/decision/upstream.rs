//! Upstream: which endpoint takes a request.
//!
//! [`Balanced`] is made when the members of an upstream change; [`choose`] then allocates nothing. What changes from
//! request to request (health, load, which endpoints were tried) it asks through [`Live`], and its one random or counted
//! number is passed in.

mod hash;
pub mod mirror;
mod ring;
mod schedule;
pub mod share;
pub mod split;
#[cfg(test)]
mod tests;
mod weights;

use std::net::SocketAddr;

use http::HeaderName;

use super::access::Permit;
pub use hash::hash_input;
use ring::Ring;
use schedule::Schedule;
use weights::Weights;

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// Smooth: an endpoint's turns are spread evenly over the round.
    RoundRobin,
    /// In proportion to the weights.
    Random,
    /// The less busy of two random choices, relative to their weights.
    LeastRequests,
    /// Ketama.
    ConsistentHash(HashKey),
}

/// What the hash is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum HashKey {
    /// The value of this request header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(String),
    /// The client's address.
    ClientAddress,
    /// The path.
    Path,
}

/// An endpoint, as far as balancing goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    pub address: SocketAddr,
    /// At least 1.
    pub weight: u32,
}

/// The members of an upstream, prepared for [`choose`]. Members are known by their index.
#[derive(Debug)]
pub struct Balanced {
    weights: Weights,
    method: Method,
}

#[derive(Debug)]
enum Method {
    RoundRobin(Schedule),
    Random,
    LeastRequests,
    ConsistentHash(HashKey, Ring),
}

/// Which number [`choose`] wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wants<'a> {
    /// One more than for the choice before.
    Turn,
    /// 64 random bits.
    Random,
    /// [`hash_input`] of the request by this key.
    Hash(&'a HashKey),
}

/// What may change between two choices, by the member's index.
pub trait Live {
    /// Whether probes speak for the member.
    fn healthy(&self, member: usize) -> bool;
    /// Whether this request has tried the member before, in vain.
    fn tried(&self, member: usize) -> bool;
    /// How many requests the member is busy with.
    fn active(&self, member: usize) -> usize;
}

/// What [`choose`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A healthy member, by its index.
    Healthy(usize),
    /// No healthy member is left that was not tried: one of the unhealthy, for owners who would rather use all of them
    /// than trust a probe that says that nothing works.
    Panic(usize),
    /// Every member was tried, or there is none.
    None,
}

/// Chooses a member for a request that was admitted.
///
/// `number` is what [`Balanced::wants`] asks for. Among the members that may be chosen, each is chosen in proportion to
/// its weight, whichever of them can't be; `consistent_hash` passes over those to the next on the ring instead.
pub fn choose(_permit: &Permit, balanced: &Balanced, live: &impl Live, number: u64) -> Pick {
    let active = |member| live.active(member);
    if let Some(member) = balanced.pick(number, |member| live.healthy(member) && !live.tried(member), active) {
        return Pick::Healthy(member);
    }
    match balanced.pick(number, |member| !live.tried(member), active) {
        Some(member) => Pick::Panic(member),
        None => Pick::None,
    }
}

impl Balanced {
    /// Prepares choices among `members`.
    pub fn new(balance: &Balance, members: &[Member]) -> Self {
        let weights = Weights::new(members.iter().map(|member| member.weight));
        let method = match balance {
            Balance::RoundRobin => Method::RoundRobin(Schedule::new(members.iter().map(|member| member.weight))),
            Balance::Random => Method::Random,
            Balance::LeastRequests => Method::LeastRequests,
            Balance::ConsistentHash(key) => Method::ConsistentHash(key.clone(), Ring::new(members)),
        };
        Balanced { weights, method }
    }

    /// The number that [`choose`] needs.
    pub fn wants(&self) -> Wants<'_> {
        match &self.method {
            Method::RoundRobin(_) => Wants::Turn,
            Method::Random | Method::LeastRequests => Wants::Random,
            Method::ConsistentHash(key, _) => Wants::Hash(key),
        }
    }

    fn pick(&self, number: u64, usable: impl Fn(usize) -> bool, active: impl Fn(usize) -> usize) -> Option<usize> {
        match &self.method {
            Method::RoundRobin(schedule) => match schedule.at(number) {
                Some(member) if usable(member) => Some(member),
                // Handing the turn to the next in the schedule would give one neighbour all of a dead member's load.
                _ => self.weights.pick_among(mix(number), usable),
            },
            Method::Random => self.weights.pick(number, usable),
            Method::LeastRequests => {
                let first = self.weights.pick(number, &usable)?;
                let second = self.weights.pick(mix(!number), |member| member != first && usable(member));
                Some(match second {
                    Some(second) if self.load(second, &active) < self.load(first, &active) => second,
                    _ => first,
                })
            }
            Method::ConsistentHash(_, ring) => {
                ring.find(number, &usable).or_else(|| self.weights.pick_among(number, usable))
            }
        }
    }

    /// Requests for each unit of weight, in 2^-32.
    fn load(&self, member: usize, active: impl Fn(usize) -> usize) -> u64 {
        ((active(member) as u64) << 32) / self.weights.of(member)
    }
}

/// A number that has no visible relation to `number`: the finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
