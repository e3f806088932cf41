//! A configuration that is being tried on a share of the requests.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Reloader;
use crate::config::snapshot::Snapshot;
use crate::decision::rollout::{Sample, Terms, Verdict, judge};
use crate::proxy::runtime::rollout::Rollout;

/// Between two looks at what the requests did.
const LOOK: Duration = Duration::from_millis(200);

/// A configuration that is being tried. Dropping it ends the watch over it.
pub struct Trial {
    pub snapshot: Arc<Snapshot>,
    pub terms: Terms,
    rollout: Arc<Rollout>,
    began: Instant,
    _watch: Sender<()>,
}

impl Trial {
    /// Begins to watch `rollout`, of which `reloader` is told when it has been judged.
    ///
    /// # Errors
    /// When the process can't have another thread.
    pub fn start(
        snapshot: Arc<Snapshot>,
        rollout: Arc<Rollout>,
        terms: Terms,
        reloader: Weak<Reloader>,
    ) -> io::Result<Trial> {
        let (watch, ended) = mpsc::channel();
        let generation = rollout.next.generation;
        thread::Builder::new().name("rollout".to_owned()).spawn(move || {
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(reloader) = reloader.upgrade() else { return };
                if !reloader.judge(generation) {
                    return;
                }
            }
        })?;
        Ok(Trial { snapshot, terms, rollout, began: Instant::now(), _watch: watch })
    }

    /// The number of the configuration that is tried.
    pub fn generation(&self) -> u64 {
        self.rollout.next.generation
    }

    /// What is to become of it by now.
    pub fn verdict(&self) -> Verdict {
        let (old, next) = self.rollout.samples();
        judge(&self.terms, &old, &next, self.began.elapsed())
    }

    /// What the two configurations did so far.
    pub fn describe(&self) -> Value {
        let (old, next) = self.rollout.samples();
        let left = self.terms.duration.saturating_sub(self.began.elapsed());
        json!({
            "generation": self.generation(),
            "share": self.terms.share,
            "seconds_left": left.as_secs(),
            "old": sample(&old),
            "new": sample(&next),
        })
    }
}

fn sample(sample: &Sample) -> Value {
    json!({
        "requests": sample.requests,
        "errors": sample.errors,
        "refusals": sample.refusals,
        "p95_ms": sample.p95.as_secs_f64() * 1e3,
    })
}
