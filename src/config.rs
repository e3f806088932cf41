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

use crate::diagnostics::Diagnostic;

/// Loads and compiles the configuration at `path`: a snapshot if nothing is wrong, and every diagnostic in the order of
/// the files. Warnings may come with a snapshot.
pub fn open(path: &str, environment: &dyn compile::Environment) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
    match load::load(path, environment) {
        Ok(document) => compile::compile(&document, environment),
        Err(diagnostics) => (None, compile::in_order(diagnostics)),
    }
}
