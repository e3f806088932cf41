//! The configuration: load, compile, publish.
//!
//! [`load`] reads files into [`raw`] (as written) with the place of every value; [`compile`] turns that into a
//! [`snapshot::Snapshot`] or into everything that is wrong with it; [`store`] publishes snapshots, one atomic load per
//! request. This folder does not know sockets or Pingora.

pub mod compile;
pub mod load;
pub mod raw;
pub mod schema;
pub mod snapshot;
pub mod store;

use std::sync::Arc;

use crate::diagnostics::Diagnostic;

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub struct Source {
    /// A file or a folder, as the owner named it.
    pub path: String,
    /// What variables and files are read from.
    pub environment: Arc<dyn compile::Environment + Send + Sync>,
}

impl Source {
    /// Reads and compiles it as it is now, see [`open`].
    pub fn open(&self) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
        open(&self.path, &*self.environment)
    }
}

/// Loads and compiles the configuration at `path`: a snapshot if nothing is wrong, and every diagnostic in the order of
/// the files. Warnings may come with a snapshot.
pub fn open(path: &str, environment: &dyn compile::Environment) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
    match load::load(path, environment) {
        Ok(document) => compile::compile(&document, environment),
        Err(diagnostics) => (None, compile::in_order(diagnostics)),
    }
}
