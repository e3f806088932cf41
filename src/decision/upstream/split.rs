//! Which of several upstreams a request goes to: by a header or a cookie, otherwise by shares.
//!
//! The sides with a share lie one after the other on the line from 0 to 1, and the rest takes what is left. A request has one
//! place on that line: by the hash of its caller where the split is sticky, by chance otherwise. The hash is equal on every
//! gateway, in every version and for every split, so that a caller who is among the first 5 percent of one route is so on all.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use super::hash::{finish, fnv, fnv_from};
use super::share::Share;
use crate::decision::access::Permit;
use crate::decision::ids::UpstreamId;
use crate::decision::request::RequestView;
use crate::decision::request::cookies::cookies;
use crate::decision::request::fields::FieldName;
use crate::decision::route::Condition;

/// Where a route's requests go.
#[derive(Debug)]
pub enum Destination {
    /// All of them to this upstream.
    One(UpstreamId),
    /// Each to one of several.
    Split(Box<Split>),
}

/// Several upstreams, of which each request goes to one.
#[derive(Debug)]
pub struct Split {
    /// In the order of the file, the rest among them.
    pub sides: Vec<Side>,
    /// What no other side takes; one of `sides`.
    pub rest: UpstreamId,
    /// What gives a caller a fixed place. `None`: chance does.
    pub sticky_by: Option<StickyBy>,
    /// Whether a request whose side can't be used goes to the rest.
    pub falls_back: bool,
}

/// A side of a [`Split`].
#[derive(Debug)]
pub struct Side {
    pub upstream: UpstreamId,
    /// [`Share::NONE`] for the rest. All together are at most the whole.
    pub share: Share,
    /// Any of them brings a request here.
    pub when: Vec<When>,
}

/// A condition on a request.
#[derive(Debug)]
pub struct When {
    pub field: SplitField,
    pub condition: Condition,
}

/// What a [`When`] looks at.
#[derive(Debug, PartialEq)]
pub enum SplitField {
    Header(FieldName),
    /// A cookie's name.
    Cookie(String),
}

/// What gives a caller a fixed place. A request without it goes by its client address.
#[derive(Debug, PartialEq)]
pub enum StickyBy {
    Principal,
    /// An IPv6 client by its /64, of which it may use any address.
    ClientAddress,
    Header(FieldName),
    /// A cookie's name.
    Cookie(String),
}

/// Where a split sends a request, as far as the request says, for `explain`.
#[derive(Clone, Debug, PartialEq)]
pub enum SplitOutcome {
    /// To this upstream, for this reason.
    Settled { upstream: UpstreamId, why: String },
    /// By chance, with these shares, in the order of the file. Those without a share are left out.
    ByChance(Vec<(UpstreamId, Share)>),
}

impl Destination {
    /// The upstream for a request that was admitted. `None` where chance decides ([`Destination::by_chance`]).
    pub fn settle(&self, permit: &Permit, request: &RequestView<'_>) -> Option<UpstreamId> {
        match self {
            Destination::One(upstream) => Some(*upstream),
            Destination::Split(split) => split.settle(permit, request),
        }
    }

    /// The upstream for a request that [`Destination::settle`] leaves to chance, by 64 random bits.
    pub fn by_chance(&self, random: u64) -> UpstreamId {
        match self {
            Destination::One(upstream) => *upstream,
            Destination::Split(split) => split.at(random),
        }
    }

    /// Where a request goes instead whose side `failed`, if anywhere.
    pub fn instead_of(&self, failed: UpstreamId) -> Option<UpstreamId> {
        match self {
            Destination::Split(split) if split.falls_back && split.rest != failed => Some(split.rest),
            Destination::One(_) | Destination::Split(_) => None,
        }
    }
}

impl Split {
    fn settle(&self, permit: &Permit, request: &RequestView<'_>) -> Option<UpstreamId> {
        if let Some((side, _)) = self.claimed(request) {
            return Some(side.upstream);
        }
        self.sticky_by.as_ref().map(|key| self.at(key.place(permit, request)))
    }

    /// What [`Destination::settle`] does with `request`, in words.
    pub fn explain(&self, permit: &Permit, request: &RequestView<'_>) -> SplitOutcome {
        if let Some((side, when)) = self.claimed(request) {
            return SplitOutcome::Settled { upstream: side.upstream, why: format!("the {} fits", when.field) };
        }
        let shares = || self.sides.iter().map(|side| (side.upstream, self.share(side)));
        let Some(key) = &self.sticky_by else {
            return SplitOutcome::ByChance(shares().filter(|(_, share)| *share > Share::NONE).collect());
        };
        let upstream = self.at(key.place(permit, request));
        let share = shares().find_map(|(id, share)| (id == upstream).then_some(share)).unwrap_or_default();
        SplitOutcome::Settled { upstream, why: format!("its {key} is among the {share}") }
    }

    /// The share of `side`, that of the rest included.
    fn share(&self, side: &Side) -> Share {
        if side.upstream != self.rest {
            return side.share;
        }
        let others = self.sides.iter().filter(|side| side.upstream != self.rest);
        others.fold(Share::NONE, |sum, side| sum.plus(side.share).unwrap_or(Share::ALL)).rest()
    }

    /// The first side that has a condition which the request fulfils.
    fn claimed(&self, request: &RequestView<'_>) -> Option<(&Side, &When)> {
        let claims = |side: &'_ Side| side.when.iter().position(|when| when.holds(request));
        self.sides.iter().find_map(|side| claims(side).map(|index| (side, &side.when[index])))
    }

    /// The side at a place on the line, where 2^64 is 1.
    fn at(&self, place: u64) -> UpstreamId {
        let mut end = Share::NONE;
        for side in &self.sides {
            end = end.plus(side.share).unwrap_or(Share::ALL);
            if end.takes(place) {
                return side.upstream;
            }
        }
        self.rest
    }
}

impl When {
    fn holds(&self, request: &RequestView<'_>) -> bool {
        match &self.field {
            SplitField::Header(name) => self.condition.holds(request.fields.get_all(name).map(Cow::Borrowed)),
            SplitField::Cookie(name) => {
                self.condition.holds(cookies(request.fields, name.as_bytes()).map(Cow::Borrowed))
            }
        }
    }
}

impl fmt::Display for SplitField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitField::Header(name) => write!(f, "header {name}"),
            SplitField::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// Begins every hash of a caller: without it, the few percent on one side would all lie on the same few percent of a ring of
/// endpoints that goes by the same key ([`super::hash_input`]).
const LINE: &[u8] = b"split\0";

impl StickyBy {
    /// The place of the request's caller on the line, where 2^64 is 1.
    fn place(&self, permit: &Permit, request: &RequestView<'_>) -> u64 {
        let hash = |parts: &[&[u8]]| finish(parts.iter().fold(fnv(LINE), |state, part| fnv_from(state, part)));
        let value = match self {
            StickyBy::Principal => {
                if let Some(principal) = permit.principal() {
                    return hash(&[principal.identity.as_bytes(), b"\0", principal.id.as_bytes()]);
                }
                None
            }
            StickyBy::ClientAddress => None,
            StickyBy::Header(name) => request.fields.get(name),
            StickyBy::Cookie(name) => cookies(request.fields, name.as_bytes()).next(),
        };
        match (value, request.normal.client.to_canonical()) {
            (Some(value), _) => hash(&[value]),
            (None, IpAddr::V4(address)) => hash(&[&address.octets()]),
            (None, IpAddr::V6(address)) => hash(&[&address.octets()[..8]]),
        }
    }
}

impl fmt::Display for StickyBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StickyBy::Principal => f.write_str("principal"),
            StickyBy::ClientAddress => f.write_str("client address"),
            StickyBy::Header(name) => write!(f, "header {name}"),
            StickyBy::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}
