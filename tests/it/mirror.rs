//! Mirror: copies of requests for another upstream, without effect on the originals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::certs::Authority;
use crate::support::client::Client;
use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::origin::Request;
use crate::support::ports::free_address;
use crate::support::raw_origin::RawOrigin;
use crate::support::{Answer, Gateway, Origin, Setup, jwt, wait};

/// A gateway before `real` whose route copies what `mirror` says to the address `copies`.
fn mirroring(real: SocketAddr, copies: SocketAddr, mirror: &str) -> Setup {
    Setup::new(&format!(
        "upstreams:
  real: {{ endpoints: [\"<real>\"] }}
  next: {{ endpoints: [\"<copies>\"] }}
routes:
  - name: all
    access: public
    upstream: real
    mirror: {{ upstream: next, {mirror} }}
"
    ))
    .with("real", real)
    .with("copies", copies)
}

/// The copy of the request to `target`, once it has come.
#[track_caller]
fn copy_of(copies: &Origin, target: &str) -> Request {
    wait::until("the copy", || copies.requests().into_iter().find(|request| request.target == target))
}

/// Waits until this many requests have ended as copies with `outcome`.
#[track_caller]
fn counted(gateway: &Gateway, outcome: &str, count: usize) {
    wait::until_true(&format!("{count} copies that ended with {outcome}"), || mirrored(gateway, outcome) == count);
}

fn mirrored(gateway: &Gateway, outcome: &str) -> usize {
    gateway.metrics().sum("portcullis_mirrored_total", &[("route", "all"), ("outcome", outcome)]) as usize
}

// What is copied.

#[test]
fn the_copy_has_what_the_origin_was_shown_and_a_mark() {
    let (real, copies) = (Origin::saying("real"), Origin::saying("copy"));
    let gateway = Setup::new(
        "upstreams: { real: { endpoints: [\"<real>\"] }, next: { endpoints: [\"<copies>\"] } }
identities: { corp: { jwt: { issuer: \"https://id.example.com\", audience: orders, keys: { jwks_file: \"<dir>/jwks.json\" } } } }
routes:
  - name: all
    match: { path: \"/v1/*\" }
    access: { identity: corp }
    upstream: real
    rewrite: { strip_prefix: /v1, host: inner.test }
    mirror: { upstream: next }
",
    )
    .with("real", real.address())
    .with("copies", copies.address())
    .file("jwks.json", jwt::jwks())
    .start();
    let token = jwt::bearer(&jwt::token("ann", "orders.read"));
    let headers = [("Authorization", &*token), ("X-Custom", "a"), ("X-Portcullis-Mirror", "forged"), ("Cookie", "a=b")];
    assert_eq!(gateway.get_with("/v1/orders/7?x=1", &headers).expect_status(200).text(), "real");
    let (shown, copy) = (real.only_request(), copy_of(&copies, "/orders/7?x=1"));
    assert_eq!(shown.header("X-Portcullis-Mirror"), None);
    assert_eq!(copy.header("X-Portcullis-Mirror"), Some("1"));
    assert_eq!(copy.header("Authorization"), None);
    assert_eq!(copy.header("X-Portcullis-Principal"), Some("ann"));
    assert_eq!(copy.header("Host"), Some("inner.test"));
    let id = shown.header("X-Request-Id").expect("an id");
    assert_eq!(copy.header("X-Request-Id"), Some(&*format!("{id}-mirror")));
    let others = |request: &Request| {
        let mut others = request.headers.clone();
        others.retain(|(name, _)| !["x-request-id", "x-portcullis-mirror"].contains(&&*name.to_ascii_lowercase()));
        others.sort();
        others
    };
    assert_eq!(others(&shown), others(&copy));
    // The log has one line, of the real request.
    counted(&gateway, "answered", 1);
    assert_eq!(gateway.logged(1).len(), 1);
    assert_eq!(gateway.log_lines()[0]["upstream"], "real");
}

#[test]
fn a_refused_request_is_not_copied() {
    let (real, copies) = (Origin::saying("real"), Origin::saying("copy"));
    let gateway = Setup::new(
        "upstreams: { real: { endpoints: [\"<real>\"] }, next: { endpoints: [\"<copies>\"] } }
routes:
  - name: all
    match: { path: \"/open/*\" }
    access: public
    upstream: real
    mirror: { upstream: next }
  - name: closed
    addresses: { deny: [127.0.0.1] }
    access: public
    upstream: real
    mirror: { upstream: next }
",
    )
    .with("real", real.address())
    .with("copies", copies.address())
    .start();
    gateway.get("/closed").expect_status(403);
    gateway.get("/open/").expect_status(200);
    counted(&gateway, "answered", 1);
    assert_eq!(copies.only_request().target, "/open/");
}

#[test]
fn only_safe_methods_are_copied_unless_told_otherwise() {
    let (real, copies) = (Origin::saying("real"), Origin::saying("copy"));
    let gateway = mirroring(real.address(), copies.address(), "share: 100%").start();
    let all = ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"];
    for method in all {
        gateway.request(method, &format!("/{method}"), &[], b"").expect_status(200);
    }
    gateway.connect().request("HEAD", "/HEAD", &[], b"").expect_status(200);
    counted(&gateway, "answered", 3);
    let mut copied: Vec<_> = copies.requests().into_iter().map(|request| request.target).collect();
    copied.sort_unstable();
    assert_eq!(copied, ["/GET", "/HEAD", "/OPTIONS"]);

    let copies = Origin::saying("copy");
    let gateway = mirroring(real.address(), copies.address(), "methods: [POST]").start();
    for method in all {
        gateway.request(method, &format!("/{method}"), &[], b"order").expect_status(200);
    }
    assert_eq!(copy_of(&copies, "/POST").body, b"order");
    counted(&gateway, "answered", 1);
    assert_eq!(copies.count(), 1);
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let (real, copies) = (Origin::saying("real"), Origin::saying("copy"));
    let gateway = mirroring(real.address(), copies.address(), "share: 25%, concurrent: 10000, timeout: 60s").start();
    let mut client = gateway.connect();
    for _ in 0..1000 {
        client.get("/").expect_status(200);
    }
    wait::until_true("the copies to have ended", || mirrored(&gateway, "answered") == copies.count());
    // Six standard deviations.
    assert!((168..332).contains(&copies.count()), "{}", copies.count());

    let silent = mirroring(real.address(), copies.address(), "share: 0%").start();
    let before = copies.count();
    silent.get("/").expect_status(200);
    assert_eq!((copies.count(), silent.metrics().sum("portcullis_mirrored_total", &[])), (before, 0.0));
}

#[test]
fn bodies_are_copied_whole_however_they_come() {
    let real = Origin::start(|request| Answer::ok(request.body.clone()));
    let copies = Origin::saying("copy");
    let gateway = mirroring(real.address(), copies.address(), "methods: [POST]").start();
    let body: Vec<u8> = (0..60_000u32).map(|n| (n % 251) as u8).collect();
    assert!(gateway.request("POST", "/length", &[], &body).body == body);
    let copy = copy_of(&copies, "/length");
    assert!(copy.body == body);
    assert_eq!(copy.header("Content-Length"), Some("60000"));

    let mut client = gateway.connect();
    client.send("POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.send("7\r\n second\r\n0\r\n\r\n");
    assert_eq!(client.read_response().text(), "first second");
    let copy = copy_of(&copies, "/chunks");
    assert_eq!(copy.body, b"first second");
    assert_eq!((copy.header("Transfer-Encoding"), copy.header("Content-Length")), (None, Some("12")));

    // Without a body, and with one that has nothing in it.
    gateway.request("POST", "/empty", &[("Content-Length", "0")], b"").expect_status(200);
    assert!(copy_of(&copies, "/empty").body.is_empty());
    let mut client = gateway.connect();
    client.send("POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    client.read_response().expect_status(200);
    assert!(copy_of(&copies, "/nothing").body.is_empty());
    counted(&gateway, "answered", 4);
}

#[test]
fn a_large_body_is_not_copied_and_comes_whole_to_the_origin() {
    let real = Origin::start(|request| Answer::ok(request.body.len().to_string()));
    let copies = Origin::saying("copy");
    let gateway = mirroring(real.address(), copies.address(), "methods: [POST], body: 1KiB").start();
    let large = vec![b'x'; 200_000];
    assert_eq!(gateway.request("POST", "/said", &[], &large).text(), "200000");
    let mut client = gateway.connect();
    client.send("POST /unsaid HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        client.send([b"7d0\r\n", &large[..2000], b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_response().text(), "200000");
    counted(&gateway, "too_large", 2);
    // The bound itself is within.
    gateway.request("POST", "/fits", &[], &large[..1024]).expect_status(200);
    assert_eq!(copy_of(&copies, "/fits").body.len(), 1024);
    assert_eq!(copies.count(), 1);
}

#[test]
fn upgrades_and_expectations_are_not_copied() {
    let real = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let copies = Origin::saying("copy");
    let gateway = Setup::new(
        "upstreams: { real: { endpoints: [\"<real>\"] }, next: { endpoints: [\"<copies>\"] } }
routes: [{ name: all, access: public, upstream: real, mirror: { upstream: next, methods: [GET, POST] } }]",
    )
    .with("real", real.address())
    .with("copies", copies.address())
    .start();
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    gateway.get_with("/upgrade", &upgrade).expect_status(200);
    gateway.request("POST", "/expect", &[("Expect", "100-continue"), ("Content-Length", "0")], b"").expect_status(200);
    gateway.get("/plain").expect_status(200);
    counted(&gateway, "answered", 1);
    assert_eq!(copies.only_request().target, "/plain");
}

#[test]
fn a_request_that_the_mirrors_upstream_gets_anyway_is_not_copied() {
    let (stable, canary) = (Origin::saying("stable"), Origin::saying("canary"));
    let gateway = Setup::new(
        "upstreams: { stable: { endpoints: [\"<stable>\"] }, canary: { endpoints: [\"<canary>\"] } }
routes:
  - name: all
    access: public
    upstream: { split: [{ upstream: stable }, { upstream: canary, share: 0%, when: [{ header: x-canary }] }] }
    mirror: { upstream: canary }
",
    )
    .with("stable", stable.address())
    .with("canary", canary.address());
    let explained = |header: &str| {
        let output = gateway.output("explain", &["GET", "http://gateway.test/", "-H", header]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(explained("X-Other: 1").contains("mirror     100%") && !explained("X-Canary: 1").contains("mirror  "));
    let gateway = gateway.start();
    gateway.get_with("/real", &[("X-Canary", "1")]).expect_status(200);
    gateway.get("/copied").expect_status(200);
    counted(&gateway, "answered", 1);
    let targets: Vec<_> = canary.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/real", "/copied"]);
}

#[test]
fn http2_clients_and_http2_mirrors_are_copied_between_the_versions() {
    let real = Origin::start(|request| Answer::ok(request.body.clone()));
    let authority = Authority::new("test");
    let plain = H2Origin::start(None, |_| Answer::ok("copy"));
    let secret = H2Origin::start(Some(h2_config(&authority)), |_| Answer::ok("copy"));
    let one = Origin::saying("copy");
    let gateway = Setup::new(
        "listeners: [{ name: main, address: \"<listen>\", http2: true }]
upstreams:
  real: { endpoints: [\"<real>\"] }
  one: { endpoints: [\"<one>\"] }
  plain: { endpoints: [\"<plain>\"], http2: true }
  secret: { endpoints: [\"<secret>\"], http2: true, tls: { sni: origin.test, ca: \"<dir>/ca.pem\" } }
routes:
  - { name: one, match: { path: /one }, access: public, upstream: real, mirror: { upstream: one, methods: [GET, POST] } }
  - { name: plain, match: { path: /plain }, access: public, upstream: real, mirror: { upstream: plain, methods: [GET, POST] } }
  - { name: secret, match: { path: /secret }, access: public, upstream: real, mirror: { upstream: secret, methods: [GET, POST] } }
  - { name: back, match: { path: /back }, access: public, upstream: plain, mirror: { upstream: one, methods: [GET, POST] } }
",
    )
    .with("real", real.address())
    .with("one", one.address())
    .with("plain", plain.address())
    .with("secret", secret.address())
    .file("ca.pem", authority.pem())
    .start();
    let mut h2 = H2::prior_knowledge(gateway.address());
    for path in ["one", "plain", "secret"] {
        let url = format!("http://gateway.test/{path}");
        assert_eq!(h2.request("POST", &url, &[("x-from", "h2")], b"body").unwrap().text(), "body");
        h2.get(&url).expect_status(200);
        assert_eq!(gateway.request("POST", &format!("/{path}"), &[("x-from", "h1")], b"body").text(), "body");
    }
    h2.request("POST", "http://gateway.test/back", &[("te", "trailers")], b"body").unwrap();
    let body_and_host = |request: &Request, host: &str| {
        assert_eq!(request.values("content-length"), ["4"], "{request:?}");
        assert_eq!(request.body, b"body");
        assert!(host.is_empty() || request.header("host") == Some(host), "{request:?}");
        assert_eq!(request.header("x-portcullis-mirror"), Some("1"));
        assert_eq!(request.header("te"), None);
    };
    type Received<'a> = &'a dyn Fn() -> Vec<Request>;
    let copies: [(&str, Received<'_>, &str); 3] = [
        ("/one", &|| one.requests(), "gateway.test"),
        ("/plain", &|| plain.requests(), ""),
        ("/secret", &|| secret.requests(), ""),
    ];
    for (target, requests, host) in copies {
        let seen = wait::until("three copies", || {
            let seen: Vec<_> = requests().into_iter().filter(|request| request.target == target).collect();
            (seen.len() == 3).then_some(seen)
        });
        for copy in seen.iter().filter(|request| request.method == "POST") {
            body_and_host(copy, host);
            assert!(host == "gateway.test" || copy.head.contains("gateway.test"), "{}", copy.head);
        }
    }
    body_and_host(&copy_of(&one, "/back"), "gateway.test");
    let answered = || gateway.metrics().sum("portcullis_mirrored_total", &[("outcome", "answered")]);
    wait::until_true("ten answers", || answered() == 10.0);
}

fn h2_config(authority: &Authority) -> Arc<rustls::ServerConfig> {
    authority.issue(&["origin.test"]).server(&["h2"], None)
}

// What a mirror can't do.

/// Asserts that the gateway answers GETs and POSTs from `real` as if there were no mirror.
#[track_caller]
fn unharmed(gateway: &Gateway, n: usize) {
    let mut client = gateway.connect();
    let began = Instant::now();
    for n in 0..n {
        let path = format!("/{n}");
        assert_eq!(client.get(&path).expect_status(200).text(), "real ");
        assert_eq!(client.request("POST", &path, &[], b"body").expect_status(200).text(), "real body");
    }
    // A mirror that was waited for even once would take its timeout.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

fn real() -> Origin {
    Origin::start(|request| Answer::ok([b"real ".to_vec(), request.body.clone()].concat()))
}

#[test]
fn a_mirror_that_hangs_delays_nothing() {
    let (real, silent) = (real(), RawOrigin::start(|wire| while wire.head().is_some() {}));
    let gateway = mirroring(real.address(), silent.address(), "methods: [GET, POST], timeout: 60s").start();
    unharmed(&gateway, 20);
    assert_eq!(mirrored(&gateway, "answered") + mirrored(&gateway, "timeout"), 0);
}

#[test]
fn a_mirror_that_is_too_slow_is_given_up() {
    let (real, silent) = (real(), RawOrigin::start(|wire| while wire.head().is_some() {}));
    let gateway = mirroring(real.address(), silent.address(), "timeout: 50ms").start();
    gateway.get("/").expect_status(200);
    counted(&gateway, "timeout", 1);
    // Its place is free again.
    let endless = RawOrigin::start(|wire| {
        if wire.head().is_some() {
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while wire.send(b"3\r\nabc\r\n") {}
        }
    });
    let gateway = mirroring(real.address(), endless.address(), "timeout: 50ms, concurrent: 1").start();
    gateway.get("/").expect_status(200);
    counted(&gateway, "timeout", 1);
    gateway.get("/").expect_status(200);
    counted(&gateway, "timeout", 2);
}

#[test]
fn a_mirror_that_is_dead_or_breaks_off_or_answers_garbage_changes_nothing() {
    for (name, copies) in [
        ("dead", None),
        ("closing", Some(RawOrigin::answering_then_closing(""))),
        ("garbage", Some(RawOrigin::answering_then_closing("\0\x01garbage\r\n\r\n"))),
        ("half", Some(RawOrigin::answering_then_closing("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))),
    ] {
        let real = real();
        let address = copies.as_ref().map_or_else(free_address, |copies| copies.address());
        let gateway = mirroring(real.address(), address, "methods: [GET, POST], concurrent: 10000").start();
        unharmed(&gateway, 5);
        wait::until_true(&format!("the copies to have failed ({name})"), || mirrored(&gateway, "failed") == 10);
        // They don't count as requests of the mirror's upstream.
        assert_eq!(gateway.metrics().sum("portcullis_upstream_requests_total", &[("upstream", "next")]), 0.0);
        assert_eq!(gateway.metrics().sum("portcullis_upstream_connect_failures_total", &[]), 0.0);
    }
}

#[test]
fn an_error_of_the_mirror_is_an_answer_of_nobody() {
    let (real, copies) = (real(), Origin::always(Answer::status(500).header("Set-Cookie", "a=b")));
    let gateway = mirroring(real.address(), copies.address(), "methods: [GET]").start();
    gateway.get("/").expect_status(200).expect_no_header("Set-Cookie");
    counted(&gateway, "answered", 1);
}

#[test]
fn interim_answers_of_the_mirror_are_passed_over() {
    let real = real();
    let copies = RawOrigin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = mirroring(real.address(), copies.address(), "methods: [GET]").start();
    for n in 1..=3 {
        gateway.get("/").expect_status(200);
        counted(&gateway, "answered", n);
    }
}

#[test]
fn connections_to_the_mirror_are_reused() {
    let (real, copies) = (real(), Origin::saying("copy"));
    let setup = mirroring(real.address(), copies.address(), "methods: [GET]");
    let gateway = setup.start();
    let mut client = gateway.connect();
    for n in 1..=10 {
        client.get("/").expect_status(200);
        counted(&gateway, "answered", n);
    }
    assert!(copies.connections() < 10, "{}", copies.connections());
}

#[test]
fn beyond_its_number_nothing_is_copied_and_that_is_counted() {
    let (real, silent) = (real(), RawOrigin::start(|wire| while wire.head().is_some() {}));
    let gateway = mirroring(real.address(), silent.address(), "concurrent: 3, timeout: 60s").start();
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.get("/").expect_status(200);
    }
    assert_eq!(mirrored(&gateway, "dropped"), 7);
    wait::until_true("three copies in flight", || silent.connections() == 3);
}

#[test]
fn a_request_that_breaks_off_leaves_no_copy_and_no_place_taken() {
    let copies = Origin::saying("copy");
    let real = RawOrigin::start(|wire| match wire.head() {
        Some(head) if head.contains("/whole") => {
            wire.take(4);
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        _ => wire.drain(),
    });
    let gateway = mirroring(real.address(), copies.address(), "methods: [POST], concurrent: 1").start();
    for n in 1..=3 {
        let mut client = gateway.connect();
        client.send("POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
        wait::until_true("the first half at the origin", || {
            real.connections() == n && real.seen(n - 1).text().ends_with("half")
        });
        drop(client);
        counted(&gateway, "abandoned", n);
    }
    gateway.request("POST", "/whole", &[], b"body").expect_status(200);
    copy_of(&copies, "/whole");
    assert_eq!(copies.count(), 1);
}

#[test]
fn copies_in_flight_do_not_hold_a_process_that_drains() {
    let (real, silent) = (real(), RawOrigin::start(|wire| while wire.head().is_some() {}));
    let setup = mirroring(real.address(), silent.address(), "timeout: 3600s");
    let mut gateway = setup.start();
    for _ in 0..5 {
        gateway.get("/").expect_status(200);
    }
    wait::until_true("copies in flight", || silent.connections() == 5);
    // The bound on draining is 30 s; waiting for a copy would take longer than this waits.
    assert!(gateway.terminate().success());
}

/// The first connection ends in the middle of its second request, so that the gateway tries that one again on another.
fn forgetful() -> RawOrigin {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    RawOrigin::start(|wire| {
        for request in 0.. {
            if wire.head().is_none() || wire.take(4).is_none() || (wire.number == 0 && request == 1) {
                return;
            }
            // What follows the first half, if anything does.
            if wire.number > 0 && wire.take(4).is_none() {
                return;
            }
            wire.send(OK);
        }
    })
}

#[test]
fn a_request_that_is_tried_again_is_copied_once_and_whole() {
    for whole_before in [true, false] {
        let (real, copies) = (forgetful(), Origin::saying("copy"));
        let gateway = mirroring(real.address(), copies.address(), "methods: [PUT]").start();
        let mut client = gateway.connect();
        assert_eq!(client.request("PUT", "/first", &[], b"half").expect_status(200).text(), "ok");
        client.send("PUT /again HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        if whole_before {
            client.send("rest");
        } else {
            wait::until_true("the second try", || real.connections() == 2 && real.seen(1).text().ends_with("half"));
            client.send("rest");
        }
        assert_eq!(client.read_response().expect_status(200).text(), "ok");
        assert_eq!(copy_of(&copies, "/again").body, b"halfrest");
        counted(&gateway, "answered", 2);
        assert_eq!((copies.count(), real.connections()), (2, 2));
    }
}

#[test]
fn the_clients_address_is_announced_to_a_mirror_that_wants_it() {
    let real = real();
    let copies = RawOrigin::start(|wire| {
        if wire.head().is_some() {
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let gateway = Setup::new(
        "upstreams:
  real: { endpoints: [\"<real>\"] }
  next: { endpoints: [\"<copies>\"], proxy_protocol: v1 }
routes: [{ name: all, access: public, upstream: real, mirror: { upstream: next } }]",
    )
    .with("real", real.address())
    .with("copies", copies.address())
    .start();
    Client::connect_from([127, 0, 0, 7].into(), gateway.address()).get("/").expect_status(200);
    wait::until_true("the announced client", || {
        copies.connections() > 0 && copies.seen(0).text().starts_with("PROXY TCP4 127.0.0.7 ")
    });
}

// What is said about it.

#[test]
fn explain_tells_whether_such_a_request_is_copied() {
    let real = real();
    let setup = mirroring(real.address(), free_address(), "share: 10%");
    let explained = |method: &str, format: &str| {
        let output = setup.output("explain", &[method, "http://gateway.test/", "--format", format]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        explained("GET", "text").contains("mirror     10% of such requests to next"),
        "{}",
        explained("GET", "text")
    );
    assert!(!explained("POST", "text").contains("mirror "), "{}", explained("POST", "text"));
    let json: serde_json::Value = serde_json::from_str(&explained("GET", "json")).expect("JSON");
    assert_eq!(json["mirror"], serde_json::json!({ "upstream": "next", "share": "10%" }));
}
