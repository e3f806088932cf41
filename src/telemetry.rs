//! What is recorded: the access log, metrics, and the program's own messages. Names and label sets stand in one registry.
//!
//! A request is recorded from one [`record::Record`]: the [`access_log`] writes it on its own thread, and [`metrics`]
//! counts it through handles that were resolved when the configuration was loaded. [`program_log`] is for what happens to
//! the gateway itself, not to a request.

pub mod access_log;
pub mod metrics;
pub mod program_log;
pub mod record;
pub mod seldom;
pub mod timestamp;
