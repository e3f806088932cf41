//! Reload: from the configuration as it is written now to the one that is served next, or to everything that is wrong with it.
//!
//! One change at a time; each configuration is compiled completely beside the one in force. Configurations that were in force
//! stay in a short history and can be put back. A canary, which a share of the requests is served by, is evaluated on a
//! thread of its own, which keeps it or reverts it.

mod canary;
mod history;

use std::sync::Arc;
use std::time::SystemTime;

use log::{error, info, warn};
use parking_lot::Mutex;

use self::canary::Canary;
use self::history::{ConfigHistory, PublishSource};
use crate::admin::Readiness;
use crate::admin::api::{
    AdminError, ConfigurationStatus, ErrorCode, ReloadResult, RollbackResult, RolloutResult, RolloutStatus,
};
use crate::config::ConfigSource;
use crate::config::diff::{diff, needs_upgrade};
use crate::config::snapshot::Snapshot;
use crate::decision::rollout::{RolloutVerdict, Terms};
use crate::diagnostics::Severity;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::AssembleError;
use crate::telemetry::metrics::RolloutEnd;

/// Changes the configuration in force.
pub struct Reloader {
    source: ConfigSource,
    shared: Arc<Runtime>,
    readiness: Arc<Readiness>,
    /// Held for the whole of a change, so that there is one at a time.
    changing: Mutex<()>,
    /// Each step leaves it whole. Not held while files are read or names are looked up, so that the status is told meanwhile.
    state: Mutex<ReloadState>,
}

struct ReloadState {
    history: ConfigHistory,
    canary: Option<Canary>,
}

/// The subject of the note on what is wrong with the configuration on disk.
const NOTE: &str = "configuration";

impl Reloader {
    pub fn new(source: ConfigSource, shared: Arc<Runtime>, readiness: Arc<Readiness>) -> Arc<Self> {
        let serving = shared.store.current();
        shared.metrics.config_applied(serving.generation, SystemTime::now());
        let history = ConfigHistory::new(serving.generation, serving.snapshot.clone());
        let state = Mutex::new(ReloadState { history, canary: None });
        Arc::new(Reloader { source, shared, readiness, changing: Mutex::new(()), state })
    }

    /// Reads the configuration again and serves it: to all requests, or by `terms` to a share of them first.
    ///
    /// # Errors
    /// When a roll-out is running, and when the configuration is wrong, needs an upgrade or can't be served.
    pub fn reload(self: &Arc<Self>, terms: Option<Terms>) -> Result<ReloadResult, AdminError> {
        let _changing = self.changing.lock();
        // Nothing else begins a roll-out or puts a configuration in force meanwhile.
        if self.state.lock().canary.is_some() {
            warn!("not reloaded: another configuration is being rolled out");
            let error = "another configuration is being rolled out: keep it or revert it first";
            return Err(AdminError::new(ErrorCode::RolloutRunning, error));
        }
        let (snapshot, found) = self.source.open();
        let diagnostics: Vec<String> = found.iter().map(ToString::to_string).collect();
        let Some(snapshot) = snapshot.map(Arc::new) else {
            let errors = found.iter().filter(|found| found.severity == Severity::Error);
            let errors: Vec<String> = errors.map(ToString::to_string).collect();
            return Err(self.refuse(
                ErrorCode::ConfigurationInvalid,
                "it does not compile",
                reason(&errors),
                diagnostics,
            ));
        };
        let in_force = self.state.lock().history.newest().snapshot.clone();
        let changes = diff(&in_force, &snapshot);
        let fixed: Vec<String> = needs_upgrade(&changes).map(ToString::to_string).collect();
        if !fixed.is_empty() {
            let why = "it changes what only `portcullis upgrade` can change";
            return Err(self.refuse(ErrorCode::UpgradeRequired, why, reason(&fixed), fixed));
        }
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        diagnostics.iter().for_each(|line| warn!("{line}"));
        changes.iter().for_each(|line| info!("changes: {line}"));
        // New names are looked up before requests need them.
        self.shared.state.discovery.prepare(&snapshot.upstreams, snapshot.dns.startup);
        let mut state = self.state.lock();
        let (generation, rollout) = match terms {
            None => (self.publish(&mut state, snapshot, PublishSource::Reload, true)?, None),
            Some(terms) => {
                let rollout = self.roll_out(&mut state, snapshot, terms)?;
                (rollout.generation, Some(rollout))
            }
        };
        Ok(ReloadResult { generation, rollout, diagnostics, changes })
    }

    /// Serves a configuration of the history again: the one of `generation`, or the one before the one in force.
    ///
    /// # Errors
    /// When a roll-out is running, when the history does not have it, and when it can't be served any more.
    pub fn roll_back(&self, generation: Option<u64>) -> Result<RollbackResult, AdminError> {
        let _changing = self.changing.lock();
        let state = self.state.lock();
        if state.canary.is_some() {
            let error = "another configuration is being rolled out: `portcullis rollout revert` ends that";
            return Err(AdminError::new(ErrorCode::RolloutRunning, error));
        }
        let Some(past) = state.history.find(generation) else {
            let known = state.history.generations();
            let error = match generation {
                Some(generation) => format!("generation {generation} is not kept; these are: {known}"),
                None => "there is no configuration before the one in force".to_owned(),
            };
            return Err(AdminError::new(ErrorCode::GenerationUnknown, error));
        };
        let (from, snapshot) = (past.generation, past.snapshot.clone());
        drop(state);
        // Names that only this configuration has are forgotten by now.
        self.shared.state.discovery.prepare(&snapshot.upstreams, snapshot.dns.startup);
        let generation = self.publish(&mut self.state.lock(), snapshot, PublishSource::Rollback(from), false)?;
        self.readiness.note(NOTE, format!("generation {from} was put back: the files may say something else"));
        Ok(RollbackResult { generation })
    }

    /// Ends the roll-out of a configuration: serves it to all requests, or to none.
    ///
    /// # Errors
    /// When none is running, and when the canary can't be served to all requests.
    pub fn end_rollout(&self, keep: bool) -> Result<RolloutResult, AdminError> {
        let verdict =
            if keep { RolloutVerdict::Keep } else { RolloutVerdict::Revert("an operator asked for it".to_owned()) };
        self.conclude(&mut self.state.lock(), verdict)
    }

    /// The configuration in force, the ones before it, and the one that is being rolled out.
    pub fn status(&self) -> ConfigurationStatus {
        let state = self.state.lock();
        ConfigurationStatus {
            path: self.source.path.clone(),
            generation: self.shared.store.load().generation,
            history: state.history.entries(),
            rollout: state.canary.as_ref().map(Canary::status),
        }
    }

    fn publish(
        &self,
        state: &mut ReloadState,
        snapshot: Arc<Snapshot>,
        source: PublishSource,
        fresh: bool,
    ) -> Result<u64, AdminError> {
        let generation = self.shared.publish(snapshot.clone(), fresh).map_err(|error| self.unusable(&error))?;
        self.shared.metrics.config_applied(generation, SystemTime::now());
        self.readiness.clear_note(NOTE);
        state.history.push(generation, source, snapshot);
        info!("generation {generation} of the configuration is in force ({})", source.words());
        Ok(generation)
    }

    fn roll_out(
        self: &Arc<Self>,
        state: &mut ReloadState,
        snapshot: Arc<Snapshot>,
        terms: Terms,
    ) -> Result<RolloutStatus, AdminError> {
        let rollout = self.shared.roll_out(snapshot.clone(), terms.share).map_err(|error| self.unusable(&error))?;
        let (reloader, generation) = (Arc::downgrade(self), rollout.next.generation);
        let evaluate = move || reloader.upgrade().is_some_and(|reloader| reloader.evaluate(generation));
        let canary = match Canary::start(snapshot, rollout, terms, evaluate) {
            Ok(canary) => canary,
            Err(error) => {
                self.shared.end_rollout();
                let why = format!("no thread can evaluate it: {error}");
                return Err(self.refuse(ErrorCode::ThreadUnavailable, &why, String::new(), vec![]));
            }
        };
        self.shared.metrics.rollout_began(canary.terms.share);
        let (status, share) = (canary.status(), 100.0 * canary.terms.share);
        info!("generation {generation} of the configuration is a canary for {share}% of the requests");
        state.canary = Some(canary);
        Ok(status)
    }

    /// Ends the roll-out of `generation` if there is a decision. Called at intervals on the canary's thread, until `false`.
    fn evaluate(&self, generation: u64) -> bool {
        let mut state = self.state.lock();
        let Some(canary) = state.canary.as_ref().filter(|canary| canary.generation() == generation) else {
            return false;
        };
        match canary.verdict() {
            RolloutVerdict::Wait => true,
            verdict => {
                // The log, the metrics and the history tell the outcome.
                let _ = self.conclude(&mut state, verdict);
                false
            }
        }
    }

    fn conclude(&self, state: &mut ReloadState, verdict: RolloutVerdict) -> Result<RolloutResult, AdminError> {
        let Some(canary) = state.canary.take() else {
            return Err(AdminError::new(ErrorCode::RolloutMissing, "no configuration is being rolled out"));
        };
        let (generation, rollout) = (canary.generation(), canary.status());
        if let RolloutVerdict::Revert(why) = verdict {
            self.revert(state, generation, &why);
            warn!("generation {generation} of the configuration was a canary and is reverted: {why}");
            self.readiness.note(NOTE, format!("generation {generation} was a canary and was reverted: {why}"));
            return Ok(RolloutResult { generation: self.shared.store.load().generation, reverted: Some(why), rollout });
        }
        match self.publish(state, canary.snapshot.clone(), PublishSource::Canary(generation), false) {
            Ok(generation) => {
                self.shared.metrics.rollout_ended(RolloutEnd::Kept);
                Ok(RolloutResult { generation, reverted: None, rollout })
            }
            Err(error) => {
                self.revert(state, generation, "it can't be served to all requests");
                Err(AdminError { rollout: Some(rollout), ..error })
            }
        }
    }

    fn revert(&self, state: &mut ReloadState, generation: u64, why: &str) {
        self.shared.end_rollout();
        self.shared.metrics.rollout_ended(RolloutEnd::Reverted);
        state.history.reverted(generation, why.to_owned());
    }

    fn unusable(&self, error: &AssembleError) -> AdminError {
        let error = error.to_string();
        self.refuse(ErrorCode::ConfigurationUnusable, "it can't be served", error.clone(), vec![error])
    }

    /// Keeps the configuration in force, and tells the log, the metrics and the status why.
    fn refuse(&self, code: ErrorCode, why: &str, reason: String, diagnostics: Vec<String>) -> AdminError {
        let generation = self.shared.store.load().generation;
        error!(
            "the configuration at {} is not served, generation {generation} stays in force: {why}",
            self.source.path
        );
        diagnostics.iter().for_each(|line| error!("{line}"));
        self.shared.metrics.config_refused();
        self.readiness.note(NOTE, format!("the configuration on disk is not served: {why}: {reason}"));
        let error = format!("{why}; generation {generation} stays in force");
        AdminError { diagnostics, generation: Some(generation), ..AdminError::new(code, error) }
    }
}

/// The first of `errors` in one line, and how many more there are.
fn reason(errors: &[String]) -> String {
    let first = errors.first().map_or("", |line| line.lines().next().unwrap_or_default());
    match errors.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}
