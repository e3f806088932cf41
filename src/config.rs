//! The configuration: load, compile, publish.
//!
//! [`load`] reads files into [`raw`] (as written) with the place of every value; [`compile`] turns that into a
//! [`snapshot::Snapshot`] or into everything that is wrong with it; [`store`] publishes snapshots, one atomic load per
//! request. [`diff`] tells what differs between two snapshots, [`reading`] what one was read from. This folder does not know sockets or Pingora.

pub mod compile;
pub mod diff;
pub mod doc_path;
pub mod environment;
pub mod load;
pub mod log_template;
pub mod raw;
pub mod reading;
pub mod schema;
pub mod snapshot;
pub mod store;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::diagnostics::Diagnostic;
pub use compile::upstream::endpoints_in_file;
use environment::Environment;
use reading::{Reading, Recording};

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub struct Source {
    /// A file or a folder, as the owner named it.
    pub path: String,
    /// What variables and files are read from.
    pub environment: Arc<dyn Environment + Send + Sync>,
    /// Shared by all clones.
    reading: Arc<ArcSwap<Reading>>,
}

impl Source {
    /// The file or folder at `path`.
    pub fn new(path: impl Into<String>, environment: Arc<dyn Environment + Send + Sync>) -> Self {
        Source { path: path.into(), environment, reading: Arc::default() }
    }

    /// Reads and compiles it as it is now, see [`open`].
    pub fn open(&self) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
        let recording = Recording::new(&*self.environment);
        let (snapshot, diagnostics) = open(&self.path, &recording);
        let reading = recording.finish();
        self.reading.store(Arc::new(if snapshot.is_some() { reading.served() } else { reading }));
        (snapshot, diagnostics)
    }

    /// What the latest attempt to open it was made of, whether it failed or not.
    pub fn reading(&self) -> Arc<Reading> {
        self.reading.load_full()
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
