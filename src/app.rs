//! The composition root: wires configuration, state, telemetry and proxy together, and runs until drained.

mod operator;
mod reload;
mod watch;

use std::path::Path;
use std::sync::Arc;

use log::warn;

use self::operator::Operator;
use crate::admin::Readiness;
use crate::config::Source;
use crate::config::snapshot::{LogOutput, Snapshot, User};
use crate::privileges;
use crate::proxy::health::STARTING;
use crate::proxy::server::{self, Sockets, StartError};
use crate::proxy::serving::{AssembleError, Shared};
use crate::telemetry::metrics::Metrics;

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// With the user that was to open the log, where the file names one.
    #[error("{}{source}", user.as_ref().map(|user| format!("as `{user}` (process.user): ")).unwrap_or_default())]
    Assemble { user: Option<User>, source: AssembleError },
}

/// A gateway whose sockets are bound: what is left can't fail for the owner's reasons.
pub struct App {
    source: Source,
    sockets: Sockets,
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    watched: bool,
}

impl App {
    /// Prepares to serve `snapshot`, which was compiled from `source`.
    ///
    /// # Errors
    /// A port that is taken, a certificate that TLS refuses, a user that the process can't become, a log file that can't be
    /// opened.
    pub fn start(source: Source, snapshot: Snapshot) -> Result<App, Error> {
        let sockets = Sockets::bind(&snapshot)?;
        restrict(&snapshot)?;
        let readiness = Arc::new(Readiness::default());
        readiness.block(STARTING);
        let user = snapshot.process.user.clone();
        // The first thread, that of the access log: from here on, no credential of the process may change.
        let shared = Shared::new(Arc::new(snapshot), Arc::new(Metrics::new()))
            .map_err(|source| Error::Assemble { user, source })?;
        Ok(App { source, sockets, shared, readiness, watched: false })
    }

    /// With `watched`, changes of the configuration are served as they come.
    pub fn watched(mut self, watched: bool) -> Self {
        self.watched = watched;
        self
    }

    /// Serves until a signal ends the process.
    pub fn serve(self) -> ! {
        let operator = Arc::new(Operator::new(self.source.clone(), self.shared.clone(), self.readiness.clone()));
        if self.watched {
            watch::start(self.source, operator.clone());
        }
        server::run(self.sockets, self.shared, self.readiness, operator)
    }
}

/// Gives up what is not needed any more, and says what is kept all the same.
fn restrict(snapshot: &Snapshot) -> Result<(), privileges::Error> {
    let user = snapshot.process.user.as_ref();
    privileges::restrict(user)?;
    let Some(user) = user else {
        if privileges::is_root() {
            warn!("running as root: name a user in `process.user`, or start as one that may bind the ports");
        }
        return Ok(());
    };
    if let LogOutput::File(file) = &snapshot.access_log.output {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if !privileges::can_write_to(folder) {
            let folder = folder.display();
            warn!("`{user}` can't write to `{folder}`: whoever rotates the access log must make the new file for it");
        }
    }
    Ok(())
}
