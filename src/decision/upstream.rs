//! Upstream: which endpoint takes a request.

use http::HeaderName;

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// Smooth: an endpoint's turns are spread evenly over the round.
    RoundRobin,
    Random,
    /// The less busy of two random choices, relative to their weights.
    LeastRequests,
    /// Ketama.
    ConsistentHash(HashKey),
}

/// What the hash is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum HashKey {
    Header(HeaderName),
    Cookie(String),
    ClientAddress,
    Path,
}
