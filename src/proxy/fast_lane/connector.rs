//! Connections to origins: idle ones of the [`super::pool`], and new ones, which Pingora makes.

use std::time::{Duration, Instant};

use pingora::Result;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, Peer};

use super::pool::{OriginPool, PoolKey};

/// How long a connection must be allowed to be idle for others to find it. Those of one request alone may be for less.
const LEAST_IDLE: Duration = Duration::from_millis(2);

/// How often idle connections are looked at whose time may have passed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two looks.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// Makes connections to origins, and keeps them for others.
pub(super) struct OriginConnector {
    new: TransportConnector,
    idle: OriginPool,
}

impl OriginConnector {
    /// For so many `workers`, each of which keeps as many connections as `conf` says.
    pub fn new(conf: &ServerConf, workers: usize) -> Self {
        OriginConnector {
            new: TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf))),
            idle: OriginPool::new(workers, conf.upstream_keepalive_pool_size),
        }
    }

    /// A connection to `peer`, and whether it had been idle.
    ///
    /// # Errors
    /// There is none, and none can be made.
    pub async fn connect(&self, peer: &HttpPeer) -> Result<(Stream, bool)> {
        if let Some(idle) = key(peer).and_then(|key| self.idle.take(&key, Instant::now())) {
            return Ok((idle, true));
        }
        // Boxed: few requests need a new connection, and none of the others is to carry its room.
        Box::pin(self.new.new_stream(peer)).await.map(|new| (new, false))
    }

    /// Keeps a connection to `peer` on which nothing is under way.
    pub fn release(&self, stream: Stream, peer: &HttpPeer) {
        let idle = peer.idle_timeout().unwrap_or_default();
        if let Some(key) = key(peer).filter(|_| idle >= LEAST_IDLE) {
            self.idle.put(key, stream, Instant::now(), idle);
        }
    }

    /// Closes idle connections that have ended, or whose time has passed, for as long as it is polled.
    pub async fn sweep(&self) {
        loop {
            let _ = tokio::time::timeout(SWEEP_INTERVAL, self.idle.readable()).await;
            self.idle.sweep(Instant::now());
            // An origin that ends many connections at once costs a few sweeps, not one for each.
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }
}

/// `None` for a peer that has no address of its own.
fn key(peer: &HttpPeer) -> Option<PoolKey> {
    match peer.address() {
        SocketAddr::Inet(address) => Some(PoolKey { address: *address, peer: peer.reuse_hash() }),
        SocketAddr::Unix(_) => None,
    }
}
