//! How slowly a client may be.

use std::num::NonZeroU64;
use std::time::Duration;

/// How slowly a client may send a body or take an answer. Waiting for the client uses up `idle`; each byte that moves gives
/// some of it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The longest silence. `None`: no bound.
    pub idle: Option<Duration>,
    /// Bytes a second that give back what waiting for them took. `None`: any byte gives back everything.
    pub rate: Option<NonZeroU64>,
}
