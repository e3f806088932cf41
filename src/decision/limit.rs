//! Limits: a rate by token bucket, or a number of requests at the same time.
//!
//! The arithmetic works on a value that is passed in with the time; `state::limits` keeps the values.

mod bucket;
mod display;
mod fields;
mod quota;

use std::sync::Arc;

use http::HeaderValue;
use smallvec::SmallVec;

pub use fields::{rate_limit_headers, retry_after_seconds};
pub use quota::{Quota, RateQuota};

pub use super::ids::LimitId;
pub use super::limit_status::{LimitResult, LimitStatus};

use crate::decision::request::fields::FieldName;

/// One limit, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As written, for headers, logs and metrics.
    pub name: Arc<str>,
    /// Stable across reloads: the limit's name, with the route's where a route declared it. State is kept under it.
    pub scope: Arc<str>,
    pub key: LimitKey,
    pub quota: Quota,
    /// When a request is counted. A principal is known after identity only.
    pub phase: Phase,
    /// Decide, log and count, but let the request pass.
    pub report_only: bool,
    /// The value of `RateLimit-Policy`, made once.
    pub policy: HeaderValue,
}

impl Limit {
    /// A limit that counts in the phase that its key implies. `name` is made of `[A-Za-z0-9._-]`, as `config::compile` checks: it stands in header fields.
    pub fn new(name: Arc<str>, scope: Arc<str>, key: LimitKey, quota: Quota, report_only: bool) -> Self {
        let policy = quota.policy(&name);
        Limit { name, scope, phase: key.default_phase(), key, quota, report_only, policy }
    }

    /// The same limit, counted in `phase`.
    pub fn in_phase(self, phase: Phase) -> Self {
        Limit { phase, ..self }
    }
}

/// When a limit counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anyone asks who the caller is: requests with bad credentials count too, and are refused without a look at them.
    BeforeIdentity,
    /// Only requests that identity and authorization let pass count.
    AfterIdentity,
}

/// The limits of a route, by the phase in which they count. Within a phase the order is that of the configuration, the
/// inherited ones first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteLimits {
    pub before_identity: Vec<LimitId>,
    pub after_identity: Vec<LimitId>,
}

impl RouteLimits {
    /// Sorts `ids`, which index `limits`, by phase.
    pub fn new(ids: impl IntoIterator<Item = LimitId>, limits: &[Limit]) -> Self {
        let before = |id: &LimitId| limits[id.0 as usize].phase == Phase::BeforeIdentity;
        let (before_identity, after_identity) = ids.into_iter().partition(before);
        RouteLimits { before_identity, after_identity }
    }

    /// All of them, in the order in which they count.
    pub fn iter(&self) -> impl Iterator<Item = LimitId> {
        self.before_identity.iter().chain(&self.after_identity).copied()
    }
}

/// What is counted separately.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitKey {
    /// IPv6 clients by their /64.
    ClientAddress,
    /// Falls back to the client address on a route that recognises nobody.
    Principal,
    /// Falls back to the client address when absent.
    Header(FieldName),
    /// One count for each route.
    Route,
    /// One count for all requests.
    Gateway,
}

impl LimitKey {
    /// The phase of a limit by this key, unless the configuration says otherwise: as early as the key is known.
    pub fn default_phase(&self) -> Phase {
        match self {
            LimitKey::Principal => Phase::AfterIdentity,
            LimitKey::ClientAddress | LimitKey::Header(_) | LimitKey::Route | LimitKey::Gateway => {
                Phase::BeforeIdentity
            }
        }
    }
}

/// How much to take from which limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitRequest {
    pub limit: LimitId,
    /// Which bucket: a keyed hash of the key's value, so that 2^64 clients cost no memory to name.
    pub bucket: BucketKey,
    /// Tokens, or places: what the request costs.
    pub amount: u64,
}

/// What a request is to take from the limits of one phase.
pub type LimitRequests = SmallVec<[LimitRequest; 4]>;

/// What taking from them found, in the same order.
pub type LimitResults = SmallVec<[LimitResult; 4]>;

/// Identifies a bucket within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey(pub u128);
