//! The access logs in use: that of the configuration in force, and those of earlier configurations that still have requests.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::AccessLogger;
use super::writer::LossCounters;
use crate::config::snapshot;

/// Opens access logs, and reopens or flushes all of them.
#[derive(Debug, Default)]
pub struct AccessLoggers {
    losses: Arc<LossCounters>,
    /// A log that no request holds is dropped when the next one is opened; its thread has written its lines by then.
    open: Mutex<Vec<(snapshot::AccessLog, Arc<AccessLogger>)>>,
}

impl AccessLoggers {
    /// The log with `settings`. An open one is reused, so that a reload without a change of the access log opens no file.
    ///
    /// # Errors
    /// Those of [`AccessLogger::start`]. Open logs stay open.
    pub fn open(&self, settings: &snapshot::AccessLog) -> io::Result<Arc<AccessLogger>> {
        let mut open = self.open.lock();
        open.retain(|(known, log)| known == settings || Arc::strong_count(log) > 1);
        if let Some((_, log)) = open.iter().find(|(known, _)| known == settings) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(AccessLogger::counting(settings, Arc::clone(&self.losses))?);
        open.push((settings.clone(), Arc::clone(&log)));
        Ok(log)
    }

    /// See [`AccessLogger::reopen`].
    pub fn reopen(&self) {
        self.all().iter().for_each(|log| log.reopen());
    }

    /// See [`AccessLogger::flush`].
    pub fn flush(&self, deadline: Instant) -> bool {
        // A blocked log must not prevent the others from being flushed.
        self.all().iter().filter(|log| !log.flush(deadline)).count() == 0
    }

    /// Lines dropped since the start of the process because a queue was full.
    pub fn dropped(&self) -> u64 {
        self.losses.dropped()
    }

    /// Failed attempts to write or reopen a file since the start of the process. A failed write is tried again.
    pub fn write_errors(&self) -> u64 {
        self.losses.write_errors()
    }

    fn all(&self) -> Vec<Arc<AccessLogger>> {
        self.open.lock().iter().map(|(_, log)| Arc::clone(log)).collect()
    }
}
