//! The configurations that were in force, the newest last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::admin::api::{ConfigOrigin, HistoryEntry};
use crate::config::snapshot::Snapshot;
use crate::telemetry::timestamp::Rfc3339;

/// Bounded by the `process.history` of the configuration in force.
pub struct ConfigHistory {
    /// Never empty: the last is in force.
    past: VecDeque<PastConfig>,
    /// The last canary that was reverted, and why.
    reverted: Option<(u64, String)>,
}

/// A configuration that was in force from a time on.
#[derive(Clone)]
pub struct PastConfig {
    pub generation: u64,
    pub snapshot: Arc<Snapshot>,
    since: SystemTime,
    source: PublishSource,
}

/// What put a configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishSource {
    Start,
    Reload,
    /// This generation was put back.
    Rollback(u64),
    /// It was the canary of this generation.
    Canary(u64),
}

impl PublishSource {
    /// In words, for the log and for people.
    pub fn words(self) -> String {
        match self {
            PublishSource::Start => "start".to_owned(),
            PublishSource::Reload => "reload".to_owned(),
            PublishSource::Rollback(generation) => format!("generation {generation} put back"),
            PublishSource::Canary(generation) => format!("canary {generation} kept"),
        }
    }

    fn api(self) -> (ConfigOrigin, Option<u64>) {
        match self {
            PublishSource::Start => (ConfigOrigin::Start, None),
            PublishSource::Reload => (ConfigOrigin::Reload, None),
            PublishSource::Rollback(generation) => (ConfigOrigin::Rollback, Some(generation)),
            PublishSource::Canary(generation) => (ConfigOrigin::Canary, Some(generation)),
        }
    }
}

impl ConfigHistory {
    /// Begins with the configuration that the process started with.
    pub fn new(generation: u64, snapshot: Arc<Snapshot>) -> Self {
        let mut history = ConfigHistory { past: VecDeque::new(), reverted: None };
        history.push(generation, PublishSource::Start, snapshot);
        history
    }

    /// Adds the configuration that is in force now. Forgets the oldest ones beyond the bound.
    pub fn push(&mut self, generation: u64, source: PublishSource, snapshot: Arc<Snapshot>) {
        let keep = snapshot.process.history as usize + 1;
        self.past.push_back(PastConfig { generation, snapshot, since: SystemTime::now(), source });
        while self.past.len() > keep {
            self.past.pop_front();
        }
    }

    /// The configuration in force.
    pub fn newest(&self) -> &PastConfig {
        self.past.back().expect("BUG: a history begins with an entry, and keeps the newest")
    }

    /// The one of `generation`, or the last before the one in force.
    pub fn find(&self, generation: Option<u64>) -> Option<&PastConfig> {
        match generation {
            Some(generation) => self.past.iter().find(|past| past.generation == generation),
            None => self.past.iter().rev().nth(1),
        }
    }

    /// Remembers why the canary of `generation` was reverted.
    pub fn reverted(&mut self, generation: u64, why: String) {
        self.reverted = Some((generation, why));
    }

    /// Every generation that can be put back, for people.
    pub fn generations(&self) -> String {
        let numbers: Vec<String> = self.past.iter().map(|past| past.generation.to_string()).collect();
        numbers.join(", ")
    }

    /// Every entry, and the last canary that was reverted.
    pub fn entries(&self) -> Vec<HistoryEntry> {
        let past = self.past.iter().map(|past| {
            let (origin, from) = past.source.api();
            HistoryEntry {
                generation: past.generation,
                since: Some(Rfc3339::new(past.since).as_str().to_owned()),
                how: Some(past.source.words()),
                origin: Some(origin),
                from,
                reverted: None,
            }
        });
        let reverted = self.reverted.iter().map(|(generation, why)| HistoryEntry {
            generation: *generation,
            since: None,
            how: None,
            origin: None,
            from: None,
            reverted: Some(why.clone()),
        });
        past.chain(reverted).collect()
    }
}
