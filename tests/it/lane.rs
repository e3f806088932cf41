//! The two lanes: which requests the gateway's own HTTP/1 exchange serves, and that one connection may use both.

mod differential;

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use crate::support::client::Client;
use crate::support::h2_client::H2;
use crate::support::raw_origin::RawOrigin;
use crate::support::wait::DEADLINE;
use crate::support::{Answer, Gateway, Origin, Setup};

const LANES: &str = "process: { fast_lane: \"on\", threads: 1 }
response_headers: { set: { X-Frame-Options: DENY } }
listeners: [{ name: main, address: \"<listen>\", http2: true }]
bounds: { requests_per_connection: 6 }
upstreams:
  plain: { endpoints: [\"<plain>\"] }
  copies: { endpoints: [\"<plain>\"] }
  http2: { endpoints: [\"<http2>\"], http2: true, timeouts: { connect: 100ms } }
routes:
  - { name: plain, match: { path: /plain }, access: public, upstream: plain }
  - { name: http2, match: { path: /http2 }, access: public, upstream: http2 }
  - { name: copied, match: { path: /copied }, access: public, upstream: plain, mirror: { upstream: copies } }
  - { name: fixed, match: { path: /fixed }, access: public, respond: { status: 200, body: fixed } }
  - { name: denied, match: { path: /denied }, access: deny }
";

fn gateway(origin: &Origin) -> Gateway {
    Setup::new(LANES).with("plain", origin.address()).with("http2", origin.address()).start()
}

#[test]
fn plain_requests_take_the_fast_lane_and_others_the_full_one() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin);
    for (path, expected) in [
        ("/plain", "fast"),
        ("/http2", "full"),
        ("/copied", "full"),
        ("/fixed", "fast"),
        ("/denied", "fast"),
        ("/nowhere", "fast"),
    ] {
        assert_eq!(gateway.get(path).header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(gateway.logged_path(path)["lane"], expected, "{path}");
        let mut http2 = H2::prior_knowledge(gateway.address());
        let answer = http2.get(&format!("http://{}{path}?h2", gateway.address()));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let line = gateway.eventually_logged(|line| line["path"] == path && line["query"] == "h2");
        assert_eq!((&line["lane"], &line["protocol"]), (&expected.into(), &"HTTP/2".into()), "{path}");
    }
    gateway.get_with("/plain?upgrade", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]);
    assert_eq!(gateway.eventually_logged(|line| line["query"] == "upgrade")["lane"], "full");
}

#[test]
fn one_connection_changes_between_the_lanes_and_is_counted_once() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = gateway(&origin);
    let mut client = gateway.connect();
    for (number, path) in ["/plain", "/copied", "/plain", "/copied", "/fixed", "/plain"].into_iter().enumerate() {
        let answer = client.request("POST", path, &[], b"body").expect_status(200);
        let last = number == 5;
        assert_eq!(answer.header("connection"), Some(if last { "close" } else { "keep-alive" }), "{number}");
        assert_eq!(answer.text(), if path == "/fixed" { "fixed" } else { "body" }, "{number}");
    }
    assert!(client.is_closed(), "after `bounds.requests_per_connection`");
    let lanes: Vec<_> = gateway.logged(6).iter().map(|line| line["lane"].as_str().unwrap().to_owned()).collect();
    assert_eq!(lanes, ["fast", "full", "fast", "full", "fast", "fast"]);
    assert_eq!(gateway.metrics().sum("portcullis_connections_total", &[]), 1.0);
}

#[test]
fn what_is_sent_ahead_waits_for_its_turn_on_either_lane() {
    let origin = Origin::start(|request| Answer::ok(request.target.clone()));
    let gateway = gateway(&origin);
    let mut client = gateway.connect();
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    client.send(["/plain", "/copied", "/plain?2", "/copied?2"].map(post).concat());
    for path in ["/plain", "/copied", "/plain?2", "/copied?2"] {
        assert_eq!(client.read_response().expect_status(200).text(), path);
    }
}

#[test]
fn an_origin_that_takes_nothing_ends_an_upload_though_the_client_goes_on() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        thread::park_timeout(DEADLINE);
    });
    let yaml = "process: { fast_lane: \"on\" }
upstreams: { origin: { endpoints: [\"<o>\"], timeouts: { send: 200ms, response: 100s } } }
bounds: { body: 1GiB }
routes: [{ name: all, access: public, upstream: origin }]\n";
    let gateway = Setup::new(yaml).with("o", origin.address()).start();
    let socket = TcpStream::connect(gateway.address()).unwrap();
    let mut upload = socket.try_clone().unwrap();
    let began = Instant::now();
    thread::spawn(move || {
        upload.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
        while upload.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let answer = Client::over(socket).unwrap().read_response().expect_status(504);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(began.elapsed() < DEADLINE, "after {:?}", began.elapsed());
    let line = gateway.logged_path("/");
    assert_eq!((&line["cause"], &line["lane"]), (&"upstream_timeout".into(), &"fast".into()));
    assert!(line["bytes_received"].as_u64().unwrap() < 1 << 26, "no more is read than the origin takes: {line}");
}

#[test]
fn a_refused_body_that_trickles_in_is_not_waited_for() {
    let gateway = Gateway::start(
        "process: { fast_lane: \"on\" }\nbounds: { body_idle: 300ms }\nroutes: [{ name: all, access: deny, body_idle: { off: slow senders } }]\n",
    );
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    client.read_response().expect_status(403);
    // Its line is written, and its connection closed, though the rest never comes.
    assert_eq!(gateway.logged_path("/")["cause"], "route_denied");
    assert!(client.is_closed());
}
