//! Accept: bounds on open connections, exemptions, and requests on one connection.

mod announce;
mod proxy_protocol;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::support::certs::Authority;
use crate::support::client::{Client, Tls, open_from};
use crate::support::ports::{free_address, free_port};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

const ROUTES: &str = "routes: [{ name: all, access: public, respond: { body: hello } }]\n";

/// 127.0.0.`last`: Linux has the whole of 127.0.0.0/8.
fn local(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn connect_from(source: IpAddr, gateway: &Gateway) -> Client {
    Client::over(open_from(source, gateway.address())).expect("an open socket")
}

/// How often `bound` bit.
fn hits(gateway: &Gateway, bound: &str) -> f64 {
    gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", bound)])
}

/// Waits until a new connection is served, which is what shows that another one has ended.
#[track_caller]
fn wait_for_room(gateway: &Gateway) -> Client {
    wait::until("room for a connection", || {
        let mut client = gateway.connect();
        let asked = client.send_request("GET", "/", &[], b"").and_then(|()| client.try_read_response(false));
        asked.is_ok().then_some(client)
    })
}

#[test]
fn beyond_the_bound_a_connection_is_closed_at_once_and_told_once() {
    let gateway = Gateway::start(&format!("bounds: {{ connections: 3 }}\n{ROUTES}"));
    let mut open: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    for client in &mut open {
        client.get("/").expect_status(200);
    }
    for _ in 0..20 {
        assert!(gateway.connect().is_closed());
    }
    assert_eq!(hits(&gateway, "connections"), 20.0);
    let told = gateway.stderr().lines().filter(|line| line.contains("`bounds.connections`")).count();
    assert_eq!(told, 1, "{}", gateway.stderr());
    for client in &mut open {
        client.get("/").expect_status(200);
    }
    drop(open.pop());
    wait_for_room(&gateway).get("/").expect_status(200);
}

#[test]
fn each_address_has_its_own_bound() {
    let gateway = Gateway::start(&format!("bounds: {{ connections_per_address: 2 }}\n{ROUTES}"));
    let mut open: Vec<_> = (0..2).map(|_| connect_from(local(1), &gateway)).collect();
    for client in &mut open {
        client.get("/").expect_status(200);
    }
    assert!(connect_from(local(1), &gateway).is_closed());
    connect_from(local(2), &gateway).get("/").expect_status(200);
    assert_eq!(hits(&gateway, "connections_per_address"), 1.0);
    drop(open);
    wait_for_room(&gateway).get("/").expect_status(200);
}

#[test]
fn an_address_is_counted_on_all_listeners_together() {
    let second = free_address();
    let gateway = Setup::new(&format!(
        "bounds: {{ connections_per_address: 1 }}\nlisteners: [{{ name: one, address: \"<listen>\" }}, {{ name: two, \
         address: \"<second>\" }}]\n{ROUTES}"
    ))
    .with("second", second)
    .start();
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    assert!(Client::connect(second).is_closed());
    drop(client);
    wait::until_true("room on the other listener", || {
        let mut client = Client::connect(second);
        client.send_request("GET", "/", &[], b"").and_then(|()| client.try_read_response(false)).is_ok()
    });
}

#[test]
fn ipv6_addresses_are_counted() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
    let gateway = Setup::new(&format!(
        "bounds: {{ connections_per_address: 1 }}\nlisteners: [{{ name: six, address: \"<six>\" }}]\n{ROUTES}"
    ))
    .with("six", six)
    .start();
    let mut client = Client::connect(six);
    client.get("/").expect_status(200);
    assert!(Client::connect(six).is_closed());
    assert_eq!(hits(&gateway, "connections_per_address"), 1.0);
}

#[test]
fn trusted_proxies_may_bring_more_than_one_address_may() {
    let gateway =
        Gateway::start(&format!("bounds: {{ connections_per_address: 1 }}\ntrusted_proxies: [127.0.0.7]\n{ROUTES}"));
    let mut balancer: Vec<_> = (0..5).map(|_| connect_from(local(7), &gateway)).collect();
    for client in &mut balancer {
        client.get("/").expect_status(200);
    }
    let mut other = connect_from(local(8), &gateway);
    other.get("/").expect_status(200);
    assert!(connect_from(local(8), &gateway).is_closed());
}

#[test]
fn a_connection_that_fails_before_http_gives_its_place_back() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let gateway = Setup::new(&format!(
        "bounds: {{ connections: 1, handshake: 300ms }}\nlisteners: [{{ name: main, address: \"<listen>\", tls: {{ \
         certificates: [{{ cert: \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    ))
    .file("edge.pem", &identity.cert_pem)
    .file("edge.key", &identity.key_pem)
    .start();
    let tls = Tls::new("gateway.test", &authority.certificate());
    // It holds the only place while its handshake does not come, and a second one gets none.
    let mut silent = gateway.connect();
    wait::until_true("the first to be accepted", || gateway.metrics().sum("portcullis_connections", &[]) == 1.0);
    assert!(Client::tls(gateway.address(), &tls).is_err());
    assert!(silent.is_closed());
    let mut garbage = wait::until("room", || {
        let mut client = gateway.connect();
        client.try_send("this is no TLS\r\n\r\n").ok().map(|()| client)
    });
    assert!(garbage.try_read_response(false).is_err());
    wait::until_true("room for a handshake", || Client::tls(gateway.address(), &tls).is_ok());
}

#[test]
fn a_connection_ends_after_its_requests() {
    let origin = Origin::always(Answer::ok("hello"));
    let gateway = Gateway::before(
        &origin,
        "bounds: { requests_per_connection: 3 }\nroutes:\n  - { name: pass, match: { path: /pass }, access: public, \
         upstream: origin }\n  - { name: fixed, match: { path: /fixed }, access: public, respond: { body: hello } }\n",
    );
    for last in ["/pass", "/fixed", "/missing"] {
        let mut client = gateway.connect();
        for path in ["/pass", "/fixed"] {
            client.get(path).expect_status(200).expect_header("Connection", "keep-alive");
        }
        client.get(last).expect_header("Connection", "close");
        assert!(client.is_closed(), "{last}");
    }
    assert_eq!(hits(&gateway, "requests_per_connection"), 3.0);
    gateway.get("/fixed").expect_status(200);
}

/// The soft and the hard limit on file descriptors of the process.
fn descriptors(gateway: &Gateway) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().expect("soft"), numbers.next().expect("hard"))
}

#[test]
fn the_limit_on_file_descriptors_is_raised_to_what_the_bound_needs() {
    let yaml = format!("process: {{ threads: 1 }}\nbounds: {{ connections: 100 }}\n{ROUTES}");
    let gateway = Setup::new(&yaml).ulimit("-Sn 200 && ulimit -Hn 3000").start();
    assert_eq!(descriptors(&gateway), (3000, 3000));
    assert!(!gateway.stderr().contains("`bounds.connections`"), "{}", gateway.stderr());
    gateway.get("/").expect_status(200);
}

#[test]
fn a_limit_on_file_descriptors_below_the_bound_is_told_and_survived() {
    let yaml = format!("process: {{ threads: 1 }}\nbounds: {{ connections: 1000 }}\n{ROUTES}");
    let gateway = Setup::new(&yaml).ulimit("-n 64").start();
    assert_eq!(descriptors(&gateway), (64, 64));
    gateway.says("`bounds.connections`");
    // All of its threads run, which need descriptors too.
    gateway.connect().get("/").expect_status(200);
    // More than it can open: they wait in the kernel, and are served once others are gone.
    let open: Vec<_> = (0..100).map(|_| gateway.connect()).collect();
    wait::until_true("the process to run out", || gateway.stderr().contains("failed to accept"));
    drop(open);
    wait_for_room(&gateway).get("/").expect_status(200);
    let told = gateway.stderr().lines().filter(|line| line.contains("failed to accept")).count();
    assert_eq!(told, 1, "{}", gateway.stderr());
}

#[test]
fn idle_connections_give_their_place_back_after_the_keepalive() {
    let gateway = Gateway::start(&format!("bounds: {{ connections: 1, keepalive: 1s }}\n{ROUTES}"));
    let mut idle = gateway.connect();
    idle.get("/").expect_status(200);
    assert!(idle.is_closed());
    wait_for_room(&gateway).get("/").expect_status(200);
}
