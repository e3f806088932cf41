//! How slowly a client may be.

use std::num::NonZeroU64;
use std::time::Duration;

use super::bounds::{Bounds, RouteBounds};

/// How slowly a client may send a body or take an answer. Waiting for the client uses up `idle`; each byte that moves gives
/// some of it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The longest silence. `None`: no bound.
    pub idle: Option<Duration>,
    /// Bytes a second that give back what waiting for them took. `None`: any byte gives back everything.
    pub rate: Option<NonZeroU64>,
}

impl Bounds {
    /// How slowly the body of a request may come that no route has taken.
    pub fn body_pacing(&self) -> Pacing {
        RouteBounds::from(self).body_pacing()
    }
}

impl RouteBounds {
    /// How slowly a request body may come.
    pub fn body_pacing(&self) -> Pacing {
        Pacing { idle: self.body_idle, rate: self.body_rate }
    }
}
