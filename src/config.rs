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
