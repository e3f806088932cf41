//! The composition root: wires configuration, state, telemetry and proxy together, and runs until drained.

use std::sync::Arc;

use crate::admin::Readiness;
use crate::config::snapshot::Snapshot;
use crate::proxy::health::STARTING;
use crate::proxy::server::{self, Bound, StartError};
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

/// Serves `snapshot` until a signal ends the process. Returns only if it can't start.
pub fn serve(snapshot: Snapshot) -> Result<std::convert::Infallible, Error> {
    let bound = Bound::new(&snapshot)?;
    let access_log = AccessLog::start(&snapshot.access_log).map_err(Error::AccessLog)?;
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::default());
    readiness.block(STARTING);
    let shared = Shared::new(snapshot, metrics, access_log);
    server::run(bound, shared, readiness)
}
