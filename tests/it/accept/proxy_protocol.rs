//! The PROXY protocol from load balancers: accepted from listed peers, refused from all others.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::{ROUTES, hits, local};
use crate::support::certs::Authority;
use crate::support::client::{Client, Tls, open, open_from};
use crate::support::h2_client::H2;
use crate::support::proxy_protocol::{v1, v2, v2_raw};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// The announced client, an address that no host here has.
const CLIENT: &str = "203.0.113.7:56324";
const OTHER: &str = "203.0.113.8:1";
const SIX: &str = "[2001:db8::7]:56324";
const FRONT: &str = "198.51.100.1:443";

/// A listener that believes 127.0.0.1.
const LISTENERS: &str =
    "listeners: [{ name: main, address: \"<listen>\", http2: true, proxy_protocol: { from: [127.0.0.1] } }]";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn one(client: &str) -> Vec<u8> {
    v1(address(client), address(FRONT))
}

fn two(client: &str) -> Vec<u8> {
    v2(address(client), address(if address(client).is_ipv4() { FRONT } else { "[2001:db8::1]:443" }), &[])
}

fn listening() -> Gateway {
    Gateway::start(&format!("{LISTENERS}\n{ROUTES}"))
}

/// A connection that `bytes` were sent on.
fn after(gateway: &Gateway, bytes: &[u8]) -> TcpStream {
    let mut socket = open(gateway.address()).expect("a connection");
    socket.write_all(bytes).expect("an open socket");
    socket
}

fn client_after(gateway: &Gateway, bytes: &[u8]) -> Client {
    Client::over(after(gateway, bytes)).expect("an open socket")
}

/// A TLS listener that believes 127.0.0.1 and has a certificate for `gateway.test`.
fn listening_tls(authority: &Authority, from: &str, rest: &str) -> Gateway {
    let identity = authority.issue(&["gateway.test"]);
    Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", proxy_protocol: {{ from: [{from}] }}, tls: {{ certificates: \
         [{{ cert: \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\n{rest}{ROUTES}"
    ))
    .file("edge.pem", &identity.cert_pem)
    .file("edge.key", &identity.key_pem)
    .start()
}

/// How many connections came without a proper header.
fn failures(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_proxy_header_failures_total", &[("listener", "main")])
}

/// Asserts that the line names the announced client and the load balancer.
#[track_caller]
fn tells(line: &serde_json::Value, client: &str) {
    assert_eq!(line["peer"], client, "{line}");
    assert_eq!(line["client"], address(client).ip().to_string(), "{line}");
    assert!(line["via"].as_str().is_some_and(|via| via.starts_with("127.0.0.1:")), "{line}");
}

// Who is listed is believed.

#[test]
fn the_announced_client_is_in_the_log_and_before_the_origin() {
    let origin = Origin::always(Answer::ok("hello"));
    let gateway =
        Gateway::before(&origin, &format!("{LISTENERS}\nroutes: [{{ name: all, access: public, upstream: origin }}]"));
    for (number, (header, client)) in
        [(one(CLIENT), CLIENT), (two(CLIENT), CLIENT), (one(SIX), SIX), (two(SIX), SIX)].into_iter().enumerate()
    {
        let path = format!("/{number}");
        let header = if header == one(SIX) { v1(address(SIX), address("[2001:db8::1]:443")) } else { header };
        let mut client_side = client_after(&gateway, &header);
        // Its forwarding fields are ignored: it is not a trusted proxy.
        let response = client_side.request("GET", &path, &[("X-Forwarded-For", "192.0.2.99")], b"");
        response.expect_status(200);
        tells(&gateway.logged_path(&path), client);
        let shown = address(client).ip().to_string();
        assert_eq!(origin.last_request().header("X-Forwarded-For"), Some(&*shown), "{client}");
        client_side.get(&path).expect_status(200);
    }
    assert_eq!(failures(&gateway), 0.0);
}

#[test]
fn a_header_comes_before_tls_and_http2() {
    let authority = Authority::new("test");
    let gateway = listening_tls(&authority, "127.0.0.1", "");
    let tls = Tls::new("gateway.test", &authority.certificate()).alpn("http/1.1");
    for (path, header) in [("/one", one(CLIENT)), ("/two", two(CLIENT))] {
        let (mut client, _) = Client::tls_over(after(&gateway, &header), &tls).expect("a handshake");
        client.get(path).expect_status(200);
        let line = gateway.logged_path(path);
        tells(&line, CLIENT);
        assert_eq!(line["tls"], "TLSv1.3");
    }
    let mut h2 = H2::tls_over(after(&gateway, &two(SIX)), "gateway.test", &authority.certificate());
    h2.get("https://gateway.test/h2").expect_status(200);
    let line = gateway.logged_path("/h2");
    tells(&line, SIX);
    assert_eq!(line["protocol"], "HTTP/2");
}

#[test]
fn a_header_comes_before_http2_with_prior_knowledge() {
    let gateway = listening();
    let mut h2 = H2::prior_knowledge_over(after(&gateway, &one(CLIENT)));
    for answer in h2.get_together("http://gateway.test/h2", &[], 5) {
        answer.expect_status(200);
    }
    tells(&gateway.logged_path("/h2"), CLIENT);
}

#[test]
fn a_header_may_arrive_in_pieces_or_with_the_request() {
    let gateway = listening();
    let request = b"GET /together HTTP/1.1\r\nHost: a\r\n\r\n";
    for header in [one(CLIENT), two(CLIENT), v2(address(CLIENT), address(FRONT), &long_extension(1000))] {
        let mut whole = client_after(&gateway, &[&header[..], request].concat());
        whole.read_response().expect_status(200);

        let mut pieces = gateway.connect();
        for byte in &header {
            pieces.send([*byte]);
        }
        for piece in request.chunks(10) {
            pieces.send(piece);
        }
        pieces.read_response().expect_status(200);
    }
    for line in gateway.logged(6) {
        tells(&line, CLIENT);
    }
    assert_eq!(failures(&gateway), 0.0);
}

/// An extension of `length` bytes (PP2_TYPE_NOOP).
fn long_extension(length: u16) -> Vec<u8> {
    [&[4][..], &length.to_be_bytes(), &vec![0; usize::from(length)]].concat()
}

#[test]
fn a_load_balancer_may_speak_for_itself() {
    let gateway = listening();
    let headers = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 203.0.113.7 198.51.100.1 1 2\r\n".to_vec(),
        v2_raw(0x20, 0x00, b""),
        v2_raw(0x20, 0x11, &[203, 0, 113, 7, 198, 51, 100, 1, 0, 1, 0, 2]),
        v2_raw(0x21, 0x00, b""),
        v2_raw(0x21, 0x31, &[b'/'; 216]),
    ];
    for header in &headers {
        client_after(&gateway, header).get("/").expect_status(200);
    }
    for line in gateway.logged(headers.len()) {
        assert_eq!((&line["client"], line.get("via")), (&"127.0.0.1".into(), None), "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
}

#[test]
fn limits_and_bounds_count_the_announced_client() {
    let gateway = Gateway::start(&format!(
        "{LISTENERS}\nbounds: {{ connections_per_address: 1 }}\nroutes: [{{ name: all, access: public, respond: {{ \
         body: hello }}, limits: [{{ name: calls, key: client_address, rate: 1/h, burst: 1 }}] }}]\n"
    ));
    let mut first = client_after(&gateway, &one(CLIENT));
    first.get("/").expect_status(200);
    first.get("/").expect_status(429);
    let mut other = client_after(&gateway, &two(OTHER));
    other.get("/").expect_status(200);
    other.get("/").expect_status(429);
    // Both clients have the only connection that each may have; their load balancer may bring more.
    assert!(client_after(&gateway, &two(CLIENT)).is_closed());
    assert_eq!(hits(&gateway, "connections_per_address"), 1.0);
    drop(first);
    wait::until_true("the first client's connection to end", || {
        let mut client = client_after(&gateway, &two(CLIENT));
        client.send_request("GET", "/", &[], b"").and_then(|()| client.try_read_response(false)).is_ok()
    });
}

#[test]
fn a_network_of_ipv6_counts_as_one_client() {
    let gateway = Gateway::start(&format!("{LISTENERS}\nbounds: {{ connections_per_address: 1 }}\n{ROUTES}"));
    let mut first = client_after(&gateway, &two("[2001:db8:0:1::7]:1"));
    first.get("/").expect_status(200);
    assert!(client_after(&gateway, &two("[2001:db8:0:1:ffff::8]:1")).is_closed());
    client_after(&gateway, &two("[2001:db8:0:2::7]:1")).get("/").expect_status(200);
    first.get("/").expect_status(200);
}

#[test]
fn whether_a_proxy_is_trusted_is_asked_of_the_announced_address() {
    // The load balancer's own address would be believed, but it speaks for others.
    let gateway = Gateway::start(&format!("{LISTENERS}\ntrusted_proxies: [127.0.0.1, 10.1.1.1]\n{ROUTES}"));
    let forwarded = [("X-Forwarded-For", "198.51.100.99")];
    client_after(&gateway, &one("10.1.1.1:5")).request("GET", "/proxy", &forwarded, b"").expect_status(200);
    client_after(&gateway, &one(CLIENT)).request("GET", "/client", &forwarded, b"").expect_status(200);
    let line = gateway.logged_path("/proxy");
    assert_eq!((&line["client"], &line["peer"]), (&"198.51.100.99".into(), &"10.1.1.1:5".into()));
    tells(&gateway.logged_path("/client"), CLIENT);
}

// Who is listed must announce.

#[test]
fn a_listed_peer_without_a_proper_header_is_closed_and_counted() {
    let gateway = listening();
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    let mut forged = v2(address(CLIENT), address(FRONT), &[3, 0, 4, 1, 2, 3, 4]);
    let broken = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\xa0 a handshake".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 +1 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        endless,
        v2_raw(0x21, 0x11, &[0; 11]),
        v2_raw(0x21, 0x12, &[0; 12]),
        v2(address(CLIENT), address(FRONT), &long_extension(4096)),
        forged.clone(),
        vec![0; 5000],
    ];
    forged.truncate(20);
    for bytes in &broken {
        let mut client = gateway.connect();
        let _ = client.try_send(bytes);
        assert!(client.is_closed(), "{bytes:?}");
    }
    let mut cut_off = client_after(&gateway, &forged);
    cut_off.finish_sending();
    assert!(cut_off.is_closed());
    wait::until_true("every failure to be counted", || failures(&gateway) == broken.len() as f64 + 1.0);
    assert_eq!(gateway.stdout(), "", "no request was read");
    let told = gateway.stderr().lines().filter(|line| line.contains("without a PROXY header")).count();
    assert_eq!(told, 1, "{}", gateway.stderr());
    client_after(&gateway, &one(CLIENT)).get("/").expect_status(200);
}

#[test]
fn a_header_has_its_time() {
    let authority = Authority::new("test");
    let plain = Gateway::start(&format!("{LISTENERS}\nbounds: {{ handshake: 300ms }}\n{ROUTES}"));
    let tls = listening_tls(&authority, "127.0.0.1", "bounds: { handshake: 300ms }\n");
    let header = one(CLIENT);
    for gateway in [&plain, &tls] {
        assert!(gateway.connect().is_closed(), "silence");
        assert!(client_after(gateway, &header[..20]).is_closed(), "a part of it");
        wait::until_true("both to be counted", || failures(gateway) == 2.0 && hits(gateway, "handshake") == 2.0);
    }
    // The handshake has what is left of it.
    assert!(client_after(&tls, &header).is_closed());
    wait::until_true("the handshake to be counted", || hits(&tls, "handshake") == 3.0);
    assert_eq!(failures(&tls), 2.0);
}

#[test]
fn a_load_balancer_that_only_looks_in_is_not_counted_as_a_failure() {
    let gateway = listening();
    for _ in 0..5 {
        drop(gateway.connect());
    }
    client_after(&gateway, &one(CLIENT)).get("/").expect_status(200);
    wait::until_true("the connections to end", || gateway.metrics().sum("portcullis_connections", &[]) == 0.0);
    assert_eq!(failures(&gateway), 0.0);
    assert!(!gateway.stderr().contains("PROXY"), "{}", gateway.stderr());
}

// Who is not listed is not believed.

/// Asserts that the address that an unlisted peer announced occurs in no output of the gateway.
#[track_caller]
fn nowhere(gateway: &Gateway, client: &str) {
    let told = gateway.stdout() + &gateway.stderr() + &gateway.metrics().0;
    assert!(!told.contains(&address(client).ip().to_string()), "{told}");
}

#[test]
fn an_unlisted_peer_is_served_as_it_is_and_its_header_is_malformed() {
    let origin = Origin::always(Answer::ok("hello"));
    let gateway = Gateway::before(
        &origin,
        "listeners: [{ name: main, address: \"<listen>\", http2: true, proxy_protocol: { from: [127.0.0.9, 10.0.0.0/8] } \
         }]\nresponse_headers: { set: { X-Frame-Options: DENY } }\nroutes: [{ name: all, access: public, upstream: \
         origin }]",
    );
    gateway.get("/plain").expect_status(200);
    assert_eq!(gateway.logged_path("/plain")["client"], "127.0.0.1");
    let request = b"GET /spoofed HTTP/1.1\r\nHost: a\r\n\r\n";
    for header in [one(CLIENT), two(CLIENT)] {
        let mut client = client_after(&gateway, &[&header[..], request].concat());
        let response = client.read_response().expect_status(400).expect_header("X-Frame-Options", "DENY");
        assert_eq!(response.json()["code"], "malformed_request");
        assert!(client.is_closed());
    }
    let lines = gateway.logged(3);
    assert!(lines.iter().all(|line| line["client"] == "127.0.0.1" && line.get("via").is_none()), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line["cause"] == "malformed_request").count(), 2, "{lines:#?}");
    assert_eq!((origin.count(), failures(&gateway)), (1, 0.0));
    nowhere(&gateway, CLIENT);
    // The one that is listed, beside it on the same listener.
    let mut socket = open_from(local(9), gateway.address());
    socket.write_all(&one(CLIENT)).unwrap();
    Client::over(socket).unwrap().get("/listed").expect_status(200);
    assert_eq!(gateway.logged_path("/listed")["client"], "203.0.113.7");
}

#[test]
fn an_unlisted_peers_header_breaks_its_tls_handshake() {
    let authority = Authority::new("test");
    let gateway = listening_tls(&authority, "127.0.0.9", "");
    let tls = Tls::new("gateway.test", &authority.certificate());
    for header in [one(CLIENT), two(CLIENT)] {
        assert!(Client::tls_over(after(&gateway, &header), &tls).is_err());
    }
    let failed = || gateway.metrics().sum("portcullis_tls_handshake_failures_total", &[]);
    wait::until_true("both handshakes to be counted", || failed() == 2.0);
    let (mut client, _) = Client::tls(gateway.address(), &tls).expect("a handshake");
    client.get("/").expect_status(200);
    nowhere(&gateway, CLIENT);
}

#[test]
fn without_the_setting_nobody_is_believed() {
    let gateway = Gateway::start(ROUTES);
    for header in [one(CLIENT), two(CLIENT)] {
        client_after(&gateway, &[&header[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat())
            .read_response()
            .expect_status(400);
    }
    nowhere(&gateway, CLIENT);
}
