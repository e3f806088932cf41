//! What a client's connection is, as rules see it: fixed once the handshake is over, and the same for all of its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Scheme;

/// The facts of a connection that rules may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionFacts {
    /// The name of the listener that accepted it.
    pub listener: Arc<str>,
    /// The client's end: the socket's peer, or what the PROXY protocol header of a trusted peer announces.
    pub peer: SocketAddr,
    /// `None` without TLS.
    pub tls: Option<TlsFacts>,
}

/// What the TLS handshake settled.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFacts {
    /// As the access log writes it: `TLSv1.2`, `TLSv1.3`.
    pub version: &'static str,
    /// The server name that the client asked for (RFC 6066 §3).
    pub sni: Option<Arc<str>>,
    /// The client's own certificate, DER. `None` where it presented none.
    pub client_certificate: Option<Arc<[u8]>>,
}

impl ConnectionFacts {
    /// The scheme of the requests on this connection, whatever a trusted proxy says of its own clients.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}
