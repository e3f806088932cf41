//! Files that list endpoints: the content in use, and the last error.

use std::sync::Arc;
use std::time::SystemTime;

use super::status::SourceStatus;
use crate::config::snapshot::EndpointConfig;
use crate::state::file_watch::FileWatch;

/// The state of one file.
pub(super) struct EndpointFileState {
    /// In use.
    pub current: Arc<[EndpointConfig]>,
    /// Comes into use once its names are looked up.
    next: Option<Arc<[EndpointConfig]>>,
    /// The last reported error, if the file can't be used.
    error: Option<EndpointFileError>,
    success: Option<SystemTime>,
    pub watch: FileWatch,
}

/// A change of a file that is to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointFileChange {
    /// It lists this many endpoints now.
    Replaced { endpoints: usize },
    /// It can't be used, for these reasons. Its previous content stays in use.
    Kept(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndpointFileError {
    Unreadable(String),
    Wrong(Vec<String>),
}

impl Default for EndpointFileState {
    fn default() -> Self {
        EndpointFileState { current: [].into(), next: None, error: None, success: None, watch: FileWatch::default() }
    }
}

impl EndpointFileState {
    /// Uses the endpoints that a configuration has read.
    pub fn loaded(&mut self, endpoints: &Arc<[EndpointConfig]>) {
        self.current = endpoints.clone();
        self.next = None;
        self.error = None;
        self.success = Some(SystemTime::now());
    }

    /// Takes what was read. Returns what is to be logged.
    pub fn found(&mut self, found: Result<Vec<EndpointConfig>, EndpointFileError>) -> Option<EndpointFileChange> {
        match found {
            Ok(endpoints) => {
                self.success = Some(SystemTime::now());
                let recovered = self.error.take().is_some();
                let changed = **self.next.as_ref().unwrap_or(&self.current) != *endpoints;
                let count = endpoints.len();
                if changed {
                    self.next = Some(endpoints.into());
                }
                (changed || recovered).then_some(EndpointFileChange::Replaced { endpoints: count })
            }
            Err(error) => {
                if matches!(error, EndpointFileError::Unreadable(_)) {
                    // The reason, such as a permission of a folder, may end without a change of the file.
                    self.watch.forget();
                }
                if self.error.as_ref() == Some(&error) {
                    return None;
                }
                let reasons = match &error {
                    EndpointFileError::Unreadable(why) => vec![why.clone()],
                    EndpointFileError::Wrong(all) => all.clone(),
                };
                self.error = Some(error);
                Some(EndpointFileChange::Kept(reasons))
            }
        }
    }

    /// Puts the newest content into use once all of its names are looked up and one has an address. Returns whether it did.
    pub fn activate(&mut self, answered: impl Fn(&str) -> bool, found: impl Fn(&str) -> bool) -> bool {
        let ready = self.next.as_ref().is_some_and(|next| {
            next.iter().all(|endpoint| answered(&endpoint.host)) && next.iter().any(|endpoint| found(&endpoint.host))
        });
        if ready && let Some(next) = self.next.take() {
            self.current = next;
        }
        ready
    }

    /// Every endpoint in use or about to come into use.
    pub fn all(&self) -> impl Iterator<Item = &EndpointConfig> {
        self.current.iter().chain(self.next.iter().flat_map(|next| next.iter()))
    }

    pub fn status(&self, name: &Arc<str>) -> SourceStatus {
        SourceStatus {
            kind: "file",
            name: name.clone(),
            entries: self.current.len(),
            stale: self.error.is_some() || self.next.is_some(),
            success: self.success,
        }
    }
}
