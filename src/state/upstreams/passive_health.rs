//! Passive health checks: an endpoint that fails requests is ejected, and returns after a successful trial request.

use std::time::{Duration, Instant};

use super::endpoint::EndpointState;
use super::endpoint_set::works;
use super::selected_endpoint::SelectedEndpoint;
use super::upstream_state::UpstreamState;
use crate::decision::upstream::Millis;
use crate::decision::upstream::ejection::{EjectionPolicy, ErrorRate, Reason, Standing, may_eject};
use crate::decision::upstream::outcome::TryResult;
use crate::decision::upstream::window::Tally;

/// What the result of a try changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectionChange {
    /// The endpoint is ejected for this long.
    Ejected { reason: Reason, time: Duration },
    /// It would be ejected, but too many are out of service already.
    Withheld { reason: Reason },
    /// Its trial succeeded: it takes requests again.
    Returned,
}

impl UpstreamState {
    /// Records the result of a try. Only the first result for `selected` counts. `now` is called only where the time is needed.
    pub fn record(
        &self,
        selected: &mut SelectedEndpoint,
        result: TryResult,
        now: impl FnOnce() -> Instant,
    ) -> Option<EjectionChange> {
        let rules = self.upstream.ejection.as_ref()?;
        if std::mem::replace(&mut selected.recorded, true) {
            return None;
        }
        let endpoint = &*selected.endpoint;
        let failed = rules.is_failure(result);
        if !failed && !selected.trial && rules.error_rate.is_none() {
            endpoint.succeeded();
            return None;
        }
        let now = self.millis(now());
        if let Some(rate) = &rules.error_rate {
            endpoint.count(half(rate, now), failed);
        }
        if std::mem::take(&mut selected.trial) {
            return Some(if failed {
                EjectionChange::Ejected { reason: Reason::Trial, time: endpoint.eject(rules, now) }
            } else {
                endpoint.return_to_service(now);
                EjectionChange::Returned
            });
        }
        if !failed {
            endpoint.succeeded();
            return None;
        }
        // A request that was in progress when the endpoint was ejected gives no new information.
        if endpoint.standing() != Standing::InService {
            return None;
        }
        let in_a_row = endpoint.failed();
        let reason = if in_a_row >= rules.consecutive {
            Reason::Consecutive
        } else if rules.error_rate.as_ref().is_some_and(|rate| self.stands_out(endpoint, rate, now)) {
            Reason::ErrorRate
        } else {
            return None;
        };
        self.eject(endpoint, rules, reason, now)
    }

    fn eject(
        &self,
        endpoint: &EndpointState,
        rules: &EjectionPolicy,
        reason: Reason,
        now: Millis,
    ) -> Option<EjectionChange> {
        // In an outage many requests fail at once: the check without the lock answers most of them.
        if !self.may_eject(endpoint, rules, now) {
            endpoint.succeeded();
            return Some(EjectionChange::Withheld { reason });
        }
        let _ejecting = self.shared.ejecting.lock();
        if endpoint.standing() != Standing::InService {
            return None;
        }
        if !self.may_eject(endpoint, rules, now) {
            endpoint.succeeded();
            return Some(EjectionChange::Withheld { reason });
        }
        Some(EjectionChange::Ejected { reason, time: endpoint.eject(rules, now) })
    }

    fn may_eject(&self, endpoint: &EndpointState, rules: &EjectionPolicy, now: Millis) -> bool {
        let set = self.endpoints();
        let others = set.endpoints.iter().filter(|other| !std::ptr::eq(&***other, endpoint));
        // Half-open counts as out of service: the result of the trial is not known yet.
        let out = others.filter(|other| {
            other.drained() || other.standing() != Standing::InService || !works(&self.upstream, other, now)
        });
        may_eject(rules.most, out.count(), set.endpoints.len())
    }

    fn stands_out(&self, endpoint: &EndpointState, rate: &ErrorRate, now: Millis) -> bool {
        let half = half(rate, now);
        let mut rest = Tally::default();
        for other in self.endpoints().endpoints.iter().filter(|other| !std::ptr::eq(&***other, endpoint)) {
            rest += other.tally(half);
        }
        rate.stands_out(endpoint.tally(half), rest)
    }
}

/// The number of the half window that contains `now`.
fn half(rate: &ErrorRate, now: Millis) -> u64 {
    let length = u64::try_from(rate.window.as_millis() / 2).unwrap_or(u64::MAX).max(1);
    now / length
}
