//! Faulty origins: what is not an answer is 502, a cut-off answer is never ended as complete, and a faulty connection is not
//! reused.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use h2::Reason;

use crate::support::h2_client::H2;
use crate::support::h2_script::{self, Call, H2Script, begin, connect, head, in_time};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Gateway, Response, Setup};

const TAIL: &str = "process: { threads: 1 }
response_headers: { set: { X-Frame-Options: DENY } }
routes: [{ name: all, access: public, upstream: origin }]
listeners: [{ name: main, address: \"<listen>\", http2: true }]
";

fn before(address: SocketAddr) -> Gateway {
    with(address, "timeouts: { response: 2s }")
}

fn with(address: SocketAddr, upstream: &str) -> Gateway {
    let yaml = format!("{TAIL}upstreams: {{ origin: {{ endpoints: [\"<o>\"], {upstream} }} }}\n");
    Setup::new(&yaml).with("o", address).start()
}

/// Asserts that a failure of the origin is told as such, with the owner's headers.
#[track_caller]
fn failed(response: Response, status: u16, cause: &str) {
    let response = response.expect_status(status).expect_header("X-Frame-Options", "DENY");
    assert_eq!(response.json()["code"], cause);
}

/// Asserts that the answer did not reach the client as a whole one.
#[track_caller]
fn cut(what: &str, gateway: &Gateway, path: &str) {
    let mut client = gateway.connect();
    client.send_request("GET", path, &[], b"").unwrap();
    let error = client.try_read_response(false).expect_err("an answer that is not whole");
    assert!(error.to_string().contains("closed") || error.raw_os_error().is_some(), "{what}: {error}");
    let line = gateway.logged_path(path);
    assert_eq!((&line["decision"], &line["status"]), (&"fail".into(), &200.into()), "{what}: {line}");

    // An answer that ends with its connection has no other way to say that it is not whole (RFC 9112 §6.3).
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n"));
    let mut all = Vec::new();
    match client.stream().read_to_end(&mut all) {
        Ok(_) => assert!(String::from_utf8_lossy(&all).contains("Content-Length: 10\r\n"), "{what}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}"),
    }

    let mut client = H2::prior_knowledge(gateway.address());
    let error = client.request("GET", &format!("http://gateway.test{path}"), &[], b"").expect_err("a reset stream");
    assert!(error.is_reset(), "{what}: {error}");
}

#[test]
fn what_is_not_an_answer_is_502() {
    let many = "A: b\r\n".repeat(10_000);
    let long = format!("A: {}\r\n", "b".repeat(2 << 20));
    let answers: Vec<(&str, String)> = vec![
        ("not HTTP at all", "SSH-2.0-OpenSSH_9.9\r\n\r\n".into()),
        ("TLS", "\x15\x03\x01\x00\x02\x02\x46\r\n\r\n".into()),
        ("an HTTP/0.9 body", "<html></html>\r\n\r\n".into()),
        ("no status", "HTTP/1.1 \r\n\r\n".into()),
        ("words for a status", "HTTP/1.1 OK\r\n\r\n".into()),
        ("status 000", "HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n".into()),
        ("status 099", "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n".into()),
        ("status 1000", "HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n".into()),
        ("status -1", "HTTP/1.1 -1 Negative\r\nContent-Length: 0\r\n\r\n".into()),
        ("another version", "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok".into()),
        ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok".into()),
        ("a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok".into()),
        ("a length beyond all numbers", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok".into()),
        ("lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok".into()),
        ("lengths in one field that differ", "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok".into()),
        ("a coding that nobody asked for", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok".into()),
        ("a coding below the chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into()),
        ("a coding of its own", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".into()),
        ("chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".into()),
        ("a NUL in a value", "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n".into()),
        ("a bare CR in a value", "HTTP/1.1 200 OK\r\nA: b\rc: d\r\nContent-Length: 0\r\n\r\n".into()),
        ("a line without a colon", "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 0\r\n\r\n".into()),
        ("an empty name", "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n".into()),
        ("10,000 fields", format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
        ("2 MiB of header", format!("HTTP/1.1 200 OK\r\n{long}\r\n")),
        ("101 unasked", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nx".into()),
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le".into()),
    ];
    for (what, bytes) in answers {
        let origin = RawOrigin::answering_then_closing(bytes);
        let gateway = before(origin.address());
        let cause = if matches!(what, "nothing" | "half a head") { "upstream_closed" } else { "upstream_protocol" };
        let response = gateway.get("/");
        assert_eq!(response.status, 502, "{what}: {response:?}");
        failed(response, 502, cause);
        let mut client = H2::prior_knowledge(gateway.address());
        failed(client.get("http://gateway.test/"), 502, cause);
        let line = gateway.logged_path("/");
        assert_eq!((&line["cause"], &line["decision"]), (&cause.into(), &"fail".into()), "{what}: {line}");
    }
}

#[test]
fn what_has_one_reading_is_forwarded_in_its_plain_form() {
    for (what, bytes) in [
        ("lines that end in LF", "HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok"),
        ("one length twice", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
        ("a folded line", "HTTP/1.1 200 OK\r\nA: b\r\nFolded: one\r\n two\r\nContent-Length: 2\r\n\r\nok"),
        // The chunks count, and the length ends here (RFC 9112 §6.3).
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("until close", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nok"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nA: b\r\n\r\nok"),
    ] {
        let origin = RawOrigin::answering_then_closing(bytes);
        let gateway = before(origin.address());
        let response = gateway.get("/").expect_status(200).expect_header("A", "b");
        assert_eq!(response.text(), "ok", "{what}");
        let framing = response.values("Content-Length").len() + response.values("Transfer-Encoding").len();
        assert_eq!(framing, 1, "{what}: {response:?}");
        if what == "a folded line" {
            assert_eq!(response.header("Folded"), Some("one two"));
        }
        let mut client = H2::prior_knowledge(gateway.address());
        assert_eq!(client.get("http://gateway.test/").expect_status(200).text(), "ok", "{what}");
    }
}

#[test]
fn interim_answers_without_end_are_502() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        while wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n") {}
    });
    let gateway = before(origin.address());
    failed(gateway.get("/"), 502, "upstream_protocol");
    failed(H2::prior_knowledge(gateway.address()).get("http://gateway.test/"), 502, "upstream_protocol");
}

#[test]
fn empty_lines_before_an_answer_are_waited_through() {
    for lines in ["\r\n\r\n", "\n\n", "HTTP/1.1 100 Continue\r\n\r\n\r\n\r\n"] {
        let origin = RawOrigin::start(move |wire| {
            wire.head();
            wire.send(lines);
            thread::sleep(Duration::from_millis(30));
            wire.send("HTTP/1.1 200 OK\r\nX: a\r\n X-Frame-Options: b\r\nContent-Length: 2\r\n\r\nok");
            wire.drain();
        });
        let gateway = before(origin.address());
        let answer = gateway.get("/").expect_status(200);
        assert_eq!(
            (answer.header("x"), answer.header("x-frame-options")),
            (Some("a X-Frame-Options: b"), Some("DENY"))
        );
    }
    // One that sends nothing else ends with its time, and holds up nobody meanwhile.
    let origin = RawOrigin::answering("\r\n\r\n");
    let gateway = with(origin.address(), "timeouts: { response: 300ms }");
    failed(gateway.get("/"), 504, "upstream_timeout");
}

#[test]
fn an_answer_that_is_cut_off_is_never_ended_as_if_it_were_whole() {
    for (what, bytes) in [
        ("a length that is not reached", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        ("a length and no body at all", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("a chunk that is not reached", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf"),
        ("a chunk that is no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"),
        ("a chunk that is too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfhalf\r\n0\r\n\r\n"),
        ("a chunk size with a sign", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nhalf\r\n0\r\n\r\n"),
        (
            "a chunk beyond all numbers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhalf",
        ),
    ] {
        let origin = RawOrigin::answering_then_closing(bytes);
        let gateway = before(origin.address());
        cut(what, &gateway, "/cut");
    }
}

#[test]
fn an_answer_that_stands_still_is_cut_off() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    let gateway = with(origin.address(), "timeouts: { response: 300ms }");
    cut("a pause", &gateway, "/slow");
    assert_eq!(gateway.logged_path("/slow")["cause"], "upstream_timeout");
}

#[test]
fn an_http2_origin_that_breaks_off_is_cut_off_too() {
    h2_script::run(async {
        let origin = H2Script::start(None, |request, mut respond| async move {
            let mut answer = respond.send_response(head(200, &[]), false).unwrap();
            answer.send_data("half".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let reason = if request.uri().path() == "/no-error" { Reason::NO_ERROR } else { Reason::INTERNAL_ERROR };
            answer.send_reset(reason);
        })
        .await;
        let gateway = with(origin.address, "http2: true");
        for path in ["/no-error", "/error"] {
            tokio::task::block_in_place(|| cut("a reset", &gateway, path));
        }
    });
}

#[test]
fn silence_is_504_in_time() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = with(origin.address(), "timeouts: { response: 300ms }");
    let since = Instant::now();
    failed(gateway.get("/"), 504, "upstream_timeout");
    failed(H2::prior_knowledge(gateway.address()).get("http://gateway.test/"), 504, "upstream_timeout");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn an_answer_that_comes_before_the_upload_is_done_reaches_the_client() {
    for status in [200, 403, 413] {
        let origin = RawOrigin::start(move |wire| {
            wire.head();
            wire.send(format!("HTTP/1.1 {status} Early\r\nContent-Length: 5\r\n\r\nearly"));
            wire.drain();
        });
        let gateway = before(origin.address());
        for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
            let mut client = gateway.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
            if framing.contains("chunked") {
                client.send("4\r\nbody\r\n");
            }
            assert_eq!(client.read_response().expect_status(status).text(), "early");
            // What comes after it is the rest of that body and never the next request.
            let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            client.finish_sending();
            assert!(client.is_closed(), "{status} {framing}");
        }
        gateway.logged(2);
        assert!(gateway.log_lines().iter().all(|line| line["path"] == "/"), "{}", gateway.stdout());
    }
}

#[test]
fn an_early_answer_reaches_an_http2_client_too() {
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.send("HTTP/1.1 403 Early\r\nContent-Length: 5\r\n\r\nearly");
        wire.drain();
    });
    let gateway = before(origin.address());
    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::post(format!("http://{}/", gateway.address())).body(()).unwrap();
        let Call { answer, mut body } = begin(&sender, request, false).await;
        body.send_data("body".into(), false).unwrap();
        let answer = in_time(answer).await.unwrap();
        assert_eq!(answer.status(), 403);
        h2_script::expect(&mut answer.into_body(), b"early").await;
        // The connection continues.
        let request = http::Request::get(format!("http://{}/", gateway.address())).body(()).unwrap();
        let Call { answer, body: _body } = begin(&sender, request, true).await;
        assert_eq!(in_time(answer).await.unwrap().status(), 403);
    });
}

/// An origin whose first answer on a connection is `first`, with `extra` in the same packet or soon after it; every other one
/// names its request.
fn poisoned(first: &'static str, extra: &'static str, pause: Duration) -> RawOrigin {
    RawOrigin::start(move |wire| {
        let Some(_) = wire.head() else { return };
        if pause.is_zero() {
            wire.send([first, extra].concat());
        } else {
            wire.send(first);
            thread::sleep(pause);
            wire.send(extra);
        }
        while let Some(head) = wire.head() {
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
        }
    })
}

#[test]
fn what_follows_an_answer_never_becomes_the_next_one() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (what, method, first) in [
        ("an answer with a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("an answer to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        for pause in [Duration::ZERO, Duration::from_millis(30)] {
            let origin = poisoned(first, evil, pause);
            let gateway = before(origin.address());
            let mut client = gateway.connect();
            client.request(method, "/first", &[], b"");
            for n in 0..3 {
                // Bytes that arrive during a request are its answer, whatever the origin intended.
                thread::sleep(pause * 3);
                let path = format!("/next{n}");
                let response = client.get(&path);
                assert!(response.text() != "evil", "{what}, {pause:?}");
                if response.status == 200 && response.text() == path {
                    continue;
                }
                // Another connection's first answer.
                assert!(matches!(response.status, 200 | 204 | 304), "{what}: {response:?}");
            }
            assert!(origin.connections() >= 2, "{what}, {pause:?}: the connection was used again");
        }
    }
}

#[test]
fn bodies_that_must_not_be_are_dropped() {
    for (what, method, bytes) in [
        ("an answer to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
        ("204", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody"),
        ("chunks of 204", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
        ("304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody"),
    ] {
        let origin = RawOrigin::answering(bytes);
        let gateway = before(origin.address());
        let mut client = gateway.connect();
        for _ in 0..3 {
            let response = client.request(method, "/", &[], b"");
            assert!(matches!(response.status, 200 | 204 | 304), "{what}: {response:?}");
            if response.status == 204 {
                assert_eq!((response.header("Content-Length"), response.header("Transfer-Encoding")), (None, None));
            }
        }
        assert_eq!(origin.connections(), 3, "{what}: a connection that said too much was used again");
        let mut client = H2::prior_knowledge(gateway.address());
        let response = client.request(method, "http://gateway.test/", &[], b"").unwrap();
        assert_eq!(response.body, b"", "{what}");
    }
}

#[test]
fn a_pooled_connection_that_closes_under_a_request_costs_only_what_must_not_be_repeated() {
    // Each connection answers once and closes when it has read the next head.
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        wire.head();
    });
    let gateway = with(origin.address(), "timeouts: { response: 2s, idle_unsafe: 30s }");
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    // Safe to repeat, and repeated on a new connection.
    client.get("/again").expect_status(200);
    client.request("POST", "/first", &[], b"body").expect_status(200);
    // Perhaps carried out already, so not repeated.
    failed(client.request("POST", "/once", &[], b"body"), 502, "upstream_closed");
    let posts: usize = (0..origin.connections()).map(|n| origin.seen(n).text().matches("POST /once").count()).sum();
    assert_eq!(posts, 1);
}

#[test]
fn a_reset_before_the_answer_is_502() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.reset();
    });
    let gateway = before(origin.address());
    failed(gateway.request("POST", "/", &[], b"body"), 502, "upstream_closed");
}
