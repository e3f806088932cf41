//! Where requests come in: `listeners`, `bounds`, `process`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::address::Addresses;
use super::shape::OrOff;
use super::units::{Count, Size, Span, Speed};

/// A socket that accepts requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Used in logs and metrics. Unique; 1 to 100 printable characters.
    pub name: String,
    /// IP address and port: `127.0.0.1:8080`, `0.0.0.0:80`, `[::]:443`.
    pub address: String,
    /// Makes this an HTTPS listener.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// HTTP/2. With `tls` it is offered by ALPN (default true); without, `true` accepts HTTP/2 with prior knowledge (h2c,
    /// default false) beside HTTP/1.1.
    #[serde(default)]
    pub http2: Option<bool>,
    /// Which addresses may connect. The others are disconnected before TLS, without an answer, and counted in
    /// `portcullis_connections_refused_total`. Default: all. Where a PROXY header announces the client, its address is
    /// what counts; where an HTTP proxy stands in front, the proxy's, and clients are told apart by the `addresses` of routes.
    #[serde(default)]
    pub addresses: Option<Addresses>,
    /// Which load balancers announce their clients by the PROXY protocol, version 1 or 2, before TLS or HTTP begins. Default:
    /// none.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Load balancers that announce their clients by the PROXY protocol.
///
/// A connection from one of them must begin with a complete header within `bounds.handshake`, or it is closed and counted.
/// The announced address is the client's from then on: for limits, `trusted_proxies`, rules, logs and `X-Forwarded-For`. A
/// connection that the load balancer opens for itself (`LOCAL`, `UNKNOWN`) keeps its own address, which the listener's
/// `addresses` must let in too.
///
/// Everyone else is served without a header; one that they send is refused like any other malformed request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Addresses or CIDR ranges, at least one.
    pub from: Vec<String>,
}

/// TLS 1.2 and 1.3 with certificates chosen by server name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificates. A client's server name picks the first whose names match, an exact name before a wildcard.
    pub certificates: Vec<Certificate>,
    /// What a client gets that asks for a name which no certificate has, or for none: `first` (default) or `refuse`.
    #[serde(default)]
    pub unknown_name: UnknownName,
}

/// What a client gets that asks for a name which no certificate has, or for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownName {
    /// The first certificate of the list.
    #[default]
    First,
    /// The handshake fails.
    Refuse,
}

/// A certificate chain and its private key, both PEM files. The names come from the certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub cert: String,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: String,
}

/// Bounds on what one client may send, and how slowly. Each has a default; each refusal is counted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Longest request target. Beyond: 414. Default 8KiB.
    #[serde(default)]
    pub uri: Option<Size>,
    /// All header fields together, names and values, in HTTP/1 and HTTP/2. Beyond: 431. Default
    /// 32KiB.
    #[serde(default)]
    pub header_bytes: Option<Size>,
    /// Number of header fields, at most 256, in HTTP/1 and HTTP/2. Beyond: 431. Default 100.
    #[serde(default)]
    pub header_count: Option<Count>,
    /// Request body. Beyond: 413. A route may set its own. Default 10MiB.
    #[serde(default)]
    pub body: Option<Size>,
    /// From a connection's beginning (after the TLS handshake) until the first byte of its first request: on HTTP/2, which
    /// begins with a preface that is due within `header_time`, until its first HEADERS frame. Beyond: the connection is closed.
    /// Default 30s.
    #[serde(default)]
    pub first_request: Option<Span>,
    /// From a request's first byte until its header is complete. Beyond: 408 (HTTP/1), and the connection is closed. Default
    /// 10s.
    #[serde(default)]
    pub header_time: Option<Span>,
    /// Longest silence within a request body. Beyond: 408. An HTTP/2 frame must be complete within it and a quarter more; beyond,
    /// the connection is closed. A route may set its own. Default 30s.
    #[serde(default)]
    pub body_idle: Option<Span>,
    /// Slowest request body. A client that sends less, over the time that the gateway waits for it, is refused (408) when it has
    /// fallen `body_idle` behind. A route may set its own. `{off: reason}` switches it off. Default `500B/s`.
    #[serde(default)]
    pub body_rate: Option<OrOff<Speed>>,
    /// Longest silence of a client that does not take its answer. Beyond: the connection is closed. Default 30s.
    #[serde(default)]
    pub write_idle: Option<Span>,
    /// Slowest answer. A client that takes less, over the time that the gateway waits for it, is cut off when it has fallen
    /// `write_idle` behind. An HTTP/2 stream must take each 16KiB within `write_idle`. `{off: reason}` switches it off. Default `500B/s`.
    #[serde(default)]
    pub answer_rate: Option<OrOff<Speed>>,
    /// Between two requests on one connection. Beyond: the connection is closed. Default 60s.
    #[serde(default)]
    pub keepalive: Option<Span>,
    /// Silence of a tunnel (WebSocket), counted over both directions together. Beyond: the tunnel is closed. Default 1h.
    #[serde(default)]
    pub tunnel_idle: Option<Span>,
    /// PROXY header and TLS handshake together. Beyond: the connection is closed. Default 10s.
    #[serde(default)]
    pub handshake: Option<Span>,
    /// Open connections of all listeners together, 1 to 10,000,000. Beyond: a new connection is closed at once, before TLS.
    /// The process needs about two file descriptors for each. Default 10,000, which take some 300 MiB while they are idle.
    #[serde(default)]
    pub connections: Option<Count>,
    /// Open connections of one IPv4 address, or of one IPv6 /64 network, on all listeners together. Beyond: a new connection
    /// is closed at once, before TLS. Where a PROXY header announces the client, it is the client's address that counts.
    /// Addresses in `trusted_proxies`, and load balancers listed under `proxy_protocol`, are exempt, since they bring
    /// many clients. Default 1,000: room for an office behind one address, and a tenth of all `connections`.
    #[serde(default)]
    pub connections_per_address: Option<Count>,
    /// Requests on one connection. The answer to the last says that the connection ends, and the client opens another one.
    /// Default 10,000.
    #[serde(default)]
    pub requests_per_connection: Option<Count>,
    /// Requests at once on an HTTP/2 connection. Beyond: the stream is refused, and the client may try again. An answer that its
    /// client does not take holds some 600KiB until `write_idle` ends it. Default 100.
    #[serde(default)]
    pub http2_streams: Option<Count>,
    /// Resets at once on an HTTP/2 connection, those that a client's mistakes call for included. Forgiven within ten seconds.
    /// Beyond (rapid reset): the connection is closed. Default 200.
    #[serde(default)]
    pub http2_resets: Option<Count>,
    /// HTTP/2 frames at once that move nothing: PING, SETTINGS, PRIORITY, empty DATA and the like, beyond those that requests
    /// and answers call for. Forgiven within ten seconds. Beyond: the connection is closed. Default 1,000.
    #[serde(default)]
    pub http2_control_frames: Option<Count>,
}

/// The process itself. Changes of `threads` and `user` need `portcullis upgrade`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Worker threads of a listener. Default: one a core.
    #[serde(default)]
    pub threads: Option<Count>,
    /// After SIGTERM, SIGINT or SIGQUIT: how long requests in flight may take to finish, counted from when the listeners close.
    /// The process ends as soon as the last is done. What is not done by then is cut and logged as `shut_down`, and the exit
    /// code is 75 instead of 0; a second signal does that at once. Default 30s.
    #[serde(default)]
    pub drain: Option<Span>,
    /// How long before that `/readyz` fails while new connections are still accepted, so that load balancers have time to see
    /// it: the interval of their probe, times how often it must fail, and in Kubernetes a few seconds for the endpoint to be
    /// taken off everywhere. Meanwhile each connection is told at some moment that it is the last one (`Connection: close`,
    /// GOAWAY). Whoever ends the process must wait for this, `drain` and two seconds. Default 0s.
    #[serde(default)]
    pub drain_notice: Option<Span>,
    /// When the listeners have closed: how long an idle HTTP/1 connection may still bring a request, which is answered with
    /// `Connection: close`. Then it is closed. Default 500ms.
    #[serde(default)]
    pub drain_idle: Option<Span>,
    /// When the listeners have closed: how long tunnels (WebSocket) and answers without an end (`text/event-stream`,
    /// `multipart/x-mixed-replace`, gRPC) may go on. Then they are ended in order and logged as `stream_ended`. At most
    /// `drain`, which is the default.
    #[serde(default)]
    pub drain_streams: Option<Span>,
    /// How many configurations before the one in force `portcullis rollback` can put back, at most 100. Default 5.
    #[serde(default)]
    pub history: Option<Count>,
    /// Whom the process becomes once its ports are bound and its certificates and keys are read, before it accepts anything:
    /// `portcullis` or `portcullis:web`, names or numbers. It keeps no other group, and can't become root again. Needs a
    /// start as root, unless it is that user already. A log file is opened by this user, who must be able to write to it,
    /// and to its folder if a rotated log is to be made anew on SIGUSR1. Default: whoever starts it.
    #[serde(default)]
    pub user: Option<String>,
}
