//! Tunnels and slow answers: what the gateway must not hold back or cut.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::h2_client::H2;
use crate::support::{Answer, Gateway, Origin, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

/// An origin that a test drives byte by byte; `serve` gets the connection once a request's head has arrived.
fn driven(serve: impl Fn(TcpStream) + Send + 'static) -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            serve(stream);
        }
    });
    address
}

#[test]
fn a_tunnel_is_not_bounded_like_a_body() {
    let address = driven(|mut stream| {
        let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
        stream.write_all(accepted.as_bytes()).unwrap();
        let mut echo = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut stream, &mut echo);
    });
    let yaml = format!("bounds: {{ body: 1KiB }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}");
    let gateway = Setup::new(&yaml).with("o", address).start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    for round in 0..8u8 {
        let sent = [round; 1024];
        stream.write_all(&sent).unwrap();
        let mut echoed = [0; 1024];
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, sent);
    }
}

#[test]
fn what_the_origin_has_sent_is_not_held_back() {
    // The origin goes on only when the test says that the first half has arrived.
    let (arrived, go_on) = std::sync::mpsc::channel::<()>();
    let go_on = std::sync::Mutex::new(go_on);
    let address = driven(move |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").unwrap();
        let _ = go_on.lock().unwrap().recv_timeout(std::time::Duration::from_secs(10));
        stream.write_all(b"cd").unwrap();
    });
    let yaml = format!("upstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}");
    let gateway = Setup::new(&yaml).with("o", address).start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\nab") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    arrived.send(()).unwrap();
    let mut rest = [0; 2];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"cd");
}

#[test]
fn cookies_that_http2_split_are_one_for_an_http1_origin() {
    let origin = Origin::always(Answer::ok("ok"));
    let gateway =
        Gateway::before(&origin, &format!("listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{PASS}"));
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
