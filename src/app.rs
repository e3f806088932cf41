//! The composition root: wires configuration, state, telemetry and proxy together, and runs until drained.

use std::sync::Arc;

use crate::admin::Readiness;
use crate::config::snapshot::Snapshot;
use crate::proxy::health::STARTING;
use crate::proxy::server::{self, Sockets, StartError};
use crate::proxy::serving::Shared;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the access log cannot be opened: {0}")]
    AccessLog(std::io::Error),
}

/// A gateway whose sockets are bound and whose certificates are loaded: what is left can't fail for the owner's reasons.
pub struct App {
    sockets: Sockets,
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
}

impl App {
    /// Prepares to serve `snapshot`.
    ///
    /// # Errors
    /// A port that is taken, a certificate that TLS refuses, a log file that can't be opened.
    pub fn start(snapshot: Snapshot) -> Result<App, Error> {
        let sockets = Sockets::bind(&snapshot)?;
        let access_log = AccessLog::start(&snapshot.access_log).map_err(Error::AccessLog)?;
        let readiness = Arc::new(Readiness::default());
        readiness.block(STARTING);
        let shared = Shared::new(snapshot, Arc::new(Metrics::new()), access_log);
        Ok(App { sockets, shared, readiness })
    }

    /// Serves until a signal ends the process.
    pub fn serve(self) -> ! {
        server::run(self.sockets, self.shared, self.readiness)
    }
}
