//! The policy enforcement point: the only folder that knows Pingora.
//!
//! [`server`] builds the services and runs them until drained. [`listener`] accepts, [`tls`] shakes hands, and
//! [`connection`] wraps each connection so that even the answers that Pingora gives on its own carry the owner's headers.
//! [`gateway`] is the one `ProxyHttp`: each hook borrows a view, calls `decision`, and acts. One file a phase group:
//! [`request`], [`upstream`] (with [`retry`], [`wire`] and [`tunnel`]), [`response`], [`log`]; [`error`] is the one place where Pingora's errors become causes,
//! and [`guard`] the one where panics do. [`opening`] says when listeners begin to accept, [`pulse`]
//! whether their threads live, and [`drain`] leads all of it to its end.

pub mod accept;
pub mod admin;
mod announce;
pub mod connection;
pub mod context;
mod descriptors;
pub mod discovery;
pub mod drain;
pub mod endpoint;
pub mod error;
pub mod gateway;
pub mod guard;
pub mod health;
mod http2_connect;
pub mod listener;
pub mod lists;
pub mod log;
mod mirror;
pub mod opening;
pub mod peer;
pub mod pulse;
pub mod reply;
pub mod request;
pub mod response;
mod retry;
pub mod rollout;
pub mod server;
pub mod serving;
pub mod signals;
pub mod sticky;
pub mod tls;
pub mod tunnel;
pub mod upstream;
mod wire;
