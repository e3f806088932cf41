//! Counts open connections, in total and for each client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// Enough shards that threads seldom contend for one. A power of two.
const SHARDS: usize = 64;

/// Counts the open connections of all listeners together.
///
/// Its memory is bounded by the connections: an address is stored for as long as it has one.
#[derive(Debug)]
pub struct ConnectionCounter {
    open: AtomicU32,
    shards: [Mutex<HashMap<AddressBlock, u32>>; SHARDS],
    /// Keyed, so that clients can't choose addresses that fall into one shard.
    hasher: RandomState,
}

/// A connection's slot. Dropping it frees the slot, on every path by which a connection ends.
#[must_use = "dropping it frees the slot"]
#[derive(Debug)]
pub struct ConnectionSlot {
    connections: Arc<ConnectionCounter>,
    block: Option<AddressBlock>,
}

/// What counts as one client address: an IPv4 address, or the /64 network of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    V4(Ipv4Addr),
    /// The upper half of an address: a host commonly has a whole /64 (RFC 6177).
    V6([u8; 8]),
}

impl ConnectionCounter {
    /// Without connections.
    pub fn new() -> Arc<Self> {
        Arc::new(ConnectionCounter {
            open: AtomicU32::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// A slot for one more connection, unless `most` are open.
    pub fn acquire(self: &Arc<Self>, most: u32) -> Option<ConnectionSlot> {
        let more = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ConnectionSlot { connections: Arc::clone(self), block: None })
    }

    /// How many connections are open.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// How many addresses have a counted connection. Locks every shard: for tests and metrics, not for connections.
    pub fn addresses(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, block: &AddressBlock) -> MutexGuard<'_, HashMap<AddressBlock, u32>> {
        self.shards[self.hasher.hash_one(block) as usize % SHARDS].lock()
    }
}

impl ConnectionSlot {
    /// Counts the connection for `address`, unless `most` of that address are open: then it returns false and counts it for no
    /// address. It no longer counts for an earlier address in either case.
    #[must_use]
    pub fn count_for(&mut self, address: IpAddr, most: u32) -> bool {
        self.release_address();
        let block = AddressBlock::of(address);
        let mut shard = self.connections.shard(&block);
        let open = shard.entry(block).or_insert(0);
        if *open >= most {
            if *open == 0 {
                shard.remove(&block);
            }
            return false;
        }
        *open += 1;
        drop(shard);
        self.block = Some(block);
        true
    }

    fn release_address(&mut self) {
        let Some(block) = self.block.take() else { return };
        if let Entry::Occupied(mut open) = self.connections.shard(&block).entry(block) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.release_address();
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AddressBlock {
    /// That of `address`. An IPv4 address counts as itself also where it is written as IPv6.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => AddressBlock::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                AddressBlock::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_more_than_the_bound_are_open_and_a_closed_one_makes_room() {
        let connections = ConnectionCounter::new();
        let first = connections.acquire(2).unwrap();
        let _second = connections.acquire(2).unwrap();
        assert!(connections.acquire(2).is_none());
        drop(first);
        let _third = connections.acquire(2).unwrap();
        assert_eq!(connections.open(), 2);
    }

    #[test]
    fn each_address_has_its_own_bound() {
        let connections = ConnectionCounter::new();
        let mut slots: Vec<_> = (0..3).map(|_| connections.acquire(10).unwrap()).collect();
        assert!(slots[0].count_for(address("192.0.2.1"), 1));
        assert!(!slots[1].count_for(address("192.0.2.1"), 1));
        assert!(!slots[1].count_for(address("::ffff:192.0.2.1"), 1), "the same address, seen by a dual-stack socket");
        assert!(slots[1].count_for(address("192.0.2.2"), 1));
        drop(slots.remove(0));
        assert!(slots[1].count_for(address("192.0.2.1"), 1));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let connections = ConnectionCounter::new();
        let (mut a, mut b, mut c) =
            (connections.acquire(10).unwrap(), connections.acquire(10).unwrap(), connections.acquire(10).unwrap());
        assert!(a.count_for(address("2001:db8:0:1::1"), 1));
        assert!(!b.count_for(address("2001:db8:0:1:ffff::2"), 1));
        assert!(c.count_for(address("2001:db8:0:2::1"), 1));
    }

    #[test]
    fn a_slot_moves_from_one_address_to_another() {
        let connections = ConnectionCounter::new();
        let (mut a, mut b) = (connections.acquire(10).unwrap(), connections.acquire(10).unwrap());
        assert!(a.count_for(address("192.0.2.1"), 1));
        assert!(a.count_for(address("198.51.100.1"), 1));
        assert!(b.count_for(address("192.0.2.1"), 1));
        assert_eq!(connections.addresses(), 2);
    }

    #[test]
    fn nothing_is_kept_of_addresses_without_a_connection() {
        let connections = ConnectionCounter::new();
        for number in 0..1000_u32 {
            let mut slot = connections.acquire(10).unwrap();
            assert!(slot.count_for(Ipv4Addr::from_bits(number).into(), 1));
            assert!(!slot.count_for(Ipv4Addr::from_bits(number).into(), 0));
        }
        assert_eq!((connections.open(), connections.addresses()), (0, 0));
    }

    #[test]
    fn counts_are_exact_among_threads_and_survive_panics() {
        let connections = ConnectionCounter::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..2000_u32 {
                        let Some(mut slot) = connections.acquire(3) else { continue };
                        assert!(connections.open() <= 3);
                        let _ = slot.count_for(Ipv4Addr::from_bits(number % 2).into(), 2);
                    }
                });
            }
        });
        let held = Arc::clone(&connections);
        let panicked = std::thread::spawn(move || {
            let mut slot = held.acquire(3).expect("a slot");
            assert!(slot.count_for(Ipv4Addr::LOCALHOST.into(), 1));
            panic!("the connection's task ends here");
        });
        assert!(panicked.join().is_err());
        assert_eq!((connections.open(), connections.addresses()), (0, 0));
    }
}
