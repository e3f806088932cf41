//! A configuration that some of the requests try, and what becomes of them beside the others.

use std::sync::Arc;
use std::time::Duration;

use super::active_config::ActiveConfig;
use crate::decision::outcome::Cause;
use crate::decision::rollout::Sample;
use crate::state::rollout::{RolloutCounters, RolloutOutcome};
use crate::telemetry::record::{RecordedDecision, RequestRecord};

/// Two configurations side by side.
pub struct Rollout {
    pub next: Arc<ActiveConfig>,
    /// Of 2^64 requests, how many try it.
    share: u64,
    old_tally: RolloutCounters,
    next_tally: RolloutCounters,
}

/// The configuration that serves a request, and the roll-out that counts it.
pub type PickedConfig = (Arc<ActiveConfig>, Option<CanarySample>);

/// A request that a roll-out counts.
#[derive(Clone)]
pub struct CanarySample {
    pub rollout: Arc<Rollout>,
    /// Whether it was served by the new configuration.
    pub next: bool,
}

impl Rollout {
    /// `share` is of all requests, from 0 to 1.
    pub fn new(next: Arc<ActiveConfig>, share: f64) -> Self {
        // The cast saturates: a share of 1 is all requests.
        let share = (share * 2f64.powi(64)) as u64;
        Rollout { next, share, old_tally: RolloutCounters::default(), next_tally: RolloutCounters::default() }
    }

    /// What the old and the new configuration did so far.
    pub fn samples(&self) -> (Sample, Sample) {
        (self.old_tally.sample(), self.next_tally.sample())
    }

    pub(in crate::proxy) fn takes(&self, random: u64) -> bool {
        random < self.share || self.share == u64::MAX
    }
}

impl CanarySample {
    /// Counts the finished request of `record`.
    pub fn count(&self, record: &RequestRecord) {
        if record.cause.is_some_and(Cause::is_client_lost) {
            // It says something about the client, and nothing about the configuration.
            return;
        }
        let ending = match record.decision {
            RecordedDecision::Deny => RolloutOutcome::Refused,
            RecordedDecision::Fail => RolloutOutcome::Failed,
            RecordedDecision::Allow if record.status >= 500 => RolloutOutcome::Failed,
            RecordedDecision::Allow => RolloutOutcome::Answered,
        };
        // A tunnel lasts for as long as its ends have something to say.
        let duration = if record.status == 101 { Duration::ZERO } else { record.duration };
        let tally = if self.next { &self.rollout.next_tally } else { &self.rollout.old_tally };
        tally.count(ending, duration);
    }
}
