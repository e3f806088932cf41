//! Carries out what operators ask of the running gateway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use log::{error, info, warn};
use serde_json::{Value, json};

use crate::admin::control::{Command, Control, Outcome};
use crate::config::Source;
use crate::proxy::drain::Reason;
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
        let generation = self.shared.publish(snapshot);
        self.shared.metrics.config_applied(generation, SystemTime::now());
        info!("reloaded {}: generation {generation}", self.source.path);
        Outcome { status: StatusCode::OK, body: json!({ "generation": generation, "diagnostics": said }) }
    }

    /// Begins to drain, if that has not begun. The process ends by itself; asking again changes nothing.
    fn drain(&self) -> Outcome {
        self.shared.drain.begin(Reason::Command);
        Outcome { status: StatusCode::OK, body: json!({ "drain": self.drain_status() }) }
    }

    fn drain_status(&self) -> Value {
        let drain = &self.shared.drain;
        match drain.reason() {
            None => Value::Null,
            Some(reason) => json!({
                "reason": reason.to_string(),
                "stage": drain.stage().name(),
                "seconds": drain.elapsed().unwrap_or_default().as_secs_f64(),
                "requests_left": self.shared.in_flight(),
                "streams_left": self.shared.metrics.streams_open(),
                "connections_left": self.shared.state.connections.open(),
                "requests_cut": drain.cut(),
            }),
        }
    }
}

impl Control for Operator {
    fn handle(&self, command: Command) -> Outcome {
        match command {
            Command::Reload => self.reload(),
            Command::Drain => self.drain(),
            Command::Status => Outcome {
                status: StatusCode::OK,
                body: json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "pid": std::process::id(),
                    "configuration": self.source.path,
                    "generation": self.shared.store.generation(),
                    "in_flight": self.shared.in_flight(),
                    "drain": self.drain_status(),
                }),
            },
            Command::Upstreams | Command::Endpoint { .. } => {
                Outcome { status: StatusCode::NOT_FOUND, body: json!({ "error": "this command is not built yet" }) }
            }
        }
    }
}
