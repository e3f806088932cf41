//! What one request reads: a configuration, compiled and complete.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use crate::decision::rules::{Rules, UpstreamId};
use crate::decision::upstream::Balance;

/// A configuration, compiled. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    pub rules: Rules,
    pub listeners: Vec<Listener>,
    pub bounds: Bounds,
    /// By [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
    pub access_log: AccessLog,
    /// Loopback only.
    pub admin: Option<SocketAddr>,
    pub process: Process,
}

impl Snapshot {
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub tls: Option<ListenerTls>,
    /// By ALPN with TLS, by prior knowledge without.
    pub http2: bool,
}

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
    pub certified: Arc<CertifiedKey>,
}

/// Bounds on slowness. Those on size are in [`crate::decision::request::ReadRules`] and in each route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub header_time: Duration,
    pub body_idle: Duration,
    pub write_idle: Duration,
    pub keepalive: Duration,
    pub handshake: Duration,
}

#[derive(Clone, Debug)]
pub struct Upstream {
    pub name: Arc<str>,
    /// Never empty.
    pub endpoints: Vec<Endpoint>,
    pub balance: Balance,
    pub health: Option<Health>,
    /// With every endpoint unhealthy: refuse (503) instead of using all.
    pub refuse_when_unhealthy: bool,
    pub timeouts: Timeouts,
    /// At least 1.
    pub connect_attempts: u32,
    pub tls: Option<UpstreamTls>,
    pub http2: bool,
    pub http2_streams: u32,
    pub resolve: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// An IP address (IPv6 without brackets) or a DNS name, lower case.
    pub host: String,
    pub port: u16,
    /// 1 to 1000.
    pub weight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    pub response: Duration,
    pub send: Duration,
    pub idle: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub probe: Probe,
    pub interval: Duration,
    pub timeout: Duration,
    /// Successes in a row, at least 1.
    pub healthy_after: u32,
    /// Failures in a row, at least 1.
    pub unhealthy_after: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    Tcp,
    Http {
        path: String,
        /// `None`: the endpoint's address.
        host: Option<String>,
        expected: Vec<u16>,
    },
}

#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Never empty: an empty name would switch verification off.
    pub sni: String,
    /// Instead of the system's authorities.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    pub client_certificate: Option<ClientCertificate>,
}

/// A chain and its key in DER, as Pingora takes them.
#[derive(Clone)]
pub struct ClientCertificate {
    pub chain: Vec<Vec<u8>>,
    pub key: crate::secret::Secret<Vec<u8>>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    pub format: LogFormat,
    pub output: LogOutput,
    pub queue: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum LogFormat {
    Json,
    Combined,
    /// Checked: every field is known.
    Template(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum LogOutput {
    Off,
    Stdout,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Worker threads of a listener.
    pub threads: usize,
    pub drain: Duration,
}
