//! What a client's connection is, as rules see it: fixed once the handshake is over, and the same for all of its requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

use super::scheme::Scheme;

/// The facts of a connection that rules may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionFacts {
    /// The name of the listener that accepted it.
    pub listener: Arc<str>,
    /// The client's end: the socket's peer, or what the PROXY protocol header of a trusted peer announces.
    pub peer: SocketAddr,
    /// The peer's address, as a value of `X-Forwarded-For`.
    pub peer_address: HeaderValue,
    /// `None` without TLS.
    pub tls: Option<TlsFacts>,
}

/// What the TLS handshake settled.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFacts {
    /// As the access log writes it: `TLSv1.2`, `TLSv1.3`; `unknown` for a version that no listener offers.
    pub version: &'static str,
    /// The server name that the client asked for (RFC 6066 §3).
    pub sni: Option<Arc<str>>,
    /// The client's own certificate, DER. `None` where it presented none.
    pub client_certificate: Option<Arc<[u8]>>,
}

impl ConnectionFacts {
    /// Of a connection of `peer` that `listener` accepted.
    pub fn new(listener: Arc<str>, peer: SocketAddr, tls: Option<TlsFacts>) -> Self {
        let address = peer.ip().to_canonical().to_string();
        let peer_address = HeaderValue::try_from(address).expect("BUG: an address is visible ASCII");
        ConnectionFacts { listener, peer, peer_address, tls }
    }

    /// Of a connection that nobody made, for requests that are only supposed: from `peer`, by no listener in particular.
    pub fn supposed(peer: IpAddr, scheme: Scheme) -> Self {
        let tls = match scheme {
            Scheme::Http => None,
            Scheme::Https => Some(TlsFacts { version: "TLSv1.3", sni: None, client_certificate: None }),
        };
        ConnectionFacts::new("".into(), SocketAddr::new(peer, 0), tls)
    }

    /// The scheme of the requests on this connection, whatever a trusted proxy says of its own clients.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

#[cfg(test)]
impl ConnectionFacts {
    /// Of a connection from 192.0.2.1 without TLS.
    pub(crate) fn for_test() -> &'static Self {
        static FACTS: std::sync::LazyLock<ConnectionFacts> =
            std::sync::LazyLock::new(|| ConnectionFacts::supposed([192, 0, 2, 1].into(), Scheme::Http));
        &FACTS
    }
}
