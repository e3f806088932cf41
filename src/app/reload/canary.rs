//! A configuration that is served to a share of the requests, until it is kept or reverted.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::api::{RolloutSample, RolloutStatus};
use crate::config::snapshot::Snapshot;
use crate::decision::rollout::{RolloutVerdict, Sample, Terms, judge};
use crate::proxy::runtime::rollout::Rollout;

/// The time between two evaluations of what the requests did.
const INTERVAL: Duration = Duration::from_millis(200);

/// A canary. Dropping it ends its thread.
pub struct Canary {
    pub snapshot: Arc<Snapshot>,
    pub terms: Terms,
    rollout: Arc<Rollout>,
    began: Instant,
    _running: Sender<()>,
}

impl Canary {
    /// Begins to evaluate `rollout` at intervals by `evaluate`, on a thread of its own, until that returns `false`.
    ///
    /// # Errors
    /// When the process can't have another thread.
    pub fn start(
        snapshot: Arc<Snapshot>,
        rollout: Arc<Rollout>,
        terms: Terms,
        evaluate: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Canary> {
        let (running, dropped) = mpsc::channel();
        thread::Builder::new()
            .name("rollout".to_owned())
            .spawn(move || while dropped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) && evaluate() {})?;
        Ok(Canary { snapshot, terms, rollout, began: Instant::now(), _running: running })
    }

    pub fn generation(&self) -> u64 {
        self.rollout.next.generation
    }

    /// The decision by what the requests did so far.
    pub fn verdict(&self) -> RolloutVerdict {
        let (old, next) = self.rollout.samples();
        judge(&self.terms, &old, &next, self.began.elapsed())
    }

    /// What the two configurations did so far.
    pub fn status(&self) -> RolloutStatus {
        let (old, next) = self.rollout.samples();
        let left = self.terms.duration.saturating_sub(self.began.elapsed());
        RolloutStatus {
            generation: self.generation(),
            share: self.terms.share,
            seconds_left: left.as_secs(),
            old: sample(&old),
            new: sample(&next),
        }
    }
}

fn sample(sample: &Sample) -> RolloutSample {
    RolloutSample {
        requests: sample.requests,
        errors: sample.errors,
        refusals: sample.refusals,
        p95_ms: sample.p95.as_secs_f64() * 1e3,
    }
}
