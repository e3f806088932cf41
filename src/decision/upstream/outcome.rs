//! How one try at an endpoint ended.

/// How one try at an endpoint ended, for whoever judges the endpoint by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryResult {
    /// It answered with this status.
    Answered(u16),
    /// No connection could be made, TLS included.
    ConnectFailed,
    /// The connection broke, or spoke nonsense, before there was an answer.
    Broken,
    /// It did not answer in time.
    TimedOut,
}
