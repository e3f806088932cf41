//! The access logs in use: that of the configuration in force, and those of configurations before it for as long as a
//! request that began with them is not done.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::AccessLog;
use super::writer::Losses;
use crate::config::snapshot;

/// Opens access logs, and speaks to all of them.
#[derive(Debug, Default)]
pub struct AccessLogs {
    losses: Arc<Losses>,
    /// Those that no request holds any more are let go with the next one: what their threads still gather is written by then.
    open: Mutex<Vec<(snapshot::AccessLogConfig, Arc<AccessLog>)>>,
}

impl AccessLogs {
    /// The log of `settings`: the one that is open if there is one, so that a reload that changes nothing about it opens
    /// no file.
    ///
    /// # Errors
    /// As those of [`AccessLog::start`]. What was open stays open.
    pub fn open(&self, settings: &snapshot::AccessLogConfig) -> io::Result<Arc<AccessLog>> {
        let mut open = self.lock();
        open.retain(|(known, log)| known == settings || Arc::strong_count(log) > 1);
        if let Some((_, log)) = open.iter().find(|(known, _)| known == settings) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(AccessLog::counting(settings, Arc::clone(&self.losses))?);
        open.push((settings.clone(), Arc::clone(&log)));
        Ok(log)
    }

    /// See [`AccessLog::reopen`].
    pub fn reopen(&self) {
        self.all().iter().for_each(|log| log.reopen());
    }

    /// See [`AccessLog::flush`].
    pub fn flush(&self, deadline: Instant) -> bool {
        // One that stands still must not keep the others from being written.
        self.all().iter().filter(|log| !log.flush(deadline)).count() == 0
    }

    /// Lines dropped since the start because a queue was full.
    pub fn dropped(&self) -> u64 {
        self.losses.dropped()
    }

    /// Failed attempts to write or to reopen a file since the start. What failed to be written is tried again.
    pub fn write_errors(&self) -> u64 {
        self.losses.write_errors()
    }

    fn all(&self) -> Vec<Arc<AccessLog>> {
        self.lock().iter().map(|(_, log)| Arc::clone(log)).collect()
    }

    /// The list is whole after every change, so a panic elsewhere takes nothing from it.
    fn lock(&self) -> MutexGuard<'_, Vec<(snapshot::AccessLogConfig, Arc<AccessLog>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
