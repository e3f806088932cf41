//! The PROXY protocol to origins: each connection announces the client whose requests it carries.

use std::net::SocketAddr;

use super::{connect_from, local};
use crate::support::certs::Authority;
use crate::support::client::{Client, open, open_from};
use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::proxy_protocol::{Terminator, v1, v2, v2_raw};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

/// A gateway whose upstream is behind `terminator`, with these settings beside its endpoint.
fn before(terminator: &Terminator, upstream: &str, rest: &str) -> Setup {
    Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<terminator>\"], {upstream} }} }}\n{rest}\n{PASS}"))
        .with("terminator", terminator.address())
}

/// A client, and the address that it has.
fn client(gateway: &Gateway) -> (Client, SocketAddr) {
    let socket = open(gateway.address()).expect("a connection");
    let address = socket.local_addr().expect("a connected socket");
    (Client::over(socket).expect("an open socket"), address)
}

#[test]
fn the_origin_is_told_the_client_and_where_it_connected_to() {
    for (version, write) in [("v1", v1 as fn(_, _) -> _), ("v2", |client, to| v2(client, to, &[]))] {
        let origin = Origin::always(Answer::ok("hello"));
        let terminator = Terminator::before(origin.address());
        let gateway = before(&terminator, &format!("proxy_protocol: {version}"), "").start();
        let (mut client, address) = client(&gateway);
        client.get("/").expect_status(200);
        assert_eq!(terminator.headers(), [write(address, gateway.address())], "{version}");
        assert_eq!(origin.only_request().header("X-Forwarded-For"), Some("127.0.0.1"));
    }
}

#[test]
fn a_connection_is_reused_only_for_the_same_client() {
    let origin = Origin::always(Answer::ok("hello"));
    let terminator = Terminator::before(origin.address());
    let gateway = before(&terminator, "proxy_protocol: v1", "process: { threads: 1 }").start();
    let (mut first, first_address) = client(&gateway);
    let (mut second, second_address) = client(&gateway);
    let other_socket = open_from(local(2), gateway.address());
    let other_address = other_socket.local_addr().unwrap();
    let mut other = Client::over(other_socket).unwrap();
    for _ in 0..5 {
        for client in [&mut first, &mut second, &mut other] {
            client.get("/").expect_status(200);
        }
    }
    let expected = [first_address, second_address, other_address].map(|client| v1(client, gateway.address()));
    assert_eq!((terminator.headers(), origin.connections()), (expected.to_vec(), 3));
    let lines = gateway.logged(15);
    assert_eq!(lines.iter().filter(|line| line["upstream_reused"] == true).count(), 12);
}

#[test]
fn a_client_behind_a_trusted_proxy_is_announced_without_a_port() {
    let origin = Origin::always(Answer::ok("hello"));
    let terminator = Terminator::before(origin.address());
    let gateway =
        before(&terminator, "proxy_protocol: v2", "trusted_proxies: [127.0.0.1]\nprocess: { threads: 1 }").start();
    let mut proxy = gateway.connect();
    for client in ["203.0.113.7", "203.0.113.8", "203.0.113.7", "2001:db8::7", "203.0.113.8"] {
        proxy.request("GET", "/", &[("X-Forwarded-For", client)], b"").expect_status(200);
    }
    let mapped = format!("[::ffff:127.0.0.1]:{}", gateway.address().port()).parse().unwrap();
    let expected = [
        v2("203.0.113.7:0".parse().unwrap(), gateway.address(), &[]),
        v2("203.0.113.8:0".parse().unwrap(), gateway.address(), &[]),
        // One header has one family.
        v2("[2001:db8::7]:0".parse().unwrap(), mapped, &[]),
    ];
    assert_eq!((terminator.headers(), origin.count()), (expected.to_vec(), 5));
}

#[test]
fn the_header_comes_before_tls_to_the_origin() {
    let authority = Authority::new("test");
    let origin = Origin::start_tls(authority.issue(&["origin.test"]).server(&[], None), |_| Answer::ok("secret"));
    let terminator = Terminator::before(origin.address());
    // On one thread: a pooled connection may be passed over while another thread still has it in its hands.
    let upstream = "proxy_protocol: v2, tls: { sni: origin.test, ca: \"<dir>/ca.pem\" }";
    let gateway = before(&terminator, upstream, "process: { threads: 1 }").file("ca.pem", authority.pem()).start();
    let (mut client, address) = client(&gateway);
    for _ in 0..3 {
        assert_eq!(client.get("/").expect_status(200).text(), "secret");
    }
    assert_eq!(terminator.headers(), [v2(address, gateway.address(), &[])]);
}

#[test]
fn http2_connections_carry_requests_of_one_client() {
    let origin = H2Origin::start(None, |_| Answer::ok("two"));
    let terminator = Terminator::before(origin.address());
    let gateway = before(
        &terminator,
        "proxy_protocol: v1, http2: true",
        "process: { threads: 1 }\nlisteners: [{ name: main, address: \"<listen>\", http2: true }]",
    )
    .start();
    let mut expected = Vec::new();
    for last in [1, 1, 2] {
        let socket = open_from(local(last), gateway.address());
        expected.push(v1(socket.local_addr().unwrap(), gateway.address()));
        let mut client = H2::prior_knowledge_over(socket);
        client.get("http://gateway.test/").expect_status(200);
        for answer in client.get_together("http://gateway.test/", &[], 10) {
            answer.expect_status(200);
        }
    }
    assert_eq!((terminator.headers(), origin.requests().len()), (expected, 33));
}

#[test]
fn health_probes_announce_nobody() {
    for (health, version, header) in [
        ("http: { interval: 20ms }", "v1", b"PROXY UNKNOWN\r\n".to_vec()),
        ("http: { interval: 20ms }", "v2", v2_raw(0x20, 0, b"")),
        ("tcp: { interval: 20ms }", "v1", b"PROXY UNKNOWN\r\n".to_vec()),
        ("tcp: { interval: 20ms }", "v2", v2_raw(0x20, 0, b"")),
    ] {
        let origin = Origin::always(Answer::ok("hello"));
        let terminator = Terminator::before(origin.address());
        let gateway = before(&terminator, &format!("proxy_protocol: {version}, health: {{ {health} }}"), "").start();
        assert!(terminator.wait_for(3).iter().all(|read| *read == header), "{health} {version}");
        let healthy = || gateway.metrics().sum("portcullis_upstream_endpoint_healthy", &[("upstream", "origin")]);
        assert_eq!(healthy(), 1.0);
        origin.stop();
        if health.starts_with("http") {
            wait::until_true("the endpoint to be left out", || healthy() == 0.0);
        }
    }
}

#[test]
fn what_a_load_balancer_announced_is_announced_on() {
    let origin = Origin::always(Answer::ok("hello"));
    let terminator = Terminator::before(origin.address());
    let gateway = before(
        &terminator,
        "proxy_protocol: v1",
        "listeners: [{ name: main, address: \"<listen>\", proxy_protocol: { from: [127.0.0.9] } }]",
    )
    .start();
    let header = v1("203.0.113.7:56324".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
    let mut balanced = connect_from(local(9), &gateway);
    balanced.send(&header);
    balanced.get("/").expect_status(200);
    assert_eq!(terminator.headers(), [header]);
}

#[test]
fn connecting_is_bounded_and_tried_elsewhere_as_without_a_header() {
    let origin = Origin::always(Answer::ok("hello"));
    let terminator = Terminator::before(origin.address());
    let dead = crate::support::ports::free_address();
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<dead>\", \"<terminator>\"], proxy_protocol: v2 }} }}\n{PASS}"
    ))
    .with("dead", dead)
    .with("terminator", terminator.address())
    .start();
    for _ in 0..4 {
        gateway.get("/").expect_status(200);
    }
    gateway.eventually_logged(|line| line["attempts"] == 2);

    // A handshake that never comes: the connection's time includes it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<silent>\"], proxy_protocol: v2, timeouts: {{ connect: 150ms }}, \
         retries: off, tls: {{ sni: origin.test }} }} }}\n{PASS}"
    ))
    .with("silent", silent.local_addr().unwrap())
    .start();
    assert_eq!(gateway.get("/").expect_status(504).json()["code"], "upstream_connect_timeout");
}
