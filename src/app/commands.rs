//! Carries out the commands of operators.

mod endpoints;

use std::sync::Arc;

use log::warn;

use super::process::GatewayProcess;
use super::reload::Reloader;
use crate::admin::api::{
    AdminError, CommandAnswer, DrainResult, DrainStatus, ErrorCode, GatewayStatus, SandboxStatus, StartInfo,
};
use crate::admin::command::{AdminCommand, CommandHandler};
use crate::config::ConfigSource;
use crate::proxy::drain::DrainReason;

/// Carries commands out on the state that requests share.
pub struct CommandExecutor {
    reloader: Arc<Reloader>,
    start: StartInfo,
    sandbox: SandboxStatus,
    process: Arc<GatewayProcess>,
}

impl CommandExecutor {
    pub fn new(source: ConfigSource, start: StartInfo, sandbox: SandboxStatus, process: Arc<GatewayProcess>) -> Self {
        let reloader = Reloader::new(source, process.shared.clone(), process.readiness.clone());
        CommandExecutor { reloader, start, sandbox, process }
    }

    fn status(&self) -> GatewayStatus {
        let not_ready = self.process.readiness.reasons();
        GatewayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            ready: not_ready.is_empty(),
            not_ready,
            notes: self.process.readiness.notes(),
            in_flight: self.process.shared.in_flight() as u64,
            configuration: self.reloader.status(),
            drain: self.drain_status(),
            start: self.start.clone(),
            sandbox: Some(self.sandbox.clone()),
        }
    }

    /// Begins to drain, if that has not begun. The process ends by itself; a second command changes nothing.
    fn drain(&self) -> DrainResult {
        self.process.shared.drain.begin(DrainReason::Command);
        DrainResult { drain: self.drain_status() }
    }

    fn drain_status(&self) -> Option<DrainStatus> {
        let shared = &self.process.shared;
        let reason = shared.drain.reason()?;
        Some(DrainStatus {
            reason: reason.to_string(),
            stage: shared.drain.stage().name().to_owned(),
            seconds: shared.drain.elapsed().unwrap_or_default().as_secs_f64(),
            requests_left: shared.in_flight() as u64,
            streams_left: u64::try_from(shared.metrics.streams_open()).unwrap_or_default(),
            connections_left: shared.state.connections.open().into(),
            requests_cut: shared.drain.cut(),
        })
    }
}

impl CommandHandler for CommandExecutor {
    fn handle(&self, command: AdminCommand) -> Result<CommandAnswer, AdminError> {
        let allowed_in_handover =
            matches!(command, AdminCommand::Status | AdminCommand::Upstreams | AdminCommand::Drain);
        let order = if allowed_in_handover { Ok(None) } else { self.process.order() };
        let Ok(_order) = order else {
            // It would change a process that ends, and the one that takes over would not know of it.
            warn!("command refused: another process takes over");
            let error = "another process takes over: repeat the command when it has";
            return Err(AdminError::new(ErrorCode::HandoverRunning, error));
        };
        let shared = &self.process.shared;
        match command {
            AdminCommand::Status => Ok(CommandAnswer::Status(Box::new(self.status()))),
            AdminCommand::Upstreams => Ok(CommandAnswer::Upstreams(endpoints::list(shared))),
            AdminCommand::Reload(terms) => {
                let _notice = self.process.service_manager.reloading();
                self.reloader.reload(terms).map(CommandAnswer::Reload)
            }
            AdminCommand::RollBack(generation) => self.reloader.roll_back(generation).map(CommandAnswer::Rollback),
            AdminCommand::EndRollout { keep } => self.reloader.end_rollout(keep).map(CommandAnswer::Rollout),
            AdminCommand::Drain => Ok(CommandAnswer::Drain(self.drain())),
            AdminCommand::Endpoint { upstream, endpoint, draining } => {
                endpoints::drain(shared, &upstream, &endpoint, draining).map(CommandAnswer::Endpoint)
            }
        }
    }
}
