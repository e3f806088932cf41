//! Files that list endpoints: what they hold, and what they held when they were last right.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::Status;
use crate::config::snapshot::EndpointConfig;
use crate::decision::rules::defaults::NAMED_FILE_BYTES;
use crate::state::watch::{Watch, read_bounded};

/// What is known of one file.
pub(super) struct ListedEndpoints {
    /// In use.
    pub current: Arc<[EndpointConfig]>,
    /// To be used once its names were looked up.
    next: Option<Arc<[EndpointConfig]>>,
    /// Why the file can't be used, as far as that was said.
    trouble: Option<Trouble>,
    success: Option<SystemTime>,
    /// Held by whoever looks, so that reading a file keeps nobody else waiting.
    pub watch: Arc<Mutex<Watch>>,
}

/// What looking at a file found that is worth saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It lists so many endpoints now.
    Replaced { endpoints: usize },
    /// It can't be used, for these reasons. What it held before stays in use.
    Kept(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Unreadable(String),
    Wrong(Vec<String>),
}

/// Looks at `file`, and reads it if it has changed and come to rest. `None`: there is nothing new.
pub(super) fn look(
    file: &str,
    watch: &mut Watch,
    parse: impl Fn(&str, &[u8]) -> Result<Vec<EndpointConfig>, Vec<String>>,
) -> Option<Result<Vec<EndpointConfig>, Trouble>> {
    let content = match watch.look(file) {
        Ok(false) => return None,
        Ok(true) => read_bounded(file, NAMED_FILE_BYTES),
        Err(error) => Err(error),
    };
    Some(match content {
        Ok(content) => parse(file, &content).map_err(Trouble::Wrong),
        Err(error) => {
            // What keeps a file from being read may end without a change of the file.
            watch.forget();
            Err(Trouble::Unreadable(format!("cannot be read: {error}")))
        }
    })
}

impl Default for ListedEndpoints {
    fn default() -> Self {
        ListedEndpoints { current: [].into(), next: None, trouble: None, success: None, watch: Arc::default() }
    }
}

impl ListedEndpoints {
    /// Uses what a configuration has read.
    pub fn loaded(&mut self, endpoints: &Arc<[EndpointConfig]>) {
        self.current = endpoints.clone();
        self.next = None;
        self.trouble = None;
        self.success = Some(SystemTime::now());
    }

    /// Takes over what a look has found. Gives what is worth saying.
    pub fn found(&mut self, found: Result<Vec<EndpointConfig>, Trouble>) -> Option<FileChange> {
        match found {
            Ok(endpoints) => {
                self.success = Some(SystemTime::now());
                let recovered = self.trouble.take().is_some();
                let changed = **self.next.as_ref().unwrap_or(&self.current) != *endpoints;
                let count = endpoints.len();
                if changed {
                    self.next = Some(endpoints.into());
                }
                (changed || recovered).then_some(FileChange::Replaced { endpoints: count })
            }
            Err(trouble) => {
                if self.trouble.as_ref() == Some(&trouble) {
                    return None;
                }
                let said = match &trouble {
                    Trouble::Unreadable(why) => vec![why.clone()],
                    Trouble::Wrong(all) => all.clone(),
                };
                self.trouble = Some(trouble);
                Some(FileChange::Kept(said))
            }
        }
    }

    /// Uses what was found last if all of its names were asked for and any has an address. Says whether it did.
    pub fn bring_in(&mut self, asked: impl Fn(&str) -> bool, found: impl Fn(&str) -> bool) -> bool {
        let ready = self.next.as_ref().is_some_and(|next| {
            next.iter().all(|endpoint| asked(&endpoint.host)) && next.iter().any(|endpoint| found(&endpoint.host))
        });
        if ready && let Some(next) = self.next.take() {
            self.current = next;
        }
        ready
    }

    /// Every endpoint that is in use or about to be.
    pub fn all(&self) -> impl Iterator<Item = &EndpointConfig> {
        self.current.iter().chain(self.next.iter().flat_map(|next| next.iter()))
    }

    pub fn status(&self, name: &Arc<str>) -> Status {
        Status {
            kind: "file",
            name: name.clone(),
            entries: self.current.len(),
            stale: self.trouble.is_some() || self.next.is_some(),
            success: self.success,
        }
    }
}
