//! Carries out what operators ask of the running gateway.

mod endpoints;

use std::sync::Arc;

use http::StatusCode;
use log::warn;
use serde_json::{Value, json};

use super::launch::Origin;
use super::lifecycle::Life;
use super::reload::Reloader;
use crate::admin::control::{Command, Control, Outcome};
use crate::config::ConfigSource;
use crate::proxy::drain::DrainReason;

/// Answers commands from the state that requests share.
pub struct Operator {
    reloader: Arc<Reloader>,
    origin: Origin,
    life: Arc<Life>,
}

impl Operator {
    pub fn new(source: ConfigSource, origin: Origin, life: Arc<Life>) -> Self {
        let reloader = Reloader::new(source, life.shared.clone(), life.readiness.clone());
        Operator { reloader, origin, life }
    }

    /// Begins to drain, if that has not begun. The process ends by itself; asking again changes nothing.
    fn drain(&self) -> Outcome {
        self.life.shared.drain.begin(DrainReason::Command);
        Outcome { status: StatusCode::OK, body: json!({ "drain": self.drain_status() }) }
    }

    fn drain_status(&self) -> Value {
        let drain = &self.life.shared.drain;
        match drain.reason() {
            None => Value::Null,
            Some(reason) => json!({
                "reason": reason.to_string(),
                "stage": drain.stage().name(),
                "seconds": drain.elapsed().unwrap_or_default().as_secs_f64(),
                "requests_left": self.life.shared.in_flight(),
                "streams_left": self.life.shared.metrics.streams_open(),
                "connections_left": self.life.shared.state.connections.open(),
                "requests_cut": drain.cut(),
            }),
        }
    }
}

impl Control for Operator {
    fn handle(&self, command: Command) -> Outcome {
        let looks = matches!(command, Command::Status | Command::Upstreams | Command::Drain);
        if !looks && self.life.is_giving() {
            // It would be done to a process that ends, and the one that follows would not know.
            warn!("not done: another process takes over");
            let error = "another process takes over: ask again when it has";
            return Outcome { status: StatusCode::CONFLICT, body: json!({ "error": error }) };
        }
        match command {
            Command::Reload(terms) => {
                let _told = self.life.service_manager.reloading();
                self.reloader.reload(terms)
            }
            Command::RollBack(generation) => self.reloader.roll_back(generation),
            Command::EndRollout { keep } => self.reloader.end_trial(keep),
            Command::Drain => self.drain(),
            Command::Status => Outcome {
                status: StatusCode::OK,
                body: json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "pid": std::process::id(),
                    "ready": self.life.readiness.reasons().is_empty(),
                    "not_ready": self.life.readiness.reasons(),
                    "notes": self.life.readiness.notes(),
                    "in_flight": self.life.shared.in_flight(),
                    "configuration": self.reloader.status(),
                    "drain": self.drain_status(),
                    "start": self.origin.to_json(),
                }),
            },
            Command::Upstreams => endpoints::list(&self.life.shared),
            Command::Endpoint { upstream, endpoint, draining } => {
                endpoints::drain(&self.life.shared, &upstream, &endpoint, draining)
            }
        }
    }
}
