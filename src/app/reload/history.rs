//! The configurations that were in force, the newest last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config::snapshot::Snapshot;
use crate::telemetry::timestamp::Rfc3339;

/// Bounded by the `process.history` of the configuration in force.
pub struct History {
    /// Never empty: the last is in force.
    past: VecDeque<Past>,
    /// The last trial that was taken back, and why.
    reverted: Option<(u64, String)>,
}

/// A configuration that was in force from a time on.
#[derive(Clone)]
pub struct Past {
    pub generation: u64,
    pub snapshot: Arc<Snapshot>,
    since: SystemTime,
    how: String,
}

impl History {
    /// Begins with what the process started with.
    pub fn new(generation: u64, snapshot: Arc<Snapshot>) -> Self {
        let mut history = History { past: VecDeque::new(), reverted: None };
        history.push(generation, "start", snapshot);
        history
    }

    /// `snapshot` is in force now; `how` says why. Forgets the oldest beyond the bound.
    pub fn push(&mut self, generation: u64, how: &str, snapshot: Arc<Snapshot>) {
        let keep = snapshot.process.history as usize + 1;
        self.past.push_back(Past { generation, snapshot, since: SystemTime::now(), how: how.to_owned() });
        while self.past.len() > keep {
            self.past.pop_front();
        }
    }

    /// The configuration in force.
    pub fn newest(&self) -> &Past {
        self.past.back().expect("BUG: a history begins with an entry, and keeps the newest")
    }

    /// The one called `generation`, or the last before that in force.
    pub fn find(&self, generation: Option<u64>) -> Option<&Past> {
        match generation {
            Some(generation) => self.past.iter().find(|past| past.generation == generation),
            None => self.past.iter().rev().nth(1),
        }
    }

    /// Remembers why the trial of `generation` was taken back.
    pub fn reverted(&mut self, generation: u64, why: String) {
        self.reverted = Some((generation, why));
    }

    /// Every number that can be put back, for people.
    pub fn generations(&self) -> String {
        let numbers: Vec<String> = self.past.iter().map(|past| past.generation.to_string()).collect();
        numbers.join(", ")
    }

    /// Every entry, and the last trial that was taken back.
    pub fn describe(&self) -> Value {
        let past = self.past.iter().map(|past| {
            json!({ "generation": past.generation, "since": Rfc3339::new(past.since).as_str(), "how": past.how })
        });
        let mut entries: Vec<Value> = past.collect();
        if let Some((generation, why)) = &self.reverted {
            entries.push(json!({ "generation": generation, "reverted": why }));
        }
        entries.into()
    }
}
