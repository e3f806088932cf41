//! From a chosen endpoint to Pingora's peer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};

use crate::config::snapshot::{Upstream, UpstreamTls};

/// An upstream's peer but for the address, made once at publish.
pub struct PeerTemplate(HttpPeer);

impl PeerTemplate {
    pub fn new(upstream: &Upstream) -> Self {
        let tls = upstream.tls.as_ref();
        let sni = tls.map_or(String::new(), |tls| tls.sni.clone());
        let mut peer = HttpPeer::new(SocketAddr::from(([0, 0, 0, 0], 0)), tls.is_some(), sni);
        peer.group_key = group_key(upstream);
        let options = &mut peer.options;
        options.connection_timeout = Some(upstream.timeouts.connect);
        options.total_connection_timeout = Some(upstream.timeouts.connect);
        options.read_timeout = Some(upstream.timeouts.response);
        options.write_timeout = Some(upstream.timeouts.send);
        options.idle_timeout = Some(upstream.timeouts.idle);
        if upstream.http2 {
            // Over TLS an origin that can't may fall back by ALPN; in plain text there is nobody to ask.
            options.alpn = if tls.is_some() { ALPN::H2H1 } else { ALPN::H2 };
            options.max_h2_streams = upstream.http2_streams as usize;
        }
        if let Some(tls) = tls {
            options.ca = authorities(tls);
            peer.client_cert_key = tls
                .client_certificate
                .as_ref()
                .map(|client| Arc::new(CertKey::new(client.chain.clone(), client.key.expose().clone())));
        }
        PeerTemplate(peer)
    }

    /// The peer at `address`.
    pub fn to(&self, address: SocketAddr) -> Box<HttpPeer> {
        let mut peer = Box::new(self.0.clone());
        peer._address = address.into();
        peer
    }
}

fn authorities(tls: &UpstreamTls) -> Option<Arc<[WrappedX509]>> {
    let authorities = tls.authorities.as_ref()?;
    Some(authorities.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect())
}

/// Keeps pooled connections apart: Pingora's own key leaves out the authorities and the protocol, so that a connection
/// verified for one upstream could be reused by another.
fn group_key(upstream: &Upstream) -> u64 {
    let mut hasher = DefaultHasher::new();
    upstream.name.hash(&mut hasher);
    upstream.http2.hash(&mut hasher);
    if let Some(tls) = &upstream.tls {
        tls.sni.hash(&mut hasher);
        for der in tls.authorities.iter().flatten() {
            der.as_ref().hash(&mut hasher);
        }
        if let Some(client) = &tls.client_certificate {
            client.chain.hash(&mut hasher);
        }
    }
    hasher.finish()
}
