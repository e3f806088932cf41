//! The policy enforcement point: the only folder that knows Pingora.
//!
//! * [`server`]: services, listeners, accepting, signals, the drain from begin to end, the admin listener.
//! * [`connection`]: the byte stream of a client; even the answers that Pingora writes on its own leave through it.
//! * [`hooks`]: the one `ProxyHttp`; each hook borrows a view, calls `decision`, and acts.
//! * [`upstream`]: the byte stream to an endpoint: peers, PROXY protocol, pooled connections, tunnels.
//! * [`upkeep`]: health probes, discovery, address lists, the watchdog.
//!
//! All of them share [`runtime`] (what is configured and what changes), [`drain`] (how far the process is in ending),
//! [`reply`] (answers that the gateway writes itself) and [`tls`].

pub mod connection;
pub mod drain;
pub mod hooks;
pub mod reply;
pub mod runtime;
pub mod server;
pub mod tls;
pub mod upkeep;
pub mod upstream;
