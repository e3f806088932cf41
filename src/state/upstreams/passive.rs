//! What requests themselves tell about the endpoints: who fails them is left out, and comes back by a trial.

use std::time::{Duration, Instant};

use super::members::works;
use super::{Chosen, Endpoint, UpstreamState, lock};
use crate::decision::upstream::Millis;
use crate::decision::upstream::ejection::{ErrorRate, Reason, Rules, Standing, may_eject};
use crate::decision::upstream::outcome::TryResult;
use crate::decision::upstream::window::Tally;

/// What the end of a try changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The endpoint is left out for this long.
    Ejected { reason: Reason, time: Duration },
    /// It would be left out, but too many are out already.
    Withheld { reason: Reason },
    /// It passed its trial, and takes requests again.
    Returned,
}

impl UpstreamState {
    /// Learns from the end of a try. Only the first end of `chosen` counts. The clock is asked only where the time matters.
    pub fn record(&self, chosen: &mut Chosen, result: TryResult, now: impl FnOnce() -> Instant) -> Option<Change> {
        let rules = self.upstream.ejection.as_ref()?;
        if std::mem::replace(&mut chosen.ended, true) {
            return None;
        }
        let endpoint = &*chosen.endpoint;
        let failed = rules.is_failure(result);
        if !failed && !chosen.trial && rules.error_rate.is_none() {
            endpoint.succeeded();
            return None;
        }
        let now = self.millis(now());
        if let Some(rate) = &rules.error_rate {
            endpoint.count(half(rate, now), failed);
        }
        if std::mem::take(&mut chosen.trial) {
            return Some(if failed {
                Change::Ejected { reason: Reason::Trial, time: endpoint.eject(rules, now) }
            } else {
                endpoint.return_to_service(now);
                Change::Returned
            });
        }
        if !failed {
            endpoint.succeeded();
            return None;
        }
        // What was under way when it was left out says nothing new.
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

    fn eject(&self, endpoint: &Endpoint, rules: &Rules, reason: Reason, now: Millis) -> Option<Change> {
        // When everything fails, many come here at once: whoever may not eject needs no lock to know.
        if !self.may_eject(endpoint, rules, now) {
            endpoint.succeeded();
            return Some(Change::Withheld { reason });
        }
        let _one = lock(&self.kept.ejecting);
        if endpoint.standing() != Standing::InService {
            return None;
        }
        if !self.may_eject(endpoint, rules, now) {
            endpoint.succeeded();
            return Some(Change::Withheld { reason });
        }
        Some(Change::Ejected { reason, time: endpoint.eject(rules, now) })
    }

    fn may_eject(&self, endpoint: &Endpoint, rules: &Rules, now: Millis) -> bool {
        let members = self.members.load();
        let others = members.endpoints.iter().filter(|other| !std::ptr::eq(&***other, endpoint));
        // Half-open is out too: whether it is back is not known yet.
        let out = others.filter(|other| {
            other.drained() || other.standing() != Standing::InService || !works(&self.upstream, other, now)
        });
        may_eject(rules.most, out.count(), members.endpoints.len())
    }

    fn stands_out(&self, endpoint: &Endpoint, rate: &ErrorRate, now: Millis) -> bool {
        let half = half(rate, now);
        let mut rest = Tally::default();
        for other in self.members.load().endpoints.iter().filter(|other| !std::ptr::eq(&***other, endpoint)) {
            rest += other.tally(half);
        }
        rate.stands_out(endpoint.tally(half), rest)
    }
}

/// The half window that `now` is in.
fn half(rate: &ErrorRate, now: Millis) -> u64 {
    let length = u64::try_from(rate.window.as_millis() / 2).unwrap_or(u64::MAX).max(1);
    now / length
}
