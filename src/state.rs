//! What changes while running and survives a reload, keyed by names: limits, verified tokens, upstream endpoints,
//! address lists.

pub mod addresses;
pub mod connections;
pub mod limits;
pub mod tokens;
pub mod upstreams;
