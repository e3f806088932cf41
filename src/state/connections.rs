//! How many connections are open, in all and for each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Enough that threads seldom meet. A power of two.
const SHARDS: usize = 64;

/// Counts the open connections of all listeners together.
///
/// Bounded by what it counts: an address is known for as long as it has a connection.
#[derive(Debug)]
pub struct Connections {
    open: AtomicU32,
    shards: [Mutex<HashMap<Block, u32>>; SHARDS],
    /// Keyed, so that nobody can choose addresses that meet in one shard.
    hasher: RandomState,
}

/// A connection's place, free again when this is dropped, however the connection ended.
#[must_use = "dropping it frees the place"]
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    block: Option<Block>,
}

/// What counts as one address: an IPv4 address, or the network that an IPv6 host chooses its addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Block {
    V4(Ipv4Addr),
    /// The upper half of an address: a host commonly has a whole /64 (RFC 6177).
    V6([u8; 8]),
}

impl Connections {
    /// Without any connection yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Connections {
            open: AtomicU32::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// A place for one more connection, unless `most` are open.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let more = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { connections: Arc::clone(self), block: None })
    }

    /// How many connections are open.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// How many addresses have a counted connection. Looks at every shard: for tests and metrics, not for connections.
    pub fn addresses(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, block: &Block) -> MutexGuard<'_, HashMap<Block, u32>> {
        lock(&self.shards[self.hasher.hash_one(block) as usize % SHARDS])
    }
}

impl Place {
    /// Counts the connection as one of `address`, unless `most` of that address are open; then it says false and counts for
    /// no address. An address that it was counted for before is given back.
    #[must_use]
    pub fn count_for(&mut self, address: IpAddr, most: u32) -> bool {
        self.give_back();
        let block = Block::of(address);
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

    fn give_back(&mut self) {
        let Some(block) = self.block.take() else { return };
        if let Entry::Occupied(mut open) = self.connections.shard(&block).entry(block) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Block {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Block::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Block::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A panic under the lock leaves whole counts: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_more_than_the_bound_are_open_and_a_closed_one_makes_room() {
        let connections = Connections::new();
        let first = connections.enter(2).unwrap();
        let _second = connections.enter(2).unwrap();
        assert!(connections.enter(2).is_none());
        drop(first);
        let _third = connections.enter(2).unwrap();
        assert_eq!(connections.open(), 2);
    }

    #[test]
    fn each_address_has_its_own_bound() {
        let connections = Connections::new();
        let mut places: Vec<_> = (0..3).map(|_| connections.enter(10).unwrap()).collect();
        assert!(places[0].count_for(address("192.0.2.1"), 1));
        assert!(!places[1].count_for(address("192.0.2.1"), 1));
        assert!(!places[1].count_for(address("::ffff:192.0.2.1"), 1), "the same address, seen by a dual-stack socket");
        assert!(places[1].count_for(address("192.0.2.2"), 1));
        drop(places.remove(0));
        assert!(places[1].count_for(address("192.0.2.1"), 1));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let connections = Connections::new();
        let (mut a, mut b, mut c) =
            (connections.enter(10).unwrap(), connections.enter(10).unwrap(), connections.enter(10).unwrap());
        assert!(a.count_for(address("2001:db8:0:1::1"), 1));
        assert!(!b.count_for(address("2001:db8:0:1:ffff::2"), 1));
        assert!(c.count_for(address("2001:db8:0:2::1"), 1));
    }

    #[test]
    fn a_place_moves_from_one_address_to_another() {
        let connections = Connections::new();
        let (mut a, mut b) = (connections.enter(10).unwrap(), connections.enter(10).unwrap());
        assert!(a.count_for(address("192.0.2.1"), 1));
        assert!(a.count_for(address("198.51.100.1"), 1));
        assert!(b.count_for(address("192.0.2.1"), 1));
        assert_eq!(connections.addresses(), 2);
    }

    #[test]
    fn nothing_is_kept_of_addresses_without_a_connection() {
        let connections = Connections::new();
        for number in 0..1000_u32 {
            let mut place = connections.enter(10).unwrap();
            assert!(place.count_for(Ipv4Addr::from_bits(number).into(), 1));
            assert!(!place.count_for(Ipv4Addr::from_bits(number).into(), 0));
        }
        assert_eq!((connections.open(), connections.addresses()), (0, 0));
    }

    #[test]
    fn counts_are_exact_among_threads_and_survive_panics() {
        let connections = Connections::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..2000_u32 {
                        let Some(mut place) = connections.enter(3) else { continue };
                        assert!(connections.open() <= 3);
                        let _ = place.count_for(Ipv4Addr::from_bits(number % 2).into(), 2);
                    }
                });
            }
        });
        let held = Arc::clone(&connections);
        let panicked = std::thread::spawn(move || {
            let mut place = held.enter(3).expect("a place");
            assert!(place.count_for(Ipv4Addr::LOCALHOST.into(), 1));
            panic!("the connection's task ends here");
        });
        assert!(panicked.join().is_err());
        assert_eq!((connections.open(), connections.addresses()), (0, 0));
    }
}
