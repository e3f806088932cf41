//! Where requests come in: `listeners`, and the process itself: `process`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Addresses;
use super::key_file::KeyFile;
use super::sandbox::Sandbox;
use super::shape::is_default;
use super::units::{Count, Span};

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
    #[schemars(extend("writeOnly" = true))]
    pub key: KeyFile,
}

/// Settings of the process. A change of `threads`, `user`, `core_dumps`, `fast_lane` or `sandbox` takes effect by
/// `portcullis upgrade`.
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
    /// `portcullis upgrade` as root changes it; to become root again, it must be called with the configuration,
    /// `portcullis upgrade FILE`. Default: the user that starts it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Whether the process may leave a core file and be attached to by a debugger of its own user. Its memory holds private keys
    /// and what clients send: only for the search for a fault. Default `false`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub core_dumps: bool,
    /// Whether plain requests are served by an exchange of the gateway's own with HTTP/1 origins, at less than half the CPU, instead
    /// of Pingora's. Requests that need more (a WebSocket, a mirror, an upstream with HTTP/2) are served by Pingora in any case,
    /// by the same rules. Trailers of HTTP/1 origins pass on the gateway's own exchange alone. Default `on`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fast_lane: LaneSwitch,
    /// Whether the process gives up, once it has started, the right to open what it was not given, by Landlock and seccomp.
    /// `best_effort` (default): as far as the kernel can; the log and `portcullis status` say what is in force. `required`: it does not start
    /// where the kernel lacks one of them. `off`: not at all.
    ///
    /// It is given the folder, with all beneath it, of each file that its configuration was read from and names, and of each link on the way
    /// to it; the folder of the access log; the runtime folder; the files of the resolver; and the certificates of public authorities. Of
    /// a folder such as `/etc`, only the file itself. A reload that names a file in another folder is refused; `portcullis
    /// upgrade` starts a process that is given it. No program is started, no port is bound and no other process is looked into.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: Sandbox,
}

/// Whether the fast lane is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneSwitch {
    /// Requests that it can serve take it.
    #[default]
    On,
    /// Every request is served by Pingora.
    Off,
}
