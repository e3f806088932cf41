//! Carries out what operators ask of the running gateway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use log::{error, info, warn};
use serde_json::json;

use super::launch::Origin;
use crate::admin::control::{Command, Control, Outcome};
use crate::config::Source;
use crate::proxy::serving::Shared;
use crate::service_manager::ServiceManager;

/// Answers commands from the state that requests share.
pub struct Operator {
    source: Source,
    shared: Arc<Shared>,
    origin: Origin,
    service_manager: Arc<ServiceManager>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

impl Operator {
    pub fn new(source: Source, shared: Arc<Shared>, origin: Origin, service_manager: Arc<ServiceManager>) -> Self {
        Operator { source, shared, origin, service_manager, reloading: Mutex::new(()) }
    }

    fn reload(&self) -> Outcome {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let _told = self.service_manager.reloading();
        let (snapshot, diagnostics) = self.source.open();
        let said: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        let Some(snapshot) = snapshot else {
            for line in &said {
                error!("reload: {line}");
            }
            return Outcome { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "diagnostics": said }) };
        };
        for line in &said {
            warn!("reload: {line}");
        }
        let generation = self.shared.publish(snapshot);
        self.shared.metrics.config_applied(generation, SystemTime::now());
        info!("reloaded {}: generation {generation}", self.source.path);
        Outcome { status: StatusCode::OK, body: json!({ "generation": generation, "diagnostics": said }) }
    }
}

impl Control for Operator {
    fn handle(&self, command: Command) -> Outcome {
        match command {
            Command::Reload => self.reload(),
            Command::Status => Outcome {
                status: StatusCode::OK,
                body: json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "pid": std::process::id(),
                    "configuration": self.source.path,
                    "generation": self.shared.store.generation(),
                    "in_flight": self.shared.in_flight(),
                    "start": self.origin.to_json(),
                }),
            },
            Command::Upstreams | Command::Endpoint { .. } => {
                Outcome { status: StatusCode::NOT_FOUND, body: json!({ "error": "this command is not built yet" }) }
            }
        }
    }
}
