//! Request and answer bodies: bounded while they stream, large ones in bounded memory.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::h2_client::H2;
use crate::support::h2_script::{self, Call, begin, connect, in_time};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::wait::DEADLINE;
use crate::support::{Gateway, Origin, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const MIB: usize = 1 << 20;

fn bounded(origin: &RawOrigin, body: &str) -> Gateway {
    let yaml = format!(
        "bounds: {{ body: {body} }}\nprocess: {{ threads: 1 }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true \
         }}]\nupstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}"
    );
    Setup::new(&yaml).with("o", origin.address()).start()
}

#[test]
fn a_body_that_says_it_is_too_large_reaches_no_origin() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = bounded(&origin, "1KiB");
    gateway.request("POST", "/", &[], &[b'x'; 1025]).expect_status(413);
    assert_eq!(origin.connections(), 0);
    gateway.logged_path("/");
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "body")]), 1.0);
}

#[test]
fn a_body_that_grows_too_large_never_reaches_the_origin_as_a_whole_one() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = bounded(&origin, "1KiB");
    let mut client = gateway.connect();
    client.send("POST /h1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        client.send(format!("190\r\n{}\r\n", "x".repeat(0x190)));
    }
    client.read_response().expect_status(413);
    let seen = origin.ended(0);
    assert!(seen.text().contains("POST /h1 ") && !seen.text().ends_with("0\r\n\r\n"), "{}", seen.text());
    assert!(seen.bytes.len() < 2048, "what is over the bound is not sent: {}", seen.bytes.len());

    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::post(format!("http://{}/h2", gateway.address())).body(()).unwrap();
        let Call { answer, mut body } = begin(&sender, request, false).await;
        body.send_data(vec![b'x'; 1000].into(), false).unwrap();
        body.send_data(vec![b'x'; 1000].into(), false).unwrap();
        assert_eq!(in_time(answer).await.unwrap().status(), 413);
    });
    let seen = origin.ended(origin.connections() - 1);
    assert!(!seen.text().ends_with("0\r\n\r\n"), "{}", seen.text());
}

#[test]
fn a_body_that_the_client_breaks_off_never_reaches_the_origin_as_a_whole_one() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = bounded(&origin, "1MiB");
    for (number, framing, part) in [
        (0, "Content-Length: 100", "half"),
        (1, "Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
        (2, "Transfer-Encoding: chunked", "64\r\nhalf"),
        (3, "Transfer-Encoding: chunked", "4\r\nhalf\r\nzz\r\n"),
    ] {
        let mut client = gateway.connect();
        client.send(format!("POST /{number} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}"));
        if number < 3 {
            crate::support::wait::until_true("the first half", || origin.seen(number).text().contains("half"));
            client.finish_sending();
        }
        let seen = origin.ended(number);
        assert!(!seen.text().ends_with("0\r\n\r\n"), "{framing}: {}", seen.text());
    }
}

#[test]
fn a_body_from_http2_ends_once_for_an_http1_origin() {
    let origin = RawOrigin::start(|wire| {
        while let Some(head) = wire.head() {
            if head.starts_with("POST") {
                wire.until(b"0\r\n\r\n");
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = bounded(&origin, "1MiB");
    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        for end in ["a frame with the last bytes", "an empty frame", "only an empty frame", "trailers"] {
            let request = http::Request::post(format!("http://{}/", gateway.address())).body(()).unwrap();
            let Call { answer, mut body } = begin(&sender, request, false).await;
            if end != "only an empty frame" {
                body.send_data("body".into(), end == "a frame with the last bytes").unwrap();
                // In a frame of its own.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            match end {
                "trailers" => body.send_trailers(h2_script::trailers(&[("x-sum", "1")])).unwrap(),
                "a frame with the last bytes" => {}
                _ => body.send_data("".into(), true).unwrap(),
            }
            assert_eq!(in_time(answer).await.unwrap().status(), 200, "{end}");
        }
    });
    // The next request on the connection does not get an answer to the remaining bytes.
    let next = format!("http://{}/next", gateway.address());
    H2::prior_knowledge(gateway.address()).request("PATCH", &next, &[], b"").unwrap().expect_status(200);
    assert_eq!(origin.connections(), 1);
    let seen = origin.seen(0).text();
    assert_eq!((seen.matches("\r\n0\r\n\r\n").count(), seen.matches("HTTP/1.1").count()), (4, 5), "{seen}");
}

#[test]
fn a_body_that_an_http2_client_gives_up_never_reaches_the_origin_as_a_whole_one() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = bounded(&origin, "1MiB");
    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::post(format!("http://{}/", gateway.address())).body(()).unwrap();
        let Call { answer: _answer, mut body } = begin(&sender, request, false).await;
        body.send_data("half".into(), false).unwrap();
        tokio::task::block_in_place(|| {
            crate::support::wait::until_true("the first half", || origin.seen(0).text().contains("half"));
        });
        body.send_reset(h2::Reason::CANCEL);
        let seen = tokio::task::block_in_place(|| origin.ended(0));
        assert!(!seen.text().ends_with("0\r\n\r\n"), "{}", seen.text());
    });
}

#[test]
fn an_early_refusal_keeps_the_connection_where_the_rest_is_small() {
    let origin = RawOrigin::start(Wire::drain);
    let gateway = bounded(&origin, "1KiB");
    let mut client = gateway.connect();
    client.request("POST", "/", &[], &[b'x'; 2048]).expect_status(413).expect_header("Connection", "keep-alive");
    client.request("POST", "/", &[], &[b'x'; 2048]).expect_status(413);
    // A large rest costs the client a new connection, and the gateway nothing.
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
    client.read_response().expect_status(413).expect_header("Connection", "close");
    assert!(client.is_closed());
}

/// Reads and drops `count` bytes.
fn skip(stream: &mut TcpStream, count: usize) {
    let mut left = count;
    let mut piece = vec![0; 64 << 10];
    while left > 0 {
        let room = left.min(piece.len());
        let read = stream.read(&mut piece[..room]).expect("more of the body");
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

fn skip_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The most memory that the process has held, in bytes.
fn peak(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn large_bodies_pass_in_bounded_memory() {
    let size = 64 * MIB;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let head = skip_head(&mut stream);
                if head.starts_with("PUT") {
                    skip(&mut stream, size);
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                } else {
                    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).unwrap();
                    let piece = vec![b'x'; MIB];
                    for _ in 0..size / MIB {
                        stream.write_all(&piece).unwrap();
                    }
                }
                let _ = stream.read(&mut [0]);
            });
        }
    });
    let yaml = format!("bounds: {{ body: 1GiB }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}");
    let gateway = Setup::new(&yaml).with("o", address).start();
    let open = || {
        let stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    };
    let before = peak(&gateway);

    let mut up = open();
    up.write_all(format!("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n").as_bytes()).unwrap();
    let piece = vec![b'x'; MIB];
    for _ in 0..size / MIB {
        up.write_all(&piece).unwrap();
    }
    assert!(skip_head(&mut up).starts_with("HTTP/1.1 200"));

    let mut down = open();
    down.write_all(b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    skip_head(&mut down);
    // A client that takes nothing for a while must not make the gateway read ahead.
    std::thread::sleep(std::time::Duration::from_millis(200));
    skip(&mut down, size);

    let grown = peak(&gateway) - before;
    assert!(grown < 24 * MIB, "{grown} bytes more for {size} in either direction");
    assert_eq!(gateway.logged_path("/up")["bytes_received"], size);
    assert_eq!(gateway.logged_path("/down")["bytes_sent"], size);
}

#[test]
fn a_body_of_any_form_arrives_as_it_was_sent() {
    let origin = Origin::start(|request| crate::support::Answer::ok(request.body.clone()));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    let chunks = b"3\r\nabc\r\n1;ext=1\r\nd\r\n0\r\n\r\n";
    for _ in 0..2 {
        let response = client.request("POST", "/", &[("Transfer-Encoding", "chunked")], chunks).expect_status(200);
        assert_eq!(response.text(), "abcd");
        assert_eq!(client.request("PUT", "/", &[], b"abcd").expect_status(200).text(), "abcd");
    }
}
