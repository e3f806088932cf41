//! State that changes while the gateway runs and survives a reload, keyed by names: limits, connections, verified tokens,
//! upstream endpoints, address lists, discovered endpoints, and the request counts of a roll-out.

pub mod address_lists;
pub mod connections;
pub mod discovery;
pub mod limits;
pub mod rollout;
pub mod token_cache;
pub mod upstreams;

mod file_watch;
