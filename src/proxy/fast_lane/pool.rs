//! Idle connections to origins.
//!
//! A connection belongs to the worker thread whose event loop watches its socket, and so each worker has a shard of the pool: it takes
//! its own connections first, those of others before it makes a new one. Giving a connection back and taking it again
//! makes no system call and starts no task: the event loop tells the pool when an idle connection becomes readable, which is its end
//! or an answer that nobody has asked for.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;

/// Idle connections, of all workers.
pub(super) struct OriginPool {
    shards: Box<[PoolShard]>,
    /// Most connections of a shard.
    most: usize,
    /// Some connection has become readable.
    readable: Arc<Notify>,
}

/// What connections must agree in to carry the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pub address: SocketAddr,
    /// Pingora's hash of the peer: TLS, the names, certificates and authorities, and the upstream's own group.
    pub peer: u64,
}

struct PoolShard {
    connections: Mutex<IdleConnections>,
    /// Told by the event loops. Of the shard, so that workers don't share its count of references.
    waker: Waker,
}

#[derive(Default)]
struct IdleConnections {
    /// The latest one of a key is the last. Keys without connections are dropped by [`OriginPool::sweep`].
    by_key: HashMap<PoolKey, Vec<IdleConnection>>,
    count: usize,
}

struct IdleConnection {
    stream: Stream,
    since: Instant,
    until: Instant,
}

/// Wakes whoever sweeps the pool.
struct ReadableSignal(Arc<Notify>);

impl Wake for ReadableSignal {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

impl OriginPool {
    /// A pool for so many worker threads, each of which keeps `most` connections at most.
    pub fn new(workers: usize, most: usize) -> Self {
        let readable = Arc::new(Notify::new());
        let shard =
            || PoolShard { connections: Mutex::default(), waker: Arc::new(ReadableSignal(readable.clone())).into() };
        let shards = std::iter::repeat_with(shard).take(workers.max(1)).collect();
        OriginPool { shards, most, readable }
    }

    /// The connection of `key` that was used last, if there is one that still stands.
    pub fn take(&self, key: &PoolKey, now: Instant) -> Option<Stream> {
        let own = self.own_shard();
        let others = self.shards.iter().enumerate().filter(|(index, _)| *index != own).map(|(_, shard)| shard);
        std::iter::once(&self.shards[own]).chain(others).find_map(|shard| shard.take(key, now))
    }

    /// Keeps `stream` for `idle` at most. Beyond the bound, the connection that was unused for longest is closed.
    pub fn put(&self, key: PoolKey, mut stream: Stream, now: Instant, idle: Duration) {
        let shard = &self.shards[self.own_shard()];
        if !is_silent(&mut stream, &shard.waker) {
            return;
        }
        let mut connections = shard.connections.lock();
        let evicted = if connections.count < self.most { None } else { connections.evict() };
        connections.insert(key, IdleConnection { stream, since: now, until: now + idle });
        // Whoever is told of a closed connection may take as long as it likes.
        drop(connections);
        drop(evicted);
    }

    /// Returns when some connection has become readable.
    pub async fn readable(&self) {
        self.readable.notified().await;
    }

    /// Closes the connections that have ended or whose time has passed.
    pub fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            let ended = shard.connections.lock().remove_ended(now, &shard.waker);
            drop(ended);
        }
    }

    fn own_shard(&self) -> usize {
        static WORKERS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let worker = WORKER.get().unwrap_or_else(|| {
            let worker = WORKERS.fetch_add(1, Ordering::Relaxed);
            WORKER.set(Some(worker));
            worker
        });
        worker % self.shards.len()
    }
}

impl PoolShard {
    fn take(&self, key: &PoolKey, now: Instant) -> Option<Stream> {
        loop {
            let mut idle = self.pop(key)?;
            if now < idle.until && is_silent(&mut idle.stream, Waker::noop()) {
                return Some(idle.stream);
            }
        }
    }

    fn pop(&self, key: &PoolKey) -> Option<IdleConnection> {
        let mut connections = self.connections.lock();
        let popped = connections.by_key.get_mut(key)?.pop()?;
        connections.count -= 1;
        Some(popped)
    }
}

impl IdleConnections {
    fn insert(&mut self, key: PoolKey, idle: IdleConnection) {
        self.by_key.entry(key).or_default().push(idle);
        self.count += 1;
    }

    /// Takes out the connection that was unused for longest.
    fn evict(&mut self) -> Option<IdleConnection> {
        let of_key = self.by_key.values_mut().filter(|idle| !idle.is_empty()).min_by_key(|idle| idle[0].since)?;
        self.count -= 1;
        Some(of_key.remove(0))
    }

    fn remove_ended(&mut self, now: Instant, waker: &Waker) -> Vec<IdleConnection> {
        let mut ended = Vec::new();
        self.by_key.retain(|_, connections| {
            ended.extend(connections.extract_if(.., |idle| now >= idle.until || !is_silent(&mut idle.stream, waker)));
            !connections.is_empty()
        });
        self.count -= ended.len();
        ended
    }
}

/// Whether `stream` has nothing to say: it has neither ended nor brought anything. `waker` is told when that changes.
fn is_silent(stream: &mut Stream, waker: &Waker) -> bool {
    // The runtime lets a task look at some hundred sockets in a row, and says of all others that they are silent.
    let read = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut [0]))));
    pin!(read).poll(&mut Context::from_waker(waker)).is_pending()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn key(port: u16) -> PoolKey {
        PoolKey { address: ([127, 0, 0, 1], port).into(), peer: 1 }
    }

    /// Puts a connection into `pool`, and gives its other side.
    fn put(pool: &OriginPool, port: u16, at: Instant, idle: Duration) -> DuplexStream {
        let (ours, origins) = duplex(64);
        pool.put(key(port), Box::new(ours), at, idle);
        origins
    }

    fn count(pool: &OriginPool) -> usize {
        pool.shards.iter().map(|shard| shard.connections.lock().count).sum()
    }

    #[tokio::test]
    async fn a_connection_is_found_by_its_key_and_once() {
        let (pool, now) = (OriginPool::new(1, 8), Instant::now());
        let _origin = put(&pool, 1, now, LONG);
        assert!(pool.take(&key(2), now).is_none());
        assert!(pool.take(&PoolKey { peer: 2, ..key(1) }, now).is_none());
        assert!(pool.take(&key(1), now).is_some());
        assert!(pool.take(&key(1), now).is_none());
        assert_eq!(count(&pool), 0);
    }

    #[tokio::test]
    async fn one_that_has_ended_or_has_something_to_say_is_not_given_out() {
        let (pool, now) = (OriginPool::new(1, 8), Instant::now());
        drop(put(&pool, 1, now, LONG));
        let mut talks = put(&pool, 1, now, LONG);
        talks.write_all(b"HTTP/1.1 408 Request Timeout\r\n").await.unwrap();
        assert!(pool.take(&key(1), now).is_none());
        let (ours, origins) = duplex(64);
        drop(origins);
        pool.put(key(1), Box::new(ours), now, LONG);
        assert_eq!(count(&pool), 0);
    }

    #[tokio::test]
    async fn one_whose_time_has_passed_is_not_given_out() {
        let (pool, now) = (OriginPool::new(1, 8), Instant::now());
        let _origin = put(&pool, 1, now, Duration::from_secs(1));
        assert!(pool.take(&key(1), now + Duration::from_secs(1)).is_none());
    }

    #[tokio::test]
    async fn beyond_the_bound_the_one_that_was_unused_for_longest_goes() {
        let (pool, now) = (OriginPool::new(1, 2), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let _origins = [put(&pool, 1, after(1), LONG), put(&pool, 2, now, LONG), put(&pool, 1, after(2), LONG)];
        assert!(pool.take(&key(2), after(3)).is_none());
        assert_eq!(count(&pool), 2);
    }

    #[tokio::test]
    async fn an_end_is_told_and_swept_whatever_else_is_idle() {
        let (pool, now) = (OriginPool::new(1, 1000), Instant::now());
        let mut origins: Vec<_> = (0..500).map(|_| put(&pool, 1, now, LONG)).collect();
        drop(origins.pop());
        pool.readable().await;
        pool.sweep(now);
        assert_eq!(count(&pool), 499);
        pool.sweep(now + LONG);
        assert!(count(&pool) == 0 && pool.shards[0].connections.lock().by_key.is_empty());
    }

    #[test]
    fn a_worker_takes_its_own_connections_first_and_those_of_others_before_none() {
        let (pool, now) = (Arc::new(OriginPool::new(2, 8)), Instant::now());
        let (theirs, other) = (put(&pool, 1, now, LONG), pool.clone());
        let worker = std::thread::spawn(move || {
            let _origin = put(&other, 1, now, LONG);
            assert!(other.take(&key(1), now).is_some());
            assert_eq!(count(&other), 1);
            assert!(other.take(&key(1), now).is_some());
        });
        worker.join().unwrap();
        assert_eq!(count(&pool), 0);
        drop(theirs);
    }
}
