//! How an endpoint is chosen, and what a choice asks.

use std::net::SocketAddr;

use crate::decision::request::fields::FieldName;

/// Milliseconds since a moment that stays the same for as long as the process runs.
pub type Millis = u64;

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
    Header(FieldName),
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
    /// Those with the lowest come first.
    pub priority: u32,
    /// Whether it stands in another zone than the gateway, which puts it behind those of the same priority that do not.
    pub elsewhere: bool,
}

/// Which number [`super::choose`] wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wants<'a> {
    /// One more than for the choice before.
    Turn,
    /// 64 random bits.
    Random,
    /// [`super::hash_input`] of the request by this key.
    Hash(&'a HashKey),
}

/// What may change between two choices, by the member's index.
pub trait Live {
    /// Whether the member works as far as is known: it is neither unhealthy nor ejected nor drained.
    fn sound(&self, member: usize) -> bool;
    /// Whether the member may get requests even when nothing works: it is not drained.
    fn available(&self, member: usize) -> bool;
    /// Whether the member may get one more request beside those that it has.
    fn has_room(&self, member: usize) -> bool;
    /// Whether this request has tried the member before, in vain.
    fn tried(&self, member: usize) -> bool;
    /// How many requests the member is busy with.
    fn active(&self, member: usize) -> usize;
    /// The part of its share that it takes while it is warming up, of [`super::warmup::FULL_SHARE`].
    fn share(&self, member: usize) -> u32;
}

/// What [`super::choose`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A sound member, by its index.
    Sound(usize),
    /// No sound member is left that was not tried: one of the others, for owners who would rather use all of them than
    /// trust a probe that says that nothing works.
    Panic(usize),
    /// There are sound members that were not tried, and all of them are as busy as they may be.
    Full,
    /// Every member was tried, or may get nothing, or there is none.
    None,
}
