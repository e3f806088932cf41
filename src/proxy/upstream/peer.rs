//! From a chosen endpoint to Pingora's peer.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};

use super::proxy_header::ProxyHeaderConnector;
use crate::config::snapshot::{Upstream, UpstreamTls};
use crate::decision::proxy_protocol::{Announced, Version};

/// RFC 9113 §6.9.1.
const MAX_HTTP2_WINDOW: u32 = (1 << 31) - 1;

/// An upstream's peer but for the address, made once at publish.
pub struct PeerTemplate {
    peer: HttpPeer,
    /// How connections announce the client, if they do.
    announces: Option<Version>,
    /// Keyed, so that no client can choose an address whose connections another client's requests would share.
    hasher: RandomState,
}

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
        PeerTemplate { peer, announces: upstream.proxy_protocol, hasher: RandomState::new() }
    }

    /// Lets an HTTP/2 origin send `window` bytes in a stream before they are taken, and as much in every stream at once: Pingora's own
    /// 8 MiB are for one stream as for all, so that one slow client would hold up all the others.
    pub fn with_http2_window(mut self, window: u32) -> Self {
        let options = &mut self.peer.options;
        let streams = u32::try_from(options.max_h2_streams).unwrap_or(u32::MAX);
        options.h2_stream_window_size = Some(window);
        options.h2_connection_window_size = Some(window.saturating_mul(streams).min(MAX_HTTP2_WINDOW));
        self
    }

    /// What the pool tells connections of this upstream by.
    pub fn group_key(&self) -> u64 {
        self.peer.group_key
    }

    /// The peer at `address`, for a request of `client`. Its pooled connections are those that announced the same client.
    pub fn to(&self, address: SocketAddr, client: impl FnOnce() -> Announced) -> Box<HttpPeer> {
        let mut peer = Box::new(self.peer.clone());
        peer._address = address.into();
        if let Some(version) = self.announces {
            let client = client();
            peer.group_key = self.hasher.hash_one((peer.group_key, client));
            peer.options.custom_l4 = Some(ProxyHeaderConnector::client(version, client));
        }
        peer
    }

    /// The peer of health probes, which bring an address of their own.
    pub fn probing(self) -> HttpPeer {
        let mut peer = self.peer;
        if let Some(version) = self.announces {
            peer.options.custom_l4 = Some(ProxyHeaderConnector::local(version));
        }
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
