//! Tunnels (WebSocket): the handshake, data without buffering, and the idle bound.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::certs::Authority;
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::wait::{self, DEADLINE};
use crate::support::{Gateway, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

/// Accepts each tunnel, with `first` in the same packet, and sends back what comes. It answers before it is asked, so that
/// its answer is always there first.
fn echo(first: &'static str) -> impl Fn(&mut Wire) + Send + Sync {
    move |wire| {
        wire.send([ACCEPTED, first].concat());
        if wire.head().is_none() {
            return;
        }
        while let Some(piece) = wire.take(4) {
            wire.send(piece);
        }
    }
}

fn before(address: SocketAddr, bounds: &str) -> Gateway {
    let yaml = format!("bounds: {{ {bounds} }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}");
    Setup::new(&yaml).with("o", address).start()
}

/// A tunnel that the origin has accepted.
fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(ASK.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the rest of the 101");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).expect("what the other side has sent");
    assert_eq!(read, bytes);
}

/// Opens `count` tunnels, 16 at a time, and talks through each in both directions.
fn thousand(gateway: &Gateway, count: usize, first: &str) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let mut stream = open(gateway.address());
                    expect(&mut stream, first.as_bytes());
                    stream.write_all(b"ping").unwrap();
                    expect(&mut stream, b"ping");
                }
            });
        }
    });
}

#[test]
fn none_of_a_thousand_tunnels_is_lost() {
    let origin = RawOrigin::start(echo(""));
    thousand(&before(origin.address(), ""), 1000, "");
    assert_eq!(origin.connections(), 1000);
}

#[test]
fn none_of_a_thousand_tunnels_is_lost_when_data_comes_with_the_101() {
    let origin = RawOrigin::start(echo("hello"));
    thousand(&before(origin.address(), ""), 1000, "hello");
    assert_eq!(origin.connections(), 1000);
}

#[test]
fn none_of_many_tunnels_over_tls_is_lost() {
    let authority = Authority::new("test");
    // The origin would rather speak HTTP/2, which can't carry this tunnel.
    let tls = authority.issue(&["origin.test"]).server(&["h2", "http/1.1"], None);
    for first in ["", "hello"] {
        let origin = RawOrigin::start_tls(tls.clone(), echo(first));
        let gateway = Setup::new(&format!(
            "upstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, tls: {{ sni: origin.test, ca: \
             \"<dir>/ca.pem\" }} }} }}\n{PASS}"
        ))
        .with("o", origin.address())
        .file("ca.pem", authority.pem())
        .start();
        thousand(&gateway, 200, first);
    }
}

#[test]
fn a_tunnel_is_not_bounded_like_a_body() {
    let origin = RawOrigin::start(echo(""));
    let gateway = before(origin.address(), "body: 1KiB");
    let mut stream = open(gateway.address());
    for round in 0..8u8 {
        let sent = [round; 1024];
        stream.write_all(&sent).unwrap();
        expect(&mut stream, &sent);
    }
}

#[test]
fn a_silent_tunnel_is_closed() {
    let origin = RawOrigin::start(echo(""));
    let gateway = before(origin.address(), "tunnel_idle: 300ms");
    let mut stream = open(gateway.address());
    stream.write_all(b"ping").unwrap();
    expect(&mut stream, b"ping");
    let since = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert!(since.elapsed() >= Duration::from_millis(250), "{:?}", since.elapsed());
    origin.ended(0);
    let line = gateway.logged_path("/ws");
    assert_eq!((&line["status"], &line["decision"]), (&101.into(), &"allow".into()), "{line}");
    assert!(line["detail"].as_str().is_some_and(|detail| detail.contains("tunnel_idle")), "{line}");
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "tunnel_idle")]), 1.0);
}

#[test]
fn a_tunnel_in_which_only_one_side_talks_lives_on() {
    let talking = RawOrigin::start(|wire| {
        wire.head();
        wire.send(ACCEPTED);
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            wire.send("tick");
        }
        wire.drain();
    });
    let gateway = before(talking.address(), "tunnel_idle: 400ms, body_idle: 400ms");
    let mut stream = open(gateway.address());
    for _ in 0..20 {
        expect(&mut stream, b"tick");
    }

    let listening = RawOrigin::start(|wire| {
        wire.head();
        wire.send(ACCEPTED);
        wire.drain();
    });
    let gateway = before(listening.address(), "tunnel_idle: 400ms");
    let mut stream = open(gateway.address());
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"tick").unwrap();
    }
    wait::until_true("what only the client has sent", || listening.seen(0).text().matches("tick").count() == 20);
}

#[test]
fn an_origin_that_never_accepts_is_504() {
    let origin = RawOrigin::start(Wire::drain);
    let yaml = "upstreams: { origin: { endpoints: [\"<o>\"], timeouts: { response: 300ms } } }";
    let gateway = Setup::new(&format!("{yaml}\n{PASS}")).with("o", origin.address()).start();
    let mut client = gateway.connect();
    client.send(ASK);
    client.read_response().expect_status(504);
    assert_eq!(gateway.logged_path("/ws")["cause"], "upstream_timeout");
}

#[test]
fn an_origin_that_can_not_be_reached_is_502_for_a_tunnel_too() {
    let gateway = before("127.0.0.1:1".parse().unwrap(), "");
    let mut client = gateway.connect();
    client.send(ASK);
    client.read_response().expect_status(502);
    assert_eq!(gateway.logged_path("/ws")["cause"], "upstream_connect_failed");
}

#[test]
fn an_origin_that_does_not_switch_is_answered_like_any_other() {
    let origin = RawOrigin::answering("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    let gateway = before(origin.address(), "");
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(ASK);
        assert_eq!(client.read_response().expect_status(403).text(), "no");
    }
    // The connection of a request that asked for a tunnel carries no other request.
    assert_eq!(origin.connections(), 3);
}

#[test]
fn an_upgrade_with_a_body_or_to_something_else_is_not_asked_for() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = before(origin.address(), "");
    let mut client = gateway.connect();
    let upgrade = [("Upgrade", "websocket"), ("Connection", "upgrade")];
    client.request("POST", "/", &upgrade, b"body").expect_status(200);
    client.request("GET", "/", &[("Upgrade", "h2c"), ("Connection", "upgrade")], b"").expect_status(200);
    let seen = [origin.seen(0).text(), origin.seen(1).text()].concat().to_ascii_lowercase();
    // One for what can be repeated and one for what can't.
    assert_eq!(origin.connections(), 2);
    assert!(seen.contains("post / ") && seen.contains("get / ") && !seen.contains("upgrade"), "{seen}");
}
