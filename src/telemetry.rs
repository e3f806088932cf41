//! What is recorded: the access log, metrics, and the program's own messages. Names and label sets stand in one registry.

pub mod access_log;
pub mod metrics;
pub mod record;
