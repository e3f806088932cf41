//! The state of one source of endpoints, for metrics.

use std::sync::Arc;
use std::time::SystemTime;

/// The state of one source of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// `addresses`, `services` or `file`.
    pub kind: &'static str,
    /// The DNS name or the file.
    pub name: Arc<str>,
    /// Addresses, records or endpoints in use.
    pub entries: usize,
    /// Whether the last lookup or reading failed.
    pub stale: bool,
    /// The time of the last success.
    pub success: Option<SystemTime>,
}
