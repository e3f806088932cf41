//! What changes while running and survives a reload, keyed by names: limits, verified tokens, upstream endpoints,
//! address lists, what is known of endpoints that are found; and what two configurations did side by side.

pub mod addresses;
pub mod connections;
pub mod discovery;
pub mod limits;
pub mod rollout;
pub mod tokens;
pub mod upstreams;

mod watch;
