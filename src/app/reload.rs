//! Reload: from what is written now to what is served next, or to everything that keeps it from being served.
//!
//! One change at a time, each compiled completely beside what is in force. What was in force stays in a short history, to
//! be put back. A configuration that is tried on a share of the requests is watched by a thread of its own, which keeps it
//! or takes it back.

mod history;
mod trial;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use log::{error, info, warn};
use serde_json::{Value, json};

use self::history::History;
use self::trial::Trial;
use crate::admin::Readiness;
use crate::admin::control::Outcome;
use crate::config::ConfigSource;
use crate::config::diff::{diff, needs_upgrade};
use crate::config::snapshot::Snapshot;
use crate::decision::rollout::{Terms, Verdict};
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::AssembleError;
use crate::proxy::upkeep::discovery::FIRST_ANSWERS;
use crate::telemetry::metrics::RolloutEnd;

/// Changes the configuration in force.
pub struct Reloader {
    source: ConfigSource,
    shared: Arc<Runtime>,
    readiness: Arc<Readiness>,
    current: Mutex<Current>,
}

struct Current {
    history: History,
    trial: Option<Trial>,
}

/// Under which the admin listener says what is wrong with the configuration on disk.
const NOTE: &str = "configuration";

impl Reloader {
    pub fn new(source: ConfigSource, shared: Arc<Runtime>, readiness: Arc<Readiness>) -> Arc<Self> {
        let serving = shared.store.current();
        shared.metrics.config_applied(serving.generation, SystemTime::now());
        let history = History::new(serving.generation, serving.snapshot.clone());
        Arc::new(Reloader { source, shared, readiness, current: Mutex::new(Current { history, trial: None }) })
    }

    /// Reads the configuration again and serves it: to everyone, or by `terms` to a share of the requests first.
    pub fn reload(self: &Arc<Self>, terms: Option<Terms>) -> Outcome {
        let mut current = self.lock();
        if current.trial.is_some() {
            warn!("not reloaded: another configuration is being tried");
            return conflict("another configuration is being tried: keep it or revert it first");
        }
        let (snapshot, diagnostics) = self.source.open();
        let diagnostics: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        let Some(snapshot) = snapshot.map(Arc::new) else {
            return self.refuse(StatusCode::UNPROCESSABLE_ENTITY, "it does not compile", diagnostics);
        };
        let in_force = current.history.newest().snapshot.clone();
        let changes = diff(&in_force, &snapshot);
        let fixed: Vec<String> = needs_upgrade(&changes).map(ToString::to_string).collect();
        if !fixed.is_empty() {
            let why = "it changes what only `portcullis upgrade` can change";
            return self.refuse(StatusCode::CONFLICT, why, fixed);
        }
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        diagnostics.iter().for_each(|line| warn!("{line}"));
        changes.iter().for_each(|line| info!("changes: {line}"));
        // New names are looked up before requests need them.
        self.shared.state.discovery.prepare(&snapshot.upstreams, FIRST_ANSWERS);
        let mut outcome = match terms {
            None => self.publish(&mut current, snapshot, "reload", true),
            Some(terms) => self.try_out(&mut current, snapshot, terms),
        };
        outcome.body["diagnostics"] = diagnostics.into();
        outcome.body["changes"] = changes.into();
        outcome
    }

    /// Serves a configuration of the history again: the one of `generation`, or the one before that in force.
    pub fn roll_back(self: &Arc<Self>, generation: Option<u64>) -> Outcome {
        let mut current = self.lock();
        if current.trial.is_some() {
            return conflict("another configuration is being tried: `rollout revert` ends that");
        }
        let Some(past) = current.history.find(generation) else {
            let known = current.history.generations();
            let error = match generation {
                Some(generation) => format!("generation {generation} is not kept; these are: {known}"),
                None => "there is no configuration before the one in force".to_owned(),
            };
            return Outcome { status: StatusCode::NOT_FOUND, body: json!({ "error": error }) };
        };
        let (from, snapshot) = (past.generation, past.snapshot.clone());
        // Names that only this one has are forgotten by now.
        self.shared.state.discovery.prepare(&snapshot.upstreams, FIRST_ANSWERS);
        let outcome = self.publish(&mut current, snapshot, &format!("put back generation {from}"), false);
        if outcome.status.is_success() {
            self.readiness.note(NOTE, format!("generation {from} was put back: the files may say something else"));
        }
        outcome
    }

    /// Ends the trial of a configuration: serves it to everyone, or to nobody.
    pub fn end_trial(self: &Arc<Self>, keep: bool) -> Outcome {
        let mut current = self.lock();
        if current.trial.is_none() {
            return conflict("no configuration is being tried");
        }
        let verdict = if keep { Verdict::Keep } else { Verdict::Revert("an operator asked for it".to_owned()) };
        self.conclude(&mut current, verdict)
    }

    /// What is in force, what was before it, and what is being tried.
    pub fn status(&self) -> Value {
        let current = self.lock();
        json!({
            "path": self.source.path,
            "generation": self.shared.store.load().generation,
            "history": current.history.describe(),
            "rollout": current.trial.as_ref().map(Trial::describe),
        })
    }

    fn publish(&self, current: &mut Current, snapshot: Arc<Snapshot>, how: &str, fresh: bool) -> Outcome {
        match self.shared.publish(snapshot.clone(), fresh) {
            Ok(generation) => {
                self.shared.metrics.config_applied(generation, SystemTime::now());
                self.readiness.clear_note(NOTE);
                current.history.push(generation, how, snapshot);
                info!("generation {generation} of the configuration is in force ({how})");
                Outcome { status: StatusCode::OK, body: json!({ "generation": generation }) }
            }
            Err(error) => self.not_served(&error),
        }
    }

    fn try_out(self: &Arc<Self>, current: &mut Current, snapshot: Arc<Snapshot>, terms: Terms) -> Outcome {
        let rollout = match self.shared.roll_out(snapshot.clone(), terms.share) {
            Ok(rollout) => rollout,
            Err(error) => return self.not_served(&error),
        };
        let trial = match Trial::start(snapshot, rollout, terms, Arc::downgrade(self)) {
            Ok(trial) => trial,
            Err(error) => {
                self.shared.end_rollout();
                return self.refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("nothing can watch it: {error}"), vec![]);
            }
        };
        self.shared.metrics.rollout_began(trial.terms.share);
        let (generation, share) = (trial.generation(), 100.0 * trial.terms.share);
        info!("generation {generation} of the configuration is tried on {share}% of the requests");
        let outcome = json!({ "generation": generation, "rollout": trial.describe() });
        current.trial = Some(trial);
        Outcome { status: StatusCode::ACCEPTED, body: outcome }
    }

    /// InputPath by the trial's own thread, again and again: ends the trial when it has been judged. Whether it goes on.
    fn judge(&self, generation: u64) -> bool {
        let mut current = self.lock();
        let Some(trial) = current.trial.as_ref().filter(|trial| trial.generation() == generation) else { return false };
        match trial.verdict() {
            Verdict::Wait => true,
            verdict => {
                self.conclude(&mut current, verdict);
                false
            }
        }
    }

    fn conclude(&self, current: &mut Current, verdict: Verdict) -> Outcome {
        let Some(trial) = current.trial.take() else { return conflict("no configuration is being tried") };
        let (tried, samples) = (trial.generation(), trial.describe());
        let mut outcome = match verdict {
            Verdict::Revert(why) => {
                self.shared.end_rollout();
                self.shared.metrics.rollout_ended(RolloutEnd::Reverted);
                warn!("generation {tried} of the configuration was tried and is taken back: {why}");
                self.readiness.note(NOTE, format!("generation {tried} was tried and taken back: {why}"));
                current.history.reverted(tried, why.clone());
                let generation = self.shared.store.load().generation;
                Outcome { status: StatusCode::OK, body: json!({ "generation": generation, "reverted": why }) }
            }
            Verdict::Keep | Verdict::Wait => {
                let how = format!("tried as generation {tried}");
                let outcome = self.publish(current, trial.snapshot.clone(), &how, false);
                if outcome.status.is_success() {
                    self.shared.metrics.rollout_ended(RolloutEnd::Kept);
                } else {
                    self.shared.end_rollout();
                    self.shared.metrics.rollout_ended(RolloutEnd::Reverted);
                    current.history.reverted(tried, "it can't be served to everyone".to_owned());
                }
                outcome
            }
        };
        outcome.body["rollout"] = samples;
        outcome
    }

    fn not_served(&self, error: &AssembleError) -> Outcome {
        self.refuse(StatusCode::UNPROCESSABLE_ENTITY, "it can't be served", vec![error.to_string()])
    }

    /// Goes on with what is in force, and says everywhere why.
    fn refuse(&self, status: StatusCode, why: &str, details: Vec<String>) -> Outcome {
        let generation = self.shared.store.load().generation;
        error!("the configuration at {} is not served, generation {generation} goes on: {why}", self.source.path);
        details.iter().for_each(|line| error!("{line}"));
        self.shared.metrics.config_refused();
        let first = details.first().map_or("", |line| line.lines().next().unwrap_or_default());
        let more = match details.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        self.readiness.note(NOTE, format!("what is on disk is not served: {why}: {first}{more}"));
        let error = format!("{why}; generation {generation} goes on");
        Outcome { status, body: json!({ "error": error, "diagnostics": details, "generation": generation }) }
    }

    /// What the lock guards is whole after every step, so a panic elsewhere takes nothing from it.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conflict(error: &str) -> Outcome {
    Outcome { status: StatusCode::CONFLICT, body: json!({ "error": error }) }
}
