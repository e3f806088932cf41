//! NTLM and Negotiate authenticate a connection: what one client has authenticated never serves another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::PASS;
use crate::support::client::Client;
use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Answer, Gateway, Origin, Response, Setup};

/// A mail server that knows its users by their connections.
fn mail_server() -> RawOrigin {
    RawOrigin::start(|wire| {
        let (mut challenged, mut user) = (false, None);
        while let Some(head) = wire.head() {
            let credentials = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
                .map(|(_, value)| value.to_owned());
            match credentials.as_deref().and_then(|value| value.split_once(' ')) {
                Some(("NTLM", "hello")) => {
                    (challenged, user) = (true, None);
                    unauthorized(wire, "NTLM challenge");
                }
                Some(("NTLM", name)) if challenged => {
                    user = Some(name.to_owned());
                    mailbox(wire, name);
                }
                Some(("Negotiate", name)) => {
                    user = Some(name.to_owned());
                    mailbox(wire, name);
                }
                _ => match &user {
                    Some(name) => mailbox(wire, name),
                    None if head.starts_with("HEAD") => {
                        wire.send("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 5\r\n\r\n");
                    }
                    None if head.starts_with("GET /chunked") => {
                        wire.send(
                            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\", Negotiate\r\n\
                             Transfer-Encoding: chunked\r\n\r\n5\r\nwho?!\r\n0\r\n\r\n",
                        );
                    }
                    None => unauthorized(wire, "NTLM"),
                },
            }
        }
    })
}

fn unauthorized(wire: &mut Wire, challenge: &str) {
    wire.send(format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"));
}

fn mailbox(wire: &mut Wire, name: &str) {
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nmail of {name}", 8 + name.len()));
}

/// One thread, so that every client would find the same pooled connections.
fn before(origins: &[&RawOrigin], more: &str) -> Gateway {
    let endpoints: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    Setup::new(&format!(
        "process: {{ threads: 1 }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ origin: {{ \
         endpoints: [{}] }} }}\n{more}\n{PASS}",
        endpoints.join(", ")
    ))
    .start()
}

fn authorized(client: &mut Client, credentials: &str) -> Response {
    client.request("GET", "/", &[("Authorization", credentials)], b"")
}

fn log_in(client: &mut Client, name: &str) {
    client.get("/").expect_status(401);
    authorized(client, "NTLM hello").expect_status(401).expect_header("WWW-Authenticate", "NTLM challenge");
    assert_eq!(authorized(client, &format!("NTLM {name}")).expect_status(200).text(), format!("mail of {name}"));
}

#[test]
fn an_authenticated_connection_serves_its_client_alone() {
    let origin = mail_server();
    let gateway = before(&[&origin], "");
    let (mut alice, mut bob, mut stranger) = (gateway.connect(), gateway.connect(), gateway.connect());
    log_in(&mut alice, "alice");
    stranger.get("/").expect_status(401);
    log_in(&mut bob, "bob");
    for _ in 0..3 {
        // Without credentials: the connection has them.
        assert_eq!(alice.get("/").expect_status(200).text(), "mail of alice");
        assert_eq!(bob.request("POST", "/", &[], b"").expect_status(200).text(), "mail of bob");
        stranger.get("/").expect_status(401);
        stranger.request("POST", "/", &[], b"").expect_status(401);
    }
}

#[test]
fn a_handshake_stays_at_the_endpoint_where_it_began() {
    let (one, two, three) = (mail_server(), mail_server(), mail_server());
    let gateway = before(&[&one, &two, &three], "");
    for name in ["alice", "bob", "carol", "dave"] {
        let mut client = gateway.connect();
        log_in(&mut client, name);
        for _ in 0..4 {
            assert_eq!(client.get("/").expect_status(200).text(), format!("mail of {name}"));
        }
    }
}

#[test]
fn a_challenged_connection_is_given_to_nobody_else() {
    let origin = mail_server();
    let gateway = before(&[&origin], "");
    let mut client = gateway.connect();
    for (number, (method, path)) in
        [("GET", "/"), ("HEAD", "/"), ("GET", "/chunked"), ("POST", "/")].into_iter().enumerate()
    {
        client.request(method, path, &[], b"").expect_status(401);
        origin.ended(number);
    }
    assert_eq!(origin.connections(), 4);
}

#[test]
fn other_challenges_leave_connections_in_the_pool() {
    let origin = Origin::always(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x, NTLM\""));
    let gateway = Gateway::before(&origin, &format!("process: {{ threads: 1 }}\n{PASS}"));
    for _ in 0..3 {
        gateway.get_with("/", &[("Authorization", "Basic TlRMTQ==")]).expect_status(401);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_private_connection_ends_with_its_client() {
    let origin = mail_server();
    let gateway = before(&[&origin], "");
    let mut client = gateway.connect();
    log_in(&mut client, "alice");
    let number = origin.connections() - 1;
    assert!(origin.seen(number).end.is_none());
    drop(client);
    origin.ended(number);
}

#[test]
fn a_client_logs_in_anew_when_the_origin_has_ended_its_connection() {
    let left = Arc::new(AtomicUsize::new(0));
    let gone = left.clone();
    // Ends each connection after its second answer, without a word.
    let origin = RawOrigin::start(move |wire| {
        for answer in ["401 Unauthorized\r\nWWW-Authenticate: NTLM challenge", "200 OK"] {
            if wire.head().is_none() {
                return;
            }
            wire.send(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n"));
        }
        gone.fetch_add(1, Ordering::SeqCst);
    });
    let gateway = before(&[&origin], "");
    let mut client = gateway.connect();
    for round in 1..=3 {
        authorized(&mut client, "NTLM hello").expect_status(401);
        authorized(&mut client, "NTLM alice").expect_status(200);
        crate::support::wait::until_true("the origin to end it", || left.load(Ordering::SeqCst) == round);
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn what_comes_over_http2_is_authenticated_for_one_request_only() {
    let origin = mail_server();
    let gateway = before(&[&origin], "");
    let url = format!("http://{}/", gateway.address());
    let mut client = H2::prior_knowledge(gateway.address());
    let login = client.request("GET", &url, &[("authorization", "Negotiate alice")], b"").unwrap();
    assert_eq!(login.expect_status(200).text(), "mail of alice");
    // The challenge reaches the client, which then comes by HTTP/1.
    client.get(&url).expect_status(401).expect_header("WWW-Authenticate", "NTLM");
    gateway.get("/").expect_status(401);
    origin.ended(0);
}

#[test]
fn an_http2_origin_gets_credentials_for_a_connection_on_none_that_is_shared() {
    let origin = H2Origin::start(None, |_| Answer::ok("ok"));
    let gateway = Setup::new(&format!(
        "process: {{ threads: 1 }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true }} }}\n{PASS}"
    ))
    .with("o", origin.address())
    .start();
    gateway.get("/").expect_status(200);
    gateway.get_with("/", &[("Authorization", "Negotiate alice")]).expect_status(200);
    gateway.get("/").expect_status(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn clients_of_a_proxy_before_the_gateway_do_not_share_its_connection() {
    let origin = mail_server();
    let gateway = before(&[&origin], "trusted_proxies: [127.0.0.1]");
    let mut proxy = gateway.connect();
    let ask = |proxy: &mut Client, client: &str, credentials: &[(&str, &str)]| {
        let fields = [&[("X-Forwarded-For", client)], credentials].concat();
        proxy.request("GET", "/", &fields, b"")
    };
    ask(&mut proxy, "192.0.2.1", &[("Authorization", "Negotiate alice")]).expect_status(200);
    ask(&mut proxy, "192.0.2.2", &[]).expect_status(401);
    // Two clients may share an address: without credentials nobody is known to be alice.
    ask(&mut proxy, "192.0.2.1", &[]).expect_status(401);
    ask(&mut proxy, "192.0.2.1", &[("Authorization", "Negotiate alice")]).expect_status(200);
}

#[test]
fn beyond_the_bound_a_connection_serves_one_request() {
    let origin = mail_server();
    let gateway = before(&[&origin], "bounds: { private_connections: 1 }");
    let (mut alice, mut bob) = (gateway.connect(), gateway.connect());
    authorized(&mut alice, "Negotiate alice").expect_status(200);
    assert_eq!(authorized(&mut bob, "Negotiate bob").expect_status(200).text(), "mail of bob");
    bob.get("/").expect_status(401);
    assert_eq!(alice.get("/").expect_status(200).text(), "mail of alice");
    let hits = || gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "private_connections")]);
    assert_eq!(hits(), 1.0);
    drop(alice);
    crate::support::wait::until_true("a place", || {
        authorized(&mut bob, "Negotiate bob").expect_status(200);
        bob.get("/").status == 200
    });
}

#[test]
fn a_copy_for_a_mirror_carries_no_credentials_for_a_connection() {
    let (origin, mirror) = (Origin::saying("ok"), Origin::saying("ok"));
    let gateway = Setup::new(
        "upstreams: { origin: { endpoints: [\"<o>\"] }, copy: { endpoints: [\"<m>\"] } }\nroutes: [{ name: all, access: public, \
         upstream: origin, mirror: { upstream: copy } }]\n",
    )
    .with("o", origin.address())
    .with("m", mirror.address())
    .start();
    gateway.get_with("/", &[("Authorization", "Negotiate alice")]).expect_status(200);
    gateway.get("/next").expect_status(200);
    crate::support::wait::until_true("the copy", || mirror.count() > 0);
    assert_eq!(mirror.only_request().target, "/next");
}
