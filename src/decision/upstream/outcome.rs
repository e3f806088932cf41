//! How a try ended, as far as the endpoint is to blame or to praise for it.

/// The end of one try. What the client broke off, or asked for in a way that nobody could answer, has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryResult {
    /// The header of an answer arrived, with this status.
    Answered(u16),
    /// No connection could be made: nothing was sent.
    ConnectFailed,
    /// The connection broke, or what came was not HTTP.
    Broken,
    /// The endpoint was silent for too long.
    TimedOut,
}
