//! Further HTTP features: streaming without delay, interim answers, ranges, trailers, and answers without a body.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, mpsc};

use crate::support::h2_client::H2;
use crate::support::h2_script::{self, Call, H2Script, begin, connect, head, in_time, trailers};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::wait::DEADLINE;
use crate::support::{Answer, Gateway, Origin, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

fn before(address: SocketAddr) -> Gateway {
    let yaml = format!(
        "process: {{ threads: 1 }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ \
         origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}"
    );
    Setup::new(&yaml).with("o", address).start()
}

/// A connection on which a test reads every byte, interim answers too.
struct Raw(TcpStream);

impl Raw {
    fn open(gateway: &Gateway) -> Raw {
        let stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Raw(stream)
    }

    fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).unwrap();
    }

    fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(end.as_bytes()) {
            match self.0.read(&mut byte) {
                Ok(1) => read.push(byte[0]),
                _ => panic!("{end:?} does not follow {:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8(read).unwrap()
    }

    /// All that comes before the gateway closes.
    fn rest(&mut self) -> String {
        let mut read = Vec::new();
        self.0.read_to_end(&mut read).expect("the connection to be closed");
        String::from_utf8(read).unwrap()
    }
}

#[test]
fn what_the_origin_has_sent_is_not_held_back() {
    // The origin continues only after the test has received the first half.
    let (arrived, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        let _ = go_on.lock().unwrap().recv_timeout(DEADLINE);
        wire.send("cd");
    });
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("\r\n\r\nab");
    arrived.send(()).unwrap();
    client.until("cd");
}

/// Sends events, each only when the last one has been seen by the client.
fn events(seen: mpsc::Receiver<()>) -> RawOrigin {
    let seen = Mutex::new(seen);
    RawOrigin::start(move |wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..5 {
            wire.send("9\r\ndata: 1\n\n\r\n");
            if seen.lock().unwrap().recv_timeout(DEADLINE).is_err() {
                return;
            }
        }
        wire.send("0\r\n\r\n");
        wire.drain();
    })
}

#[test]
fn each_server_sent_event_arrives_before_the_next_is_sent() {
    let (next, seen) = mpsc::channel();
    let gateway = before(events(seen).address());
    let mut client = Raw::open(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    client.until("\r\n\r\n");
    for _ in 0..5 {
        client.until("data: 1\n\n");
        next.send(()).unwrap();
    }
    client.until("0\r\n\r\n");
}

#[test]
fn each_server_sent_event_arrives_by_http2_too() {
    let (next, seen) = mpsc::channel();
    let gateway = before(events(seen).address());
    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::get(format!("http://{}/", gateway.address())).body(()).unwrap();
        let Call { answer, body: _body } = begin(&sender, request, true).await;
        let mut answer = in_time(answer).await.unwrap().into_body();
        for _ in 0..5 {
            h2_script::expect(&mut answer, b"data: 1\n\n").await;
            next.send(()).unwrap();
        }
        assert_eq!(h2_script::rest(&mut answer).await.unwrap().0, b"");
    });
}

#[test]
fn ranges_pass_as_the_origin_answers_them() {
    let multipart = "--b\r\nContent-Range: bytes 0-0/4\r\n\r\na\r\n--b--\r\n";
    let origin = Origin::start(move |request| match request.header("Range") {
        Some("bytes=1-2") if request.header("If-Range") == Some("\"v1\"") => {
            Answer::status(206).header("Content-Range", "bytes 1-2/4").header("ETag", "\"v1\"").body("bc")
        }
        Some("bytes=0-0,3-3") => {
            Answer::status(206).header("Content-Type", "multipart/byteranges; boundary=b").body(multipart)
        }
        Some("bytes=9-") => Answer::status(416).header("Content-Range", "bytes */4"),
        _ => Answer::ok("abcd"),
    });
    let gateway = Gateway::before(&origin, PASS);
    let part = gateway.get_with("/", &[("Range", "bytes=1-2"), ("If-Range", "\"v1\"")]).expect_status(206);
    assert_eq!((part.text().as_str(), part.header("Content-Range")), ("bc", Some("bytes 1-2/4")));
    let stale = gateway.get_with("/", &[("Range", "bytes=1-2"), ("If-Range", "\"v0\"")]).expect_status(200);
    assert_eq!(stale.text(), "abcd");
    let parts = gateway.get_with("/", &[("Range", "bytes=0-0,3-3")]).expect_status(206);
    assert_eq!(parts.text(), multipart);
    gateway.get_with("/", &[("Range", "bytes=9-")]).expect_status(416).expect_header("Content-Range", "bytes */4");
}

#[test]
fn head_is_answered_without_a_body_and_with_the_origins_length() {
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let origin = RawOrigin::answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        let gateway = before(origin.address());
        let mut client = Raw::open(&gateway);
        client.send("HEAD /first HTTP/1.1\r\nHost: a\r\n\r\n");
        let first = client.until("\r\n\r\n");
        client.send("HEAD /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let last = client.rest();
        assert!(last.starts_with("HTTP/1.1 200") && last.ends_with("\r\n\r\n"), "{last}");
        assert_eq!(last.matches("\r\n\r\n").count(), 1, "{last}");
        assert_eq!(first.contains("Content-Length: 5"), fields.contains("Length"), "{first}");

        let mut client = H2::prior_knowledge(gateway.address());
        let response = client.request("HEAD", "http://gateway.test/", &[], b"").unwrap().expect_status(200);
        assert_eq!(response.body, b"");
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let origin = RawOrigin::start(|wire| {
        while let Some(head) = wire.head() {
            match head.contains("/304") {
                true => wire.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"v\"\r\n\r\n"),
                // A 204 has no body, and its length is invalid (RFC 9110 §8.6).
                false => wire.send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
            };
        }
    });
    let gateway = before(origin.address());
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.request("DELETE", "/204", &[], b"").expect_status(204).expect_no_header("Content-Length");
        client.get("/304").expect_status(304).expect_header("ETag", "\"v\"");
    }
    let mut client = H2::prior_knowledge(gateway.address());
    client.get("http://gateway.test/204").expect_status(204).expect_no_header("content-length");
    assert_eq!(client.get("http://gateway.test/304").expect_status(304).body, b"");
}

#[test]
fn hints_come_before_the_answer_they_belong_to() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
    let origin = RawOrigin::answering(format!("{hint}{hint}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let all = client.rest();
    assert_eq!(all.matches("HTTP/1.1 103 Early Hints\r\n").count(), 2, "{all}");
    assert!(!all.to_ascii_lowercase().contains("x-hop"), "{all}");
    assert!(
        all.rfind("HTTP/1.1 103").unwrap() < all.find("HTTP/1.1 200").unwrap() && all.ends_with("\r\n\r\nok"),
        "{all}"
    );

    let mut client = Raw::open(&gateway);
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let all = client.rest();
    assert!(all.starts_with("HTTP/1.1 200") && all.ends_with("\r\n\r\nok"), "{all}");
    let mut client = H2::prior_knowledge(gateway.address());
    assert_eq!(client.get("http://gateway.test/").expect_status(200).text(), "ok");
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_sent_when_the_origin_asks() {
    let origin = RawOrigin::start(|wire| {
        let head = wire.head().unwrap();
        assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.take(4).unwrap();
        wire.send([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", &body[..]].concat());
        wire.drain();
    });
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    client.send("body");
    assert!(client.until("\r\n\r\nbody").starts_with("HTTP/1.1 200"));
}

#[test]
fn an_interim_answer_does_not_cost_the_connection() {
    let origin = RawOrigin::start(|wire| {
        while wire.head().is_some() {
            wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
            let body = wire.take(4).unwrap();
            wire.send([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", &body[..]].concat());
        }
    });
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    for body in ["one.", "two."] {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        client.until("HTTP/1.1 100 Continue\r\n\r\n");
        client.send(body);
        let answer = client.until(&format!("\r\n\r\n{body}"));
        assert!(answer.contains("Connection: keep-alive\r\n"), "{answer}");
    }
}

#[test]
fn a_client_that_ends_its_side_is_answered_where_its_route_says_so() {
    let (ended, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let origin = RawOrigin::start(move |wire| {
        let Some(head) = wire.head() else { return };
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        if head.contains("/answer") {
            let _ = go_on.lock().unwrap().recv_timeout(DEADLINE);
        }
        if !head.contains("/abort") {
            wire.send("late");
        }
        wire.drain();
    });
    let routes = "routes:
  - { name: all, access: public, upstream: origin }
  - { name: answer, match: { path: /answer }, access: public, upstream: origin, half_close: answer }
";
    let yaml = format!("process: {{ threads: 1 }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{routes}");
    let gateway = Setup::new(&yaml).with("o", origin.address()).start();
    for path in ["/abort", "/answer"] {
        let mut client = Raw::open(&gateway);
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.until("\r\n\r\n");
        client.0.shutdown(Shutdown::Write).unwrap();
        if path == "/answer" {
            // The one thread of the gateway has seen the end of the client's side when it has served another client.
            gateway.get("/other").expect_status(200);
            ended.send(()).unwrap();
        }
        assert_eq!(client.rest(), if path == "/answer" { "late" } else { "" });
        let line = gateway.logged_path(path);
        assert_eq!(line["cause"] == "client_closed", path == "/abort", "{line}");
    }
}

#[test]
fn what_was_sent_before_the_end_of_a_clients_side_is_answered_too() {
    let origin = Origin::saying("ok");
    let routes = "routes: [{ name: all, access: public, upstream: origin, half_close: answer }]\n";
    let gateway = Gateway::before(&origin, routes);
    let mut client = Raw::open(&gateway);
    client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n");
    client.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest().matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn a_body_that_the_origin_does_not_want_is_never_sent() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
        wire.drain();
    });
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.until("\r\n\r\nno");
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("Connection: close\r\n"), "{answer}");
}

#[test]
fn a_refused_body_that_waits_to_be_asked_for_is_never_asked_for() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body: 1KiB }}\n{PASS}"));
    let mut client = Raw::open(&gateway);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\nExpect: 100-continue\r\n\r\n");
    let all = client.rest();
    assert!(
        all.starts_with("HTTP/1.1 413") && all.contains("Connection: close\r\n") && !all.contains("HTTP/1.1 100"),
        "{all}"
    );
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_unknown_expectation_is_417() {
    let origin = Origin::saying("ok");
    let gateway = before(origin.address());
    for expectation in ["200-ok", "100-continue, 200-ok"] {
        let response = gateway.get_with("/", &[("Expect", expectation)]).expect_status(417);
        assert_eq!(response.json()["code"], "expectation_failed", "{expectation}");
    }
    gateway.get_with("/", &[("Expect", "100-Continue")]).expect_status(200);
    let mut client = H2::prior_knowledge(gateway.address());
    client.request("GET", "http://gateway.test/", &[("expect", "more")], b"").unwrap().expect_status(417);
}

#[test]
fn trace_is_refused() {
    let origin = Origin::saying("ok");
    let gateway = before(origin.address());
    let response = gateway.request("TRACE", "/", &[("Authorization", "Bearer secret")], b"").expect_status(405);
    assert!(!response.text().contains("secret"));
    assert_eq!((gateway.logged_path("/")["cause"].as_str(), origin.count()), (Some("trace_refused"), 0));
}

#[test]
fn http10_gets_no_chunks() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
    let origin = RawOrigin::start(move |wire| {
        let Some(head) = wire.head() else { return };
        match head.contains("/chunked") {
            true => wire.send(chunked),
            false => wire.send("HTTP/1.1 200 OK\r\n\r\nabcd"),
        };
    });
    let gateway = before(origin.address());
    for path in ["/chunked", "/until-close"] {
        for keepalive in ["", "Connection: keep-alive\r\n"] {
            let mut client = Raw::open(&gateway);
            client.send(&format!("GET {path} HTTP/1.0\r\nHost: a\r\n{keepalive}\r\n"));
            let all = client.rest();
            assert!(all.ends_with("\r\n\r\nabcd") && !all.to_ascii_lowercase().contains("chunked"), "{all}");
            assert!(all.contains("Connection: close\r\n"), "{all}");
        }
    }
    // To a client that knows chunks, the same answer has an end that can be told from a cut.
    let response = gateway.get("/until-close").expect_status(200).expect_header("Transfer-Encoding", "chunked");
    assert_eq!(response.text(), "abcd");
}

#[test]
fn http10_keeps_its_connection_where_the_length_is_known() {
    let origin = Origin::saying("ok");
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert!(client.until("\r\n\r\nok").to_ascii_lowercase().contains("connection: keep-alive"));
    }
}

#[test]
fn trailers_pass_from_http2_to_http2_and_are_dropped_elsewhere() {
    h2_script::run(async {
        let origin = H2Script::start(None, |request, mut respond| async move {
            let (_, sent) = h2_script::rest(&mut request.into_body()).await.unwrap();
            let echoed = sent.as_ref().and_then(|sent| sent.get("x-sum")).map_or("none", |sum| sum.to_str().unwrap());
            let mut answer = respond.send_response(head(200, &[("x-seen", echoed)]), false).unwrap();
            answer.send_data("ok".into(), false).unwrap();
            answer.send_trailers(trailers(&[("x-after", "1"), ("content-length", "9")])).unwrap();
        })
        .await;
        let yaml = format!(
            "listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ origin: {{ endpoints: \
             [\"<o>\"], http2: true }} }}\n{PASS}"
        );
        let gateway = Setup::new(&yaml).with("o", origin.address).start();
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::post(format!("http://{}/", gateway.address())).body(()).unwrap();
        let Call { answer, mut body } = begin(&sender, request, false).await;
        body.send_data("body".into(), false).unwrap();
        body.send_trailers(trailers(&[("x-sum", "7")])).unwrap();
        let answer = in_time(answer).await.unwrap();
        // Those of a request end at the gateway: no rule has seen them.
        assert_eq!(answer.headers()["x-seen"], "none");
        let (read, after) = h2_script::rest(&mut answer.into_body()).await.unwrap();
        assert_eq!((read.as_slice(), &after.unwrap()["x-after"]), (&b"ok"[..], &"1".parse().unwrap()));

        let response = gateway.get("/").expect_status(200).expect_no_header("X-After");
        assert_eq!(response.text(), "ok");
    });
}

#[test]
fn trailers_of_http1_end_at_the_gateway() {
    let chunks = "4\r\nbody\r\n0\r\nX-After: 1\r\nHost: evil\r\n\r\n";
    let origin = RawOrigin::start(move |wire: &mut Wire| {
        while wire.head().is_some_and(|head| !head.contains("POST") || wire.until(b"0\r\n").is_some()) {
            wire.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        }
    });
    let gateway = before(origin.address());
    let mut client = Raw::open(&gateway);
    client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    let answer = client.until("0\r\n\r\n");
    assert!(answer.contains("4\r\nbody\r\n") && !answer.contains("X-After"), "{answer}");
    client.send("GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let second = client.rest();
    assert!(second.starts_with("HTTP/1.1 200") && !second.contains("evil"), "{second}");
    let seen = (0..origin.connections()).map(|number| origin.seen(number).text()).collect::<String>();
    assert!(seen.contains("body") && seen.contains("/second") && !seen.contains("evil"), "{seen}");
}

#[test]
fn cookies_that_http2_split_are_one_for_an_http1_origin() {
    let origin = Origin::always(Answer::ok("ok"));
    let gateway = before(origin.address());
    let mut client = H2::prior_knowledge(gateway.address());
    let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
    client.request("GET", "http://gateway.test/", &cookies, b"").expect("an answer").expect_status(200);
    assert_eq!(origin.only_request().values("cookie"), ["a=1; b=2"]);
}

#[test]
fn fields_that_the_origin_names_in_connection_end_here() {
    let answer = Answer::ok("ok").header("Connection", "x-hop").header("X-Hop", "1").header("X-Kept", "2");
    let origin = Origin::always(answer);
    let gateway = Gateway::before(&origin, PASS);
    gateway.get("/").expect_status(200).expect_no_header("X-Hop").expect_header("X-Kept", "2");
}
