//! Carries out what operators ask of the running gateway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use log::{error, info, warn};
use serde_json::json;

use crate::admin::control::{Command, Control, Outcome};
use crate::config::Source;
use crate::proxy::discovery::FIRST_ANSWERS;
use crate::proxy::serving::Shared;

/// Answers commands from the state that requests share.
pub struct Operator {
    source: Source,
    shared: Arc<Shared>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

impl Operator {
    pub fn new(source: Source, shared: Arc<Shared>) -> Self {
        Operator { source, shared, reloading: Mutex::new(()) }
    }

    fn reload(&self) -> Outcome {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
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
        // New names are looked up before requests need them.
        self.shared.state.discovery.prepare(&snapshot.upstreams, FIRST_ANSWERS);
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
                }),
            },
            Command::Upstreams | Command::Endpoint { .. } => {
                Outcome { status: StatusCode::NOT_FOUND, body: json!({ "error": "this command is not built yet" }) }
            }
        }
    }
}
