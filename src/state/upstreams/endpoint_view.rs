//! The state of the endpoints, for operators and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint_set::share;
use super::upstream_state::UpstreamState;
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
    pub condition: EndpointCondition,
    /// The result of the probes; true without probes.
    pub healthy: bool,
    /// How long it stays ejected; zero for a half-open one.
    pub ejected: Option<Duration>,
    /// Whether an operator drained it.
    pub draining: bool,
    /// The part of its share that it takes during a slow start, from 0 to 1.
    pub share: f64,
    /// Requests in progress.
    pub active: usize,
}

/// Whether an endpoint gets requests, as one word. Where several apply, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCondition {
    /// An operator drained it.
    Draining,
    /// Its probes fail.
    Unhealthy,
    /// It is ejected for failed requests.
    Ejected,
    /// Its ejection is over: the next request is its trial, or the trial is in progress.
    HalfOpen,
    /// It takes a part of its share, because it joined recently.
    SlowStart,
    /// It takes its share.
    Healthy,
}

impl EndpointCondition {
    /// The word in the admin listener's answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndpointCondition::Draining => "draining",
            EndpointCondition::Unhealthy => "unhealthy",
            EndpointCondition::Ejected => "ejected",
            EndpointCondition::HalfOpen => "half_open",
            EndpointCondition::SlowStart => "slow_start",
            EndpointCondition::Healthy => "healthy",
        }
    }

    /// Whether it gets new requests.
    pub const fn takes_requests(self) -> bool {
        matches!(self, EndpointCondition::HalfOpen | EndpointCondition::SlowStart | EndpointCondition::Healthy)
    }
}

impl UpstreamState {
    /// Every endpoint as it is now, in the order of the file.
    pub fn view(&self, now: Instant) -> Vec<EndpointView> {
        let (now, set) = (self.millis(now), self.endpoints());
        let views = set.endpoints.iter().zip(&set.located).map(|(endpoint, located)| {
            let healthy = self.upstream.health.is_none() || endpoint.healthy();
            let standing = match self.upstream.ejection {
                Some(_) => endpoint.standing(),
                None => Standing::InService,
            };
            let (draining, share) = (endpoint.drained(), share(&self.upstream, endpoint, now));
            let condition = if draining {
                EndpointCondition::Draining
            } else if !healthy {
                EndpointCondition::Unhealthy
            } else {
                match standing.admits(now) {
                    Admits::Trial => EndpointCondition::HalfOpen,
                    Admits::Nothing if standing == Standing::OnTrial => EndpointCondition::HalfOpen,
                    Admits::Nothing => EndpointCondition::Ejected,
                    Admits::Requests if share < FULL_SHARE => EndpointCondition::SlowStart,
                    Admits::Requests => EndpointCondition::Healthy,
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

    /// Selections since the upstream exists that passed over an endpoint because it had as many requests as it may have.
    pub fn passed_over(&self) -> u64 {
        self.shared.passed_over.load(std::sync::atomic::Ordering::Relaxed)
    }
}
