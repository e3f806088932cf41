//! Accept: which connections may stay, and which client each is from.
//!
//! What can be decided before the first byte of TLS or HTTP is decided here, while a connection is at its cheapest: whether
//! there is room for it, and whom it is from where a load balancer says so by the PROXY protocol.

mod header;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use log::{debug, warn};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::proxy::connection::client::{ConnectionAddresses, ListenerContext};
use crate::state::connections::ConnectionSlot;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::{Bound, ConnectionRefusal};
use header::ProxyHeaderError;

/// Lets the connections of one listener in, or turns them away.
pub struct Admission {
    listener: Arc<ListenerContext>,
    full: LogThrottle,
    crowded: LogThrottle,
    without_header: LogThrottle,
}

/// A connection that may stay, for as long as its place is held.
pub struct AdmittedConnection {
    pub addresses: ConnectionAddresses,
    /// Whether its first bytes must be a PROXY header.
    announces: bool,
    pub place: ConnectionSlot,
}

impl Admission {
    pub fn new(listener: Arc<ListenerContext>) -> Self {
        let (full, crowded, without_header) = (LogThrottle::new(), LogThrottle::new(), LogThrottle::new());
        Admission { listener, full, crowded, without_header }
    }

    /// Whether a connection from `peer` may stay, before anything of it is read. `announcers` are the peers whose
    /// connections must begin with a PROXY header, and `most` is how many connections may be open.
    pub fn admit(&self, peer: SocketAddr, announcers: &[IpNet], most: u32) -> Option<AdmittedConnection> {
        let runtime = &self.listener.runtime;
        let Some(place) = runtime.state.connections.acquire(most) else {
            runtime.metrics.bound_hit(Bound::Connections);
            if let Some(count) = self.full.count() {
                warn!("{count} connections closed: {most} are open, as many as `bounds.connections` allows");
            }
            return None;
        };
        let addresses = ConnectionAddresses { peer, via: None, destination: None };
        let mut admitted = AdmittedConnection { addresses, announces: contains(announcers, peer.ip()), place };
        // Whose connection a load balancer brings is not known yet.
        (admitted.announces || self.check_client(&mut admitted)).then_some(admitted)
    }

    /// Reads the PROXY header, where one is due. False when the connection is to be closed.
    ///
    /// Nothing beyond the header is read: that belongs to TLS or HTTP.
    pub async fn read_proxy_header(
        &self,
        socket: &mut TcpStream,
        admitted: &mut AdmittedConnection,
        deadline: Instant,
    ) -> bool {
        if !admitted.announces {
            return true;
        }
        let balancer = admitted.addresses.peer;
        let failed = match tokio::time::timeout_at(deadline, header::read(socket)).await {
            Ok(Ok(header)) => {
                if let Some(announced) = header.announced {
                    admitted.addresses = ConnectionAddresses {
                        peer: announced.client,
                        via: Some(balancer),
                        destination: Some(announced.destination),
                    };
                }
                return self.check_client(admitted);
            }
            Ok(Err(ProxyHeaderError::Silent)) => {
                // Load balancers look in this way whether anybody listens.
                debug!("{balancer} left listener {} without a word", self.listener.name);
                return false;
            }
            Ok(Err(failed)) => failed,
            Err(_) => {
                self.listener.runtime.metrics.bound_hit(Bound::Handshake);
                ProxyHeaderError::Late
            }
        };
        self.listener.metrics.proxy_header_failed();
        if let Some(count) = self.without_header.count() {
            let name = &self.listener.name;
            warn!(
                "listener {name}: {count} connections closed without a PROXY header, the last from {balancer}: {failed}"
            );
        }
        false
    }

    /// Whether a client at `address` may connect, by the listener's `addresses`. A refusal is counted and logged; what is
    /// left is to close the connection.
    fn allows(&self, address: IpAddr) -> bool {
        let listener = &self.listener;
        let serving = listener.runtime.store.load();
        let rules = match serving.snapshot.listener(&listener.name) {
            Some(listener) => listener.addresses.as_ref(),
            // A configuration without this listener does not know who may use it.
            None => return false,
        };
        let Some(Err(denial)) = rules.map(|rules| rules.check(address, serving.address_lists.as_slice())) else {
            return true;
        };
        listener.metrics.refused(ConnectionRefusal::Address);
        debug!("listener {} refused a connection: {}", listener.name, denial.detail);
        false
    }

    /// The address of the connection's client is known from here on, from the socket or from a PROXY header: what depends
    /// on nothing else is decided here, once for each connection. False when it is to be closed.
    fn check_client(&self, admitted: &mut AdmittedConnection) -> bool {
        let runtime = &self.listener.runtime;
        let peer = admitted.addresses.peer;
        // A load balancer brings many clients, and its own probes besides.
        let speaks_for_itself = admitted.announces && admitted.addresses.via.is_none();
        if !self.allows(peer.ip()) {
            return false;
        }
        if speaks_for_itself {
            return true;
        }
        let serving = runtime.store.load();
        if contains(&serving.snapshot.rules.read.trusted_proxies, peer.ip()) {
            return true;
        }
        let most = serving.snapshot.bounds.connections_per_address;
        if admitted.place.count_for(peer.ip(), most) {
            return true;
        }
        runtime.metrics.bound_hit(Bound::ConnectionsPerAddress);
        if let Some(count) = self.crowded.count() {
            let address = peer.ip();
            warn!(
                "{count} connections closed, the last from {address}: {most} of one address are open, as many as \
                 `bounds.connections_per_address` allows"
            );
        }
        false
    }
}

/// A dual-stack socket shows IPv4 peers as mapped IPv6 addresses.
fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    ranges.iter().any(|range| range.contains(&address))
}
