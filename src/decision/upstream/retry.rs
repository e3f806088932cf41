//! Upstream: whether a request is sent once more.
//!
//! What may be repeated depends on how far the request came (RFC 9110 §9.2.2, RFC 9113 §8.7):
//!
//! * Nothing of it reached an origin (no connection; a pooled connection that had ended before; a stream that an HTTP/2
//!   origin refused unprocessed): any method.
//! * It may have had its effect (the connection broke, the time ran out, the answer says that something failed): methods
//!   that are idempotent, and those that the route vouches for.
//! * Something of the answer has reached the client, or the body is no longer whole: never. That is for the caller to see.

use std::time::Duration;

use http::Method;

/// As much of a request's body is kept for another try, in bytes; Pingora keeps as much (`BODY_BUF_LIMIT`).
pub const KEPT_BODY: u64 = 64 << 10;

/// Resends after pooled connections that had ended, beyond `attempts`. The first of them already asks for a new connection.
const MAX_STALE: u32 = 2;

/// When the requests to an upstream are repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Tries in all, at least 1.
    pub attempts: u32,
    /// What is worth another try.
    pub on: On,
    /// The wait between two tries.
    pub backoff: Backoff,
    /// From an endpoint's choice to the header of its answer. `None`: as long as the upstream's own timeouts let it.
    pub try_timeout: Option<Duration>,
}

/// What a route says instead, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteRetryRules {
    pub attempts: Option<u32>,
    pub on: Option<On>,
    pub backoff: Option<Backoff>,
    pub try_timeout: Option<Duration>,
    /// Only these methods. `None`: the idempotent ones, or all that `vouched` makes repeatable.
    pub methods: Option<Vec<Method>>,
    /// The owner vouches that a request which may have had its effect can be sent again, whatever its method.
    pub vouched: bool,
}

/// What is worth another try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct On {
    /// No connection could be made.
    pub connect: bool,
    /// The connection broke before the answer's header was complete.
    pub reset: bool,
    /// No answer came in time.
    pub timeout: bool,
    /// The origin answered with one of these.
    pub statuses: Vec<u16>,
}

/// The wait between two tries: any time up to a bound that doubles with each (full jitter), so that the clients of an
/// origin that fails do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound never grows beyond this.
    pub longest: Duration,
}

/// The rules of one request: what its route does not say is as its upstream says.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'a> {
    pub upstream: &'a RetryPolicy,
    pub route: Option<&'a RouteRetryRules>,
}

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made. `untried`: there is an endpoint that this request has not tried.
    Connect { untried: bool },
    /// The origin had ended the pooled connection before anything of the request reached it.
    Ended,
    /// A pooled connection broke before a byte of an answer came: most likely the origin had ended it, but that is not sure.
    Stale,
    /// The origin says that it has not processed the request: `REFUSED_STREAM`, or a `GOAWAY` that leaves the stream out.
    Refused,
    /// The connection broke before the answer's header was complete.
    Reset,
    /// No answer came in time.
    Timeout,
    /// The origin answered with this status, and perhaps said when to come back.
    Status(u16, Option<Duration>),
    /// What came is no answer.
    Nonsense,
}

/// How far the request has come.
#[derive(Clone, Copy, Debug)]
pub struct RetryProgress<'a> {
    pub method: &'a Method,
    /// Tries so far, the failed one included.
    pub tries: u32,
    /// Resends after pooled connections that had ended.
    pub stale: u32,
    /// Whether what was read of the request's body could be sent once more.
    pub body_kept: bool,
    /// What is left of `timeouts.request`. `None`: it is without bound.
    pub left: Option<Duration>,
}

/// What becomes of a request whose try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Try again after this wait.
    Again {
        after: Duration,
        /// Whether an origin is asked a second time, which the budget must allow.
        charged: bool,
        /// Whether it does not count as a try, since the request went nowhere.
        free: bool,
        /// Whether the next try must be made on a new connection.
        fresh: bool,
    },
    /// The failure is the answer.
    GiveUp(Why),
}

/// Why a request is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rules do not name such a failure.
    NotListed,
    /// It was tried as often as the rules allow.
    Attempts,
    /// No endpoint is left that it has not tried.
    Endpoints,
    /// It may have had its effect, which its method does not allow to have twice.
    Method,
    /// Its body was longer than what is kept for another try.
    Body,
    /// The origin asks for a longer wait than `backoff.longest`.
    RetryAfter,
    /// `timeouts.request` leaves no time for it.
    Deadline,
}

impl RetryPolicy {
    /// Nothing is tried again.
    pub fn off() -> Self {
        let nothing = Duration::ZERO;
        let backoff = Backoff { first: nothing, longest: nothing };
        RetryPolicy { attempts: 1, on: On::default(), backoff, try_timeout: None }
    }
}

impl RouteRetryRules {
    /// Nothing is tried again.
    pub fn off() -> Self {
        RouteRetryRules { attempts: Some(1), on: Some(On::default()), ..RouteRetryRules::default() }
    }
}

impl Failure {
    /// For metrics and the access log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Failure::Connect { .. } => "connect",
            Failure::Ended | Failure::Stale => "stale",
            Failure::Refused => "refused",
            Failure::Reset => "reset",
            Failure::Timeout => "timeout",
            Failure::Status(..) => "status",
            Failure::Nonsense => "protocol",
        }
    }

    /// What [`Failure::as_str`] may say, in the order of [`Failure::index`].
    pub const NAMES: [&'static str; 7] = ["connect", "stale", "refused", "reset", "timeout", "status", "protocol"];

    /// The position in [`Failure::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Failure::Connect { .. } => 0,
            Failure::Ended | Failure::Stale => 1,
            Failure::Refused => 2,
            Failure::Reset => 3,
            Failure::Timeout => 4,
            Failure::Status(..) => 5,
            Failure::Nonsense => 6,
        }
    }
}

impl<'a> Effective<'a> {
    /// Whether a request of this method may be sent again after it may have had its effect.
    pub fn repeats(&self, method: &Method) -> bool {
        let listed = self.route.and_then(|route| route.methods.as_ref()).is_none_or(|listed| listed.contains(method));
        self.attempts() > 1 && listed && (method.is_idempotent() || self.route.is_some_and(|route| route.vouched))
    }

    /// From an endpoint's choice to the header of its answer.
    pub fn try_timeout(&self) -> Option<Duration> {
        self.route.and_then(|route| route.try_timeout).or(self.upstream.try_timeout)
    }

    /// Whether any retry of these may send an origin more than it was asked.
    pub fn charges(&self) -> bool {
        let on = self.on();
        self.attempts() > 1 && (on.reset || on.timeout || !on.statuses.is_empty())
    }

    /// Whether an answer with `status` is worth another try.
    pub fn covers(&self, status: u16) -> bool {
        self.on().statuses.contains(&status)
    }

    fn attempts(&self) -> u32 {
        self.route.and_then(|route| route.attempts).unwrap_or(self.upstream.attempts)
    }

    fn on(&self) -> &'a On {
        self.route.and_then(|route| route.on.as_ref()).unwrap_or(&self.upstream.on)
    }

    fn backoff(&self) -> Backoff {
        self.route.and_then(|route| route.backoff).unwrap_or(self.upstream.backoff)
    }

    /// Whether to try again after `failure`. `random`: 64 random bits.
    pub fn decide(&self, failure: Failure, progress: &RetryProgress<'_>, random: u64) -> RetryDecision {
        let on = self.on();
        let repeats = self.repeats(progress.method);
        let may = |listed: bool, allowed: bool| match (listed, allowed) {
            (false, _) => Err(Why::NotListed),
            (true, false) => Err(Why::Method),
            (true, true) => Ok(()),
        };
        let allowed = match failure {
            Failure::Connect { .. } => may(on.connect, true),
            Failure::Ended | Failure::Refused => Ok(()),
            Failure::Stale => may(true, repeats),
            Failure::Reset => may(on.reset, repeats),
            Failure::Timeout => may(on.timeout, repeats),
            Failure::Status(status, _) => may(on.statuses.contains(&status), repeats),
            Failure::Nonsense => Err(Why::NotListed),
        };
        let asked_to_wait = match failure {
            Failure::Status(_, wait) => wait.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let (free, charged) = match failure {
            Failure::Ended => (true, false),
            // Nothing more reaches an origin than without the retry.
            Failure::Connect { .. } | Failure::Stale => (false, false),
            _ => (false, true),
        };
        let after =
            if charged { self.backoff().wait(progress.tries, random).max(asked_to_wait) } else { Duration::ZERO };
        let why = match allowed {
            Err(why) => Some(why),
            Ok(()) if !progress.body_kept => Some(Why::Body),
            Ok(()) if free && progress.stale >= MAX_STALE => Some(Why::Attempts),
            Ok(()) if !free && progress.tries >= self.attempts() => Some(Why::Attempts),
            Ok(()) if failure == (Failure::Connect { untried: false }) => Some(Why::Endpoints),
            Ok(()) if asked_to_wait > self.backoff().longest => Some(Why::RetryAfter),
            Ok(()) if progress.left.is_some_and(|left| left <= after) => Some(Why::Deadline),
            Ok(()) => None,
        };
        match why {
            Some(why) => RetryDecision::GiveUp(why),
            None => {
                RetryDecision::Again { after, charged, free, fresh: matches!(failure, Failure::Ended | Failure::Stale) }
            }
        }
    }
}

impl Backoff {
    /// The wait after the try of this number, which counts from 1.
    fn wait(self, tries: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let bound = self.first.saturating_mul(doubled).min(self.longest);
        // In proportion to where `random` stands among all u64.
        let nanos = (bound.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
        Duration::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests;
