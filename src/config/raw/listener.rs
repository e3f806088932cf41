//! Where requests come in: `listeners`, `bounds`, `process`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Addresses;
use super::shape::{OrOff, is_default};
use super::units::{Count, Size, Span, Speed};

/// A socket that accepts requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The name of the listener in logs and metrics. Unique; 1 to 100 printable characters.
    pub name: String,
    /// IP address and port: `127.0.0.1:8080`, `0.0.0.0:80`, `[::]:443`.
    pub address: String,
    /// TLS settings; with them the listener serves HTTPS. Default: no TLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is served beside HTTP/1.1. With `tls` it is negotiated by ALPN (default true); without `tls` it
    /// is accepted with prior knowledge (h2c, default false).
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2: Option<bool>,
    /// Which addresses may connect. A connection from another address is closed before the TLS handshake, without a
    /// response, and counted in `portcullis_connections_refused_total`. Default: all. With `proxy_protocol`, the
    /// address in the PROXY header is checked. Behind an HTTP proxy, the proxy's address is checked; use the
    /// `addresses` of routes for client addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub addresses: Option<Addresses>,
    /// Load balancers that send a PROXY protocol header, version 1 or 2, before TLS or HTTP. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Load balancers that send the client's address by the PROXY protocol.
///
/// A connection from one of them must begin with a complete header within `bounds.handshake`; otherwise it is closed
/// and counted. The address in the header is the client's address for limits, `trusted_proxies`, rules, logs and
/// `X-Forwarded-For`. A connection that the load balancer opens on its own behalf (`LOCAL`, `UNKNOWN`) keeps its own
/// address, which the listener's `addresses` must accept too.
///
/// Other peers are served without a header. A PROXY header from one of them is refused as a malformed request.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Addresses or CIDR ranges of the load balancers. At least one.
    pub from: Vec<String>,
}

/// TLS 1.2 and 1.3 with certificates chosen by server name.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificates. The first whose names match the client's server name (SNI) is used; an exact name takes
    /// precedence over a wildcard. At least one.
    pub certificates: Vec<Certificate>,
    /// What happens if no certificate matches the server name, or the client sends none: `first` (default) or `refuse`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unknown_name: UnknownName,
}

/// What happens if no certificate matches the client's server name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownName {
    /// The first certificate of the list is used.
    #[default]
    First,
    /// The handshake fails.
    Refuse,
}

/// A certificate chain and its private key, both PEM files. The server names are those of the certificate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, beginning with the server's certificate.
    pub cert: String,
    /// The private key, as PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

/// Bounds on what one client may send, and how slowly. Each has a default; each refusal is counted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Longest request target. Beyond: 414. Default 8KiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub uri: Option<Size>,
    /// All header fields together, names and values, in HTTP/1 and HTTP/2. Beyond: 431. Default
    /// 32KiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header_bytes: Option<Size>,
    /// Number of header fields, at most 256, in HTTP/1 and HTTP/2. Beyond: 431. Default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header_count: Option<Count>,
    /// Request body. Beyond: 413. A route may set its own. Default 10MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<Size>,
    /// From a connection's beginning (after the TLS handshake) until the first byte of its first request: on HTTP/2, which
    /// begins with a preface that is due within `header_time`, until its first HEADERS frame. Beyond: the connection is closed.
    /// Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_request: Option<Span>,
    /// From a request's first byte until its header is complete. Beyond: 408 (HTTP/1), and the connection is closed. Default
    /// 10s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header_time: Option<Span>,
    /// Longest silence within a request body. Beyond: 408. An HTTP/2 frame must be complete within it and a quarter more; beyond,
    /// the connection is closed. A route may set its own. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body_idle: Option<Span>,
    /// Slowest request body. A client that sends less, over the time that the gateway waits for it, is refused (408) when it has
    /// fallen `body_idle` behind. A route may set its own. `{off: reason}` switches it off. Default `500B/s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body_rate: Option<OrOff<Speed>>,
    /// Longest silence of a client that does not take its answer. Beyond: the connection is closed. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub write_idle: Option<Span>,
    /// Slowest answer. A client that takes less, over the time that the gateway waits for it, is cut off when it has fallen
    /// `write_idle` behind. An HTTP/2 stream must take each 16KiB within `write_idle`. `{off: reason}` switches it off. Default `500B/s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub answer_rate: Option<OrOff<Speed>>,
    /// Between two requests on one connection. Beyond: the connection is closed. Default 60s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keepalive: Option<Span>,
    /// Silence of a tunnel (WebSocket), counted over both directions together. Beyond: the tunnel is closed. Default 1h.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tunnel_idle: Option<Span>,
    /// PROXY header and TLS handshake together. Beyond: the connection is closed. Default 10s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub handshake: Option<Span>,
    /// Open connections of all listeners together, 1 to 10,000,000. Beyond: a new connection is closed at once, before TLS.
    /// The process needs about two file descriptors for each. Default 10,000, which take some 300 MiB while they are idle.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections: Option<Count>,
    /// Open connections of one IPv4 address, or of one IPv6 /64 network, on all listeners together. Beyond: a new connection
    /// is closed at once, before TLS. Where a PROXY header announces the client, it is the client's address that counts.
    /// Addresses in `trusted_proxies`, and load balancers listed under `proxy_protocol`, are exempt, since they bring
    /// many clients. Default 1,000: room for an office behind one address, and a tenth of all `connections`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connections_per_address: Option<Count>,
    /// Requests on one connection. The answer to the last says that the connection ends, and the client opens another one.
    /// Default 10,000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests_per_connection: Option<Count>,
    /// Requests at once on an HTTP/2 connection. Beyond: the stream is refused, and the client may try again. An answer that its
    /// client does not take holds some 600KiB until `write_idle` ends it. Default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2_streams: Option<Count>,
    /// Resets at once on an HTTP/2 connection, those that a client's mistakes call for included. Forgiven within ten seconds.
    /// Beyond (rapid reset): the connection is closed. Default 200.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2_resets: Option<Count>,
    /// HTTP/2 frames at once that move nothing: PING, SETTINGS, PRIORITY, empty DATA and the like, beyond those that requests
    /// and answers call for. Forgiven within ten seconds. Beyond: the connection is closed. Default 1,000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2_control_frames: Option<Count>,
}

/// Settings of the process. A change of `threads` or `user` takes effect by `portcullis upgrade`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Worker threads of each listener. 1 to 1024; default: one for each CPU core.
    #[serde(default, skip_serializing_if = "is_default")]
    pub threads: Option<Count>,
    /// After SIGTERM, SIGINT or SIGQUIT: the time for requests in progress to complete, counted from when the listeners
    /// close. The process ends as soon as the last request has ended. Requests that have not ended by then are aborted
    /// and logged as `shut_down`, and the exit code is 75 instead of 0; a second signal does that at once. Default
    /// `30s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drain: Option<Span>,
    /// Time before `drain` begins, in which `/readyz` fails while new connections are still accepted, so that load
    /// balancers stop sending requests. It should be the interval of their probe times the failures that they require;
    /// in Kubernetes, add a few seconds for the removal of the endpoint. In this time each connection is asked to close
    /// (`Connection: close`, GOAWAY). A supervisor must wait for this time, `drain` and two seconds. Default `0s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drain_notice: Option<Span>,
    /// After the listeners have closed: the time in which an idle HTTP/1 connection may still send a request, which is
    /// answered with `Connection: close`. Then the connection is closed. Default `500ms`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drain_idle: Option<Span>,
    /// After the listeners have closed: the time for tunnels (WebSocket) and unbounded responses (`text/event-stream`,
    /// `multipart/x-mixed-replace`, gRPC) to end. Then they are ended in order and logged as `stream_ended`. At most
    /// `drain`, which is the default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drain_streams: Option<Span>,
    /// Number of earlier configurations that `portcullis rollback` can restore. 0 to 100; default 5.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history: Option<Count>,
    /// The user that the process changes to after it has bound its ports and read its certificates and keys, before it
    /// accepts connections: `portcullis` or `portcullis:web` (user and group), as names or numbers. The process drops
    /// all other groups and cannot become root again. It must be started as root or as that user. The log file is
    /// opened by this user, who needs write access to it, and to its folder if SIGUSR1 is to create a rotated log anew.
    /// Default: the user that starts it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
}
