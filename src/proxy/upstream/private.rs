//! Connections to origins that belong to one client connection: NTLM, Negotiate and Kerberos authenticate the connection, so
//! that what another client would send on it would be taken for the first one's
//! ([`connection_auth`](crate::decision::upstream::connection_auth)).
//!
//! A client that sends such credentials on an HTTP/1 connection gets, for each upstream, one connection of its own. All that it
//! sends from then on to that upstream goes over it: the handshake takes several requests, and what follows may come without
//! credentials. It lies in Pingora's pool under a key that only this client connection knows, and is closed with the client's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use super::connection::UpstreamConnection;

/// How many private connections there are, in the whole process.
#[derive(Debug, Default)]
pub struct PrivateConnectionCount(AtomicU32);

/// The private connections of one client connection, at most one for each upstream.
#[derive(Default)]
pub struct PrivateConnections {
    /// Whether there is any: nearly no client connection has one.
    any: AtomicBool,
    list: Mutex<Vec<PrivateConnection>>,
}

/// Whose requests go over a private connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionOwner {
    /// What Pingora's pool tells connections of the upstream by.
    pub upstream: u64,
    /// A proxy before this one may send the requests of several clients over one connection.
    pub client: IpAddr,
}

struct PrivateConnection {
    owner: ConnectionOwner,
    address: SocketAddr,
    group_key: u64,
    /// The one that the pool has under `group_key`, or that a request uses.
    connection: Option<Arc<UpstreamConnection>>,
    _slot: PrivateSlot,
}

/// A place among the private connections of the process.
struct PrivateSlot(Arc<PrivateConnectionCount>);

impl PrivateConnections {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// The endpoint that the owner's connection leads to, if it has one.
    pub fn endpoint(&self, owner: ConnectionOwner) -> Option<SocketAddr> {
        if self.is_empty() {
            return None;
        }
        self.list.lock().iter().find(|private| private.owner == owner).map(|private| private.address)
    }

    /// The key under which the pool has the owner's connection to `address`; a new one if it has none there, or if it must be a
    /// `fresh` one. A connection that the owner had before is closed. `None`: there are `most` in the process already.
    pub fn group_key(
        &self,
        owner: ConnectionOwner,
        address: SocketAddr,
        fresh: bool,
        count: &Arc<PrivateConnectionCount>,
        most: u32,
    ) -> Option<u64> {
        let mut list = self.list.lock();
        let known = list.iter().find(|private| private.owner == owner && private.address == address && !fresh);
        if let Some(private) = known {
            return Some(private.group_key);
        }
        list.retain(|private| private.owner != owner);
        let slot = count.slot(most)?;
        let group_key = fastrand::u64(..);
        list.push(PrivateConnection { owner, address, group_key, connection: None, _slot: slot });
        self.any.store(true, Ordering::Relaxed);
        Some(group_key)
    }

    /// The connection under `group_key` was made.
    pub fn connected(&self, group_key: u64, connection: &Arc<UpstreamConnection>) {
        let mut list = self.list.lock();
        if let Some(private) = list.iter_mut().find(|private| private.group_key == group_key) {
            private.connection = Some(connection.clone());
        }
    }
}

impl PrivateConnectionCount {
    fn slot(self: &Arc<Self>, most: u32) -> Option<PrivateSlot> {
        let more = |taken| (taken < most).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(PrivateSlot(self.clone()))
    }
}

impl Drop for PrivateConnection {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }
}

impl Drop for PrivateSlot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn owner(upstream: u64, last: u8) -> ConnectionOwner {
        ConnectionOwner { upstream, client: [192, 0, 2, last].into() }
    }

    #[test]
    fn an_owner_keeps_its_connection_and_shares_it_with_nobody() {
        let (private, count) = (PrivateConnections::default(), Arc::default());
        let key = |owner, fresh| private.group_key(owner, ADDRESS, fresh, &count, 10).unwrap();
        let first = key(owner(1, 1), false);
        assert_eq!((key(owner(1, 1), false), private.endpoint(owner(1, 1))), (first, Some(ADDRESS)));
        assert!(private.endpoint(owner(1, 2)).is_none() && private.endpoint(owner(2, 1)).is_none());
        assert!(key(owner(1, 2), false) != first && key(owner(2, 1), false) != first);
        assert_ne!(key(owner(1, 1), true), first, "a fresh one is another one");
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn no_more_than_the_bound_are_made_and_the_end_of_a_client_gives_its_own_back() {
        let count = Arc::default();
        let (one, two) = (PrivateConnections::default(), PrivateConnections::default());
        let key = |of: &PrivateConnections| of.group_key(owner(1, 1), ADDRESS, false, &count, 1);
        assert!(key(&one).is_some() && key(&one).is_some() && key(&two).is_none());
        drop(one);
        assert!(key(&two).is_some());
    }
}
