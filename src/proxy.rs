//! The policy enforcement point: the only folder that knows Pingora.
//!
//! From the top down, each using only what stands below it:
//!
//! * [`server`]: services, listeners, accepting, signals, the drain from begin to end, the admin listener.
//! * [`hooks`]: the one `ProxyHttp`; each hook borrows a view, calls `decision`, and acts.
//! * [`connection`]: the byte stream of a client; even the answers that Pingora writes on its own leave through it.
//! * [`upkeep`]: health probes, discovery, address lists, the watchdog.
//! * [`runtime`]: what all of them share: what is configured, and what changes.
//! * [`upstream`]: the byte stream to an endpoint: peers, PROXY protocol, pooled connections, tunnels.
//!
//! What several of these need stands beside them: [`drain`] (how far the process is in ending: the server leads, connections and hooks
//! look), [`reply`] (answers that the gateway writes itself, from hooks and below them), [`tls`] (acceptors, which the runtime
//! keeps and the server installs), [`request_id`] and [`hpack`] (one encoding each, for hooks and connections alike).

pub mod connection;
pub mod drain;
pub mod fast_lane;
pub mod header_editor;
pub mod hooks;
pub mod hpack;
pub mod reply;
pub mod request_id;
pub mod runtime;
pub mod server;
pub mod tls;
pub mod upkeep;
pub mod upstream;
