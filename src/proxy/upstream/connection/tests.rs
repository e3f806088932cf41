use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::*;

/// A connection with an exchange that is about to begin, and the origin's end of it.
struct Pair {
    connections: Arc<UpstreamConnections>,
    ours: TcpStream,
    theirs: TcpStream,
}

impl Pair {
    fn new() -> (Pair, Arc<UpstreamConnection>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let connections = Arc::new(UpstreamConnections::default());
        let (purpose, state) = (ConnectionPurpose::Private, Mutex::default());
        let connection = Arc::new(UpstreamConnection { connections: connections.clone(), purpose, state });
        connections.connected(ours.as_raw_fd(), &connection);
        (Pair { connections, ours, theirs }, connection)
    }

    /// One request and its answer, so that the connection is a used one.
    fn use_once(&mut self) {
        self.ours.write_all(b"first").unwrap();
        self.theirs.read_exact(&mut [0; 5]).unwrap();
        self.theirs.write_all(b"answer").unwrap();
        self.ours.read_exact(&mut [0; 6]).unwrap();
    }
}

/// Waits until the kernel knows that the connection has ended.
fn wait_for_end(stream: &TcpStream) {
    wait_until(|| !TcpCounts::of(stream.as_raw_fd()).unwrap().is_established());
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_request_that_crosses_the_end_of_its_connection_was_not_read() {
    let (mut pair, connection) = Pair::new();
    pair.use_once();
    let exchange =
        pair.connections.find(pair.ours.as_raw_fd()).and_then(|connection| connection.begin_again()).unwrap();
    let Pair { mut ours, theirs, .. } = pair;
    drop(theirs);
    wait_for_end(&ours);
    // The first is answered by a reset, which ends what the second finds.
    let _ = ours.write_all(b"POST");
    let _ = ours.write_all(b"more");
    assert_eq!(ours.read(&mut [0; 1]).unwrap_or(0), 0);
    // Known while the connection is still open, as it may be on HTTP/2, and afterwards.
    assert!(exchange.was_unread(false));
    connection.closing();
    assert!(exchange.was_unread(false));
    assert!(!exchange.was_unread(true), "a reset without the origin's end says nothing");
}

#[test]
fn a_request_beside_others_was_not_read_if_only_theirs_arrived() {
    let (mut pair, connection) = Pair::new();
    pair.use_once();
    // Another request is on its way.
    pair.ours.write_all(b"other").unwrap();
    let exchange = connection.begin_again().unwrap();
    pair.theirs.read_exact(&mut [0; 5]).unwrap();
    pair.theirs.write_all(b"answer").unwrap();
    pair.ours.read_exact(&mut [0; 6]).unwrap();
    let Pair { mut ours, theirs, .. } = pair;
    drop(theirs);
    wait_for_end(&ours);
    let _ = ours.write_all(b"POST");
    assert!(exchange.was_unread(false));
}

#[test]
fn a_request_that_was_taken_may_have_been_read() {
    for read in [true, false] {
        let (mut pair, connection) = Pair::new();
        pair.use_once();
        let exchange = connection.begin_again().unwrap();
        pair.ours.write_all(b"POST").unwrap();
        if read {
            pair.theirs.read_exact(&mut [0; 4]).unwrap();
        } else {
            pair.theirs.peek(&mut [0; 4]).unwrap();
        }
        let Pair { connections, ours, theirs } = pair;
        drop(theirs);
        wait_for_end(&ours);
        connection.closing();
        assert!(!exchange.was_unread(false), "read: {read}");
        assert!(connections.find(ours.as_raw_fd()).is_none());
    }
}

#[test]
fn what_was_never_sent_was_not_read_even_if_the_connection_was_reset() {
    let (mut pair, connection) = Pair::new();
    pair.use_once();
    let exchange = connection.begin_again().unwrap();
    let Pair { ours, theirs, .. } = pair;
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    wait_for_end(&ours);
    assert!(exchange.was_unread(true));
}

#[test]
fn no_exchange_begins_on_a_connection_that_has_ended() {
    let (mut pair, connection) = Pair::new();
    pair.use_once();
    let Pair { ours, theirs, .. } = pair;
    drop(theirs);
    wait_for_end(&ours);
    assert!(connection.begin_again().is_none());
}

#[test]
fn a_connection_that_is_given_up_ends_with_its_last_exchange() {
    let (mut pair, connection) = Pair::new();
    let (first, second) = (connection.begin(), connection.begin_again().unwrap());
    connection.give_up();
    assert!(connection.begin_again().is_none());
    drop(first);
    pair.use_once();
    drop(second);
    wait_for_end(&pair.ours);
    connection.closing();
    assert!(pair.connections.find(pair.ours.as_raw_fd()).is_none());
}

#[test]
fn what_this_side_has_ended_the_origin_has_not() {
    let (pair, connection) = Pair::new();
    connection.close();
    wait_for_end(&pair.ours);
    assert!(!TcpCounts::of(pair.ours.as_raw_fd()).unwrap().is_ended_by_origin());
    drop(pair.theirs);
    wait_until(|| TcpCounts::of(pair.ours.as_raw_fd()).unwrap().is_ended_by_origin());
}
