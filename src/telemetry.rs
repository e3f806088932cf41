//! The access log, metrics, and the program log. Metric names and label sets are declared in one registry.
//!
//! A request is recorded from one [`record::RequestRecord`]: the [`access_log`] writes it on its own thread, and [`metrics`]
//! counts it through handles that were resolved when the configuration was loaded. [`program_log`] is for events of the
//! gateway itself.

pub mod access_log;
pub mod log_throttle;
pub mod metrics;
pub mod program_log;
pub mod record;
pub mod timestamp;
