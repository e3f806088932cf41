//! What an operator sees of the endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::UpstreamState;
use super::members::share;
use crate::decision::upstream::ejection::{Admits, Standing};
use crate::decision::upstream::warmup::FULL_SHARE;

/// An endpoint as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    /// `host:port` as written.
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub zone: Option<Arc<str>>,
    pub priority: u32,
    pub weight: u32,
    pub condition: Condition,
    /// What probes say; true without any.
    pub healthy: bool,
    /// How long it is still left out for the requests that it failed; nothing for one that is half-open.
    pub ejected: Option<Duration>,
    /// Whether an operator drained it.
    pub draining: bool,
    /// The part of its share that it takes while it is warming up, from 0 to 1.
    pub share: f64,
    /// Requests in progress.
    pub active: usize,
}

/// In one word, whether an endpoint gets requests; where several hold, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An operator drained it.
    Draining,
    /// Probes speak against it.
    Unhealthy,
    /// It is left out for the requests that it failed.
    Ejected,
    /// It was left out, and the next request is its trial, or under way.
    HalfOpen,
    /// It takes a part of its share, since it joined a short while ago.
    SlowStart,
    /// It takes its share.
    Healthy,
}

impl Condition {
    /// The word in the admin listener's answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Condition::Draining => "draining",
            Condition::Unhealthy => "unhealthy",
            Condition::Ejected => "ejected",
            Condition::HalfOpen => "half_open",
            Condition::SlowStart => "slow_start",
            Condition::Healthy => "healthy",
        }
    }

    /// Whether new requests come to it.
    pub const fn takes_requests(self) -> bool {
        matches!(self, Condition::HalfOpen | Condition::SlowStart | Condition::Healthy)
    }
}

impl UpstreamState {
    /// Every endpoint as it is now, in the order of the file.
    pub fn view(&self, now: Instant) -> Vec<EndpointView> {
        let (now, members) = (self.millis(now), self.endpoints());
        let views = members.endpoints.iter().zip(&members.located).map(|(endpoint, located)| {
            let healthy = self.upstream.health.is_none() || endpoint.healthy();
            let standing = match self.upstream.ejection {
                Some(_) => endpoint.standing(),
                None => Standing::InService,
            };
            let (draining, share) = (endpoint.drained(), share(&self.upstream, endpoint, now));
            let condition = if draining {
                Condition::Draining
            } else if !healthy {
                Condition::Unhealthy
            } else {
                match standing.admits(now) {
                    Admits::Trial => Condition::HalfOpen,
                    Admits::Nothing if standing == Standing::OnTrial => Condition::HalfOpen,
                    Admits::Nothing => Condition::Ejected,
                    Admits::Requests if share < FULL_SHARE => Condition::SlowStart,
                    Admits::Requests => Condition::Healthy,
                }
            };
            EndpointView {
                name: endpoint.name.clone(),
                address: endpoint.address,
                zone: located.zone.clone(),
                priority: located.priority,
                weight: located.weight,
                condition,
                healthy,
                ejected: match standing {
                    Standing::InService => None,
                    Standing::OnTrial => Some(Duration::ZERO),
                    Standing::Ejected { until } => Some(Duration::from_millis(until.saturating_sub(now))),
                },
                draining,
                share: f64::from(share) / f64::from(FULL_SHARE),
                active: endpoint.active(),
            }
        });
        views.collect()
    }

    /// Choices that passed over an endpoint which was as busy as it may be, since the upstream exists.
    pub fn passed_over(&self) -> u64 {
        self.kept.passed_over.load(std::sync::atomic::Ordering::Relaxed)
    }
}
