//! Balancing in words, for `explain` and `diff`.

use std::fmt;

use super::balance::{Balance, HashKey};
use super::retry::{Backoff, On};

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Balance::RoundRobin => f.write_str("round_robin"),
            Balance::Random => f.write_str("random"),
            Balance::LeastRequests => f.write_str("least_requests"),
            Balance::ConsistentHash(key) => write!(f, "consistent_hash on {key}"),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashKey::Header(name) => write!(f, "header {name}"),
            HashKey::Cookie(name) => write!(f, "cookie {name}"),
            HashKey::ClientAddress => f.write_str("client_address"),
            HashKey::Path => f.write_str("path"),
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let On { connect, reset, timeout, statuses } = self;
        let kinds = [("connect", connect), ("reset", reset), ("timeout", timeout)];
        let kinds = kinds.into_iter().filter(|(_, on)| **on).map(|(name, _)| name.to_owned());
        let all: Vec<String> = kinds.chain(statuses.iter().map(ToString::to_string)).collect();
        write!(f, "on {}", if all.is_empty() { "nothing".to_owned() } else { all.join(", ") })
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {:?}", self.first, self.longest)
    }
}
