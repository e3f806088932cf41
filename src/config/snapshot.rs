//! What one request reads: a configuration, compiled and complete.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use crate::config::log_template::LogTemplate;
use crate::decision::access::address;
use crate::decision::bounds::Bounds;
use crate::decision::ids::UpstreamId;
use crate::decision::policy::Policy;
use crate::decision::proxy_protocol;
use crate::decision::upstream::{Balance, ejection, retry, sticky};
use crate::secret::Secret;

/// A configuration, compiled. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    /// What decisions read.
    pub rules: Policy,
    /// In the order of the file; never empty.
    pub listeners: Vec<ListenerConfig>,
    /// What clients may send, and how slowly.
    pub bounds: Bounds,
    /// By [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
    /// How names are looked up.
    pub dns: Dns,
    /// How requests are logged.
    pub access_log: AccessLogConfig,
    /// Metrics and health.
    pub admin: Option<AdminConfig>,
    /// Threads, draining and the user.
    pub process: ProcessConfig,
}

impl Snapshot {
    /// The listener called `name`.
    pub fn listener(&self, name: &str) -> Option<&ListenerConfig> {
        self.listeners.iter().find(|listener| &*listener.name == name)
    }

    /// The upstream that a rule of this snapshot names. An id of another snapshot may name another one, or panic.
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }
}

/// A socket that accepts requests.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Unique; for logs and metrics.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// `None` for plain HTTP.
    pub tls: Option<ListenerTls>,
    /// By ALPN with TLS, by prior knowledge without.
    pub http2: bool,
    /// Load balancers whose connections must begin with a PROXY header.
    pub proxy_protocol: Vec<IpNet>,
    /// Which addresses may connect. `None`: all. Never report only.
    pub addresses: Option<address::AddressRules>,
}

/// The TLS of a listener: 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Never empty; in the order of the file.
    pub certificates: Vec<Certificate>,
    /// Whether a client that asks for an unknown name gets the first certificate.
    pub first_for_unknown: bool,
}

/// A certificate with the names that it is good for.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// DNS names of the subject alternative names, lower case; `*.example.com` for wildcards.
    pub names: Vec<String>,
    /// The chain and its key, which fit each other.
    pub certified: Arc<CertifiedKey>,
}

/// A named group of endpoints that serve the same thing.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique; for logs and metrics.
    pub name: Arc<str>,
    /// Written in the file. At least one of these, of `services` or of `files`.
    pub endpoints: Vec<EndpointConfig>,
    /// Names of SRV records, lower case.
    pub services: Vec<Arc<str>>,
    /// Files that list further endpoints.
    pub files: Vec<EndpointFile>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// `None`: every endpoint counts as healthy.
    pub health: Option<Health>,
    /// With every endpoint unhealthy: refuse (503) instead of using all.
    pub refuse_when_unhealthy: bool,
    /// When an endpoint that fails requests is left out. `None`: never.
    pub ejection: Option<ejection::EjectionPolicy>,
    /// How long an endpoint that joins takes to get its whole share. `None`: no time.
    pub slow_start: Option<Duration>,
    /// Bounds on requests at a time.
    pub circuit_breaker: CircuitBreaker,
    /// The zone of the gateway. `None`: zones do not matter.
    pub zone: Option<String>,
    /// How clients come back to their endpoint, if they do.
    pub sticky: Option<StickyConfig>,
    /// Bounds on waiting for an endpoint.
    pub timeouts: Timeouts,
    /// When a request is sent once more.
    pub retries: retry::RetryPolicy,
    /// How many retries all requests together may have.
    pub retry_budget: RetryBudget,
    /// `None` for plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// Speak HTTP/2: by ALPN with TLS, with prior knowledge without.
    pub http2: bool,
    /// Most requests at a time on one HTTP/2 connection, at least 1.
    pub http2_streams: u32,
    /// How connections to the endpoints announce the client, if they do.
    pub proxy_protocol: Option<proxy_protocol::Version>,
}

/// One address of an upstream, as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointConfig {
    /// An IP address (IPv6 without brackets) or a DNS name, lower case.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// 1 to 1000.
    pub weight: u32,
    /// Those with the lowest come first.
    pub priority: u32,
    /// Where it runs, if that is known.
    pub zone: Option<String>,
}

/// Bounds on requests at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CircuitBreaker {
    /// To all endpoints together, at least 1. `None`: no bound.
    pub requests: Option<usize>,
    /// To one endpoint, at least 1. `None`: no bound.
    pub requests_per_endpoint: Option<usize>,
}

/// How clients come back to their endpoint.
#[derive(Clone, Debug)]
pub struct StickyConfig {
    /// The cookie.
    pub cookie: sticky::Sticky,
    /// What it is signed with. `None`: the process's own key.
    pub key: Option<Arc<Secret<Vec<u8>>>>,
}

/// Its address, as a file names it.
impl std::fmt::Display for EndpointConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A file that lists endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointFile {
    /// As the configuration names it.
    pub file: Arc<str>,
    /// What it held when the configuration was compiled; never empty.
    pub loaded: Arc<[EndpointConfig]>,
}

/// How names are looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// Empty: those of `/etc/resolv.conf`, with its search list.
    pub servers: Vec<SocketAddr>,
    /// For one question.
    pub timeout: Duration,
    /// At least 1.
    pub attempts: u32,
    /// Shortest use of an answer.
    pub shortest: Duration,
    /// Longest use of an answer, at least `shortest`.
    pub longest: Duration,
    /// Longest wait for first answers before listeners accept, or a new configuration is served.
    pub startup: Duration,
    /// Which addresses are used.
    pub family: Family,
    /// Most addresses of a name, or records of an SRV name; at least 1.
    pub addresses: usize,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Both,
    Ipv4,
    Ipv6,
}

/// Bounds on waiting for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// For opening a connection, TLS included.
    pub connect: Duration,
    /// Between two reads of the answer, its first byte included.
    pub response: Duration,
    /// Between two writes of the request.
    pub send: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// How long an unused connection may carry a request that can't be repeated; zero for never.
    pub idle_unsafe: Duration,
    /// From the first try to the answer's header.
    pub request: Option<Duration>,
}

/// How many retries the requests to an upstream may have: a share of the requests, or the floor where that is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries in millionths of the requests, at most all of them.
    pub share: u32,
    /// Retries that are always allowed, each `floor_per`.
    pub floor: u64,
    /// Never zero.
    pub floor_per: Duration,
}

impl RetryBudget {
    /// The retries that are always allowed in `window`.
    pub fn floor_each(&self, window: Duration) -> u64 {
        let retries = u128::from(self.floor) * window.as_nanos() / self.floor_per.as_nanos().max(1);
        retries.try_into().unwrap_or(u64::MAX)
    }
}

/// Probes that find out which endpoints work.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked of an endpoint.
    pub probe: Probe,
    /// Between two probes of an endpoint.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// Successes in a row, at least 1.
    pub healthy_after: u32,
    /// Failures in a row, at least 1.
    pub unhealthy_after: u32,
}

/// What an endpoint must do to pass a probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// Accept a connection.
    Tcp,
    /// Answer a GET.
    Http {
        /// The path to ask for.
        path: String,
        /// The `Host` to ask for. `None`: the first endpoint's `host:port`.
        host: Option<String>,
        /// The statuses that pass.
        expected: Vec<u16>,
    },
}

/// TLS to the endpoints, whose certificates are always verified.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Never empty: an empty name would switch verification off.
    pub sni: String,
    /// Instead of the system's authorities.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// For endpoints that ask for one.
    pub client_certificate: Option<ClientCertificate>,
}

/// A chain and its key in DER, as Pingora takes them.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The client's own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// The key of the first certificate.
    pub key: Arc<Secret<Vec<u8>>>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// How requests are logged.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLogConfig {
    /// How a request becomes a line.
    pub format: LogFormat,
    /// Where the lines go.
    pub output: LogOutput,
    /// Most lines that may wait to be written, at least 1.
    pub queue: usize,
}

/// How a request becomes a line.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// The `combined` format of NCSA and Apache.
    Combined,
    /// The owner's own.
    Template(LogTemplate),
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// On loopback, unless there is a token.
    pub address: SocketAddr,
    /// What everything but health asks for.
    pub token: Option<Arc<Secret<Vec<u8>>>>,
    /// Most connections at a time, at least 1.
    pub connections: usize,
    /// For one request and its answer.
    pub time: Duration,
}

/// Where the lines of the access log go.
#[derive(Clone, Debug, PartialEq)]
pub enum LogOutput {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// The end of this file, which is reopened on SIGUSR1.
    File(PathBuf),
}

/// The process itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessConfig {
    /// Worker threads of a listener.
    pub threads: usize,
    /// How long requests in flight may take to finish once the listeners are closed.
    pub drain: Duration,
    /// How long before that the gateway is not ready any more.
    pub drain_notice: Duration,
    /// How long an idle HTTP/1 connection may still bring a request once the listeners are closed.
    pub drain_idle: Duration,
    /// How long tunnels and answers without an end may go on once the listeners are closed. At most `drain`.
    pub drain_streams: Duration,
    /// How many configurations before the one in force can be put back.
    pub history: u32,
    /// Whom the process becomes once its sockets are bound.
    pub user: Option<User>,
    /// Whether it may leave a core file and be debugged by its own user.
    pub core_dumps: bool,
    /// Whether plain HTTP/1 requests are served by the gateway's own exchange.
    pub fast_lane: bool,
    /// What the process may open after its start.
    pub sandbox: SandboxConfig,
}

/// What the process may open after its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxConfig {
    pub mode: SandboxMode,
    /// What it may read besides what the configuration names.
    pub readable: Vec<PathBuf>,
}

/// Whether the process gives up the right to open what it was not given. From the weakest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxMode {
    /// It does not.
    Off,
    /// As far as the kernel can.
    #[default]
    BestEffort,
    /// It does not start otherwise.
    Required,
}

impl std::fmt::Display for SandboxMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SandboxMode::Off => "off",
            SandboxMode::BestEffort => "best_effort",
            SandboxMode::Required => "required",
        })
    }
}

/// A user of the operating system as written: names, or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub name: String,
    /// `None`: the user's own.
    pub group: Option<String>,
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
