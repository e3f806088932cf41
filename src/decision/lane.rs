//! On which way the gateway serves the requests of a route: by its own exchange, or by Pingora's.

use super::ids::UpstreamId;
use super::policy::{Action, Route};
use super::upstream::split::Destination;

/// The way of a route's requests. A request that asks for a WebSocket takes the full lane whatever its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The gateway's own exchange, with an origin that speaks HTTP/1.
    Fast,
    /// Pingora's, for this reason.
    Full(FullLaneReason),
}

/// Why a route needs the full lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullLaneReason {
    /// `process.fast_lane` is off.
    SwitchedOff,
    /// An upstream of the route may speak HTTP/2.
    Http2Upstream,
    /// Its requests are copied.
    Mirror,
}

impl Lane {
    /// The lane of `route`, where the fast one is `switched_on`. `is_http2` says of an upstream whether it may speak HTTP/2.
    pub fn of(route: &Route, switched_on: bool, is_http2: impl Fn(UpstreamId) -> bool) -> Lane {
        if !switched_on {
            return Lane::Full(FullLaneReason::SwitchedOff);
        }
        let Action::Forward { to, mirror, .. } = &route.action else { return Lane::Fast };
        let http2 = match to {
            Destination::One(upstream) => is_http2(*upstream),
            Destination::Split(split) => split.sides.iter().any(|side| is_http2(side.upstream)),
        };
        match (http2, mirror) {
            (true, _) => Lane::Full(FullLaneReason::Http2Upstream),
            (false, Some(_)) => Lane::Full(FullLaneReason::Mirror),
            (false, None) => Lane::Fast,
        }
    }

    /// As logs and `explain` say it.
    pub const FAST: &'static str = "fast";
    pub const FULL: &'static str = "full";
}

impl FullLaneReason {
    /// In words, for `explain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            FullLaneReason::SwitchedOff => "`process.fast_lane` is off",
            FullLaneReason::Http2Upstream => "an upstream of the route may speak HTTP/2",
            FullLaneReason::Mirror => "requests of the route are copied to a mirror",
        }
    }
}
