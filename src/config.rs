//! The configuration: load, compile, publish.
//!
//! [`load`] reads files into [`raw`] (as written) with the place of every value; [`compile`] turns that into a
//! [`snapshot::Snapshot`] or into everything that is wrong with it; [`store`] publishes snapshots, one atomic load per
//! request. [`diff`] tells what differs between two snapshots, [`inputs`] what one was read from. This folder does not know sockets or Pingora.

pub mod compile;
pub mod diff;
pub mod doc_path;
pub mod environment;
pub mod inputs;
pub mod load;
pub mod log_template;
pub mod raw;
pub mod reference;
pub mod schema;
mod shown;
pub mod snapshot;
pub mod store;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::diagnostics::Diagnostic;
pub use compile::upstream::endpoints_in_file;
use environment::Environment;
use inputs::{ConfigInputs, RecordingEnvironment};

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub struct ConfigSource {
    /// A file or a folder, as the owner named it.
    pub path: String,
    /// What variables and files are read from.
    pub environment: Arc<dyn Environment + Send + Sync>,
    /// Shared by all clones.
    inputs: Arc<ArcSwap<ConfigInputs>>,
}

impl ConfigSource {
    /// The file or folder at `path`.
    pub fn new(path: impl Into<String>, environment: Arc<dyn Environment + Send + Sync>) -> Self {
        ConfigSource { path: path.into(), environment, inputs: Arc::default() }
    }

    /// Reads and compiles it as it is now, see [`open`].
    pub fn open(&self) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
        let recording = RecordingEnvironment::new(&*self.environment);
        let (snapshot, diagnostics) = open(&self.path, &recording);
        let inputs = recording.finish();
        self.inputs.store(Arc::new(if snapshot.is_some() { inputs.served() } else { inputs }));
        (snapshot, diagnostics)
    }

    /// What the latest attempt to open it was made of, whether it failed or not.
    pub fn inputs(&self) -> Arc<ConfigInputs> {
        self.inputs.load_full()
    }
}

/// Loads and compiles the configuration at `path`: a snapshot if nothing is wrong, and every diagnostic in the order of
/// the files. Warnings may come with a snapshot.
pub fn open(path: &str, environment: &dyn Environment) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
    match load::load(path, environment) {
        Ok(document) => compile::compile(&document, environment),
        Err(diagnostics) => (None, compile::in_order(diagnostics)),
    }
}
