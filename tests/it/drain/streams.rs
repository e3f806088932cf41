//! Tunnels and answers without an end: their bound in a drain, and a proper close.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;

use super::{assert_closed, before, close};
use crate::support::h2_script::{self, H2Script, connect, head, in_time, rest};
use crate::support::raw_origin::RawOrigin;
use crate::support::wait::{self, DEADLINE};
use crate::support::{Gateway, Setup};

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n\
                      data: 1\n\n\r\n";

/// Sends one event and is silent from then on.
fn events() -> RawOrigin {
    RawOrigin::start(|wire| {
        wire.head();
        wire.send(EVENTS);
        wire.drain();
    })
}

fn echo() -> RawOrigin {
    RawOrigin::start(|wire| {
        wire.head();
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        while let Some(piece) = wire.take(4) {
            wire.send(piece);
        }
    })
}

fn tunnel(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the rest of the 101");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

fn talk(stream: &mut TcpStream) {
    stream.write_all(b"ping").expect("an open tunnel");
    let mut read = [0; 4];
    stream.read_exact(&mut read).expect("an open tunnel");
    assert_eq!(&read, b"ping");
}

#[test]
fn a_tunnel_gets_its_time_and_then_an_end_in_order() {
    let origin = echo();
    let mut gateway = before(origin.address(), "drain: 10m, drain_streams: 2s");
    let mut stream = tunnel(&gateway);
    talk(&mut stream);
    let since = Instant::now();
    close(&gateway);
    assert_eq!(gateway.metrics().sum("portcullis_streams", &[]), 1.0);
    talk(&mut stream);
    assert_eq!(stream.read(&mut [0]).expect("a close, and no reset"), 0);
    assert!(since.elapsed() >= Duration::from_secs(2), "{:?}", since.elapsed());
    drop(stream);
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged_path("/ws");
    assert_eq!((&line["status"], &line["cause"]), (&101.into(), &"stream_ended".into()), "{line}");
    origin.ended(0);
}

#[test]
fn by_default_streams_have_as_long_as_everything_and_still_end_in_order() {
    let origin = events();
    let mut gateway = before(origin.address(), "drain: 1s");
    let mut client = gateway.connect();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the first event", || client.has_input());
    gateway.signal("TERM");
    // With its last chunk, as if the origin had ended it.
    assert_eq!(client.read_response().expect_status(200).text(), "data: 1\n\n");
    assert_closed(&mut client);
    drop(client);
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged_path("/events");
    assert_eq!((&line["status"], &line["cause"]), (&200.into(), &"stream_ended".into()), "{line}");
}

#[test]
fn a_second_signal_cuts_streams_too() {
    let origin = echo();
    let mut gateway = before(origin.address(), "drain: 10m");
    let mut stream = tunnel(&gateway);
    close(&gateway);
    gateway.signal("TERM");
    assert_eq!(stream.read(&mut [0]).expect("a close, and no reset"), 0);
    drop(stream);
    assert_eq!(gateway.wait().code(), Some(75));
    assert_eq!(gateway.logged_path("/ws")["cause"], "shut_down");
}

fn http2(origin: std::net::SocketAddr, upstream: &str, process: &str) -> Gateway {
    Setup::new(&format!(
        "process: {{ {process} }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ origin: {{ \
         endpoints: [\"<o>\"], {upstream} }} }}\nroutes: [{{ name: all, access: public, upstream: origin }}]\n"
    ))
    .with("o", origin)
    .start()
}

#[test]
fn events_by_http2_end_with_their_stream() {
    let origin = events();
    let mut gateway = http2(origin.address(), "timeouts: { response: 1h }", "drain: 10m, drain_streams: 500ms");
    h2_script::run(async {
        let sender = connect(gateway.address(), None).await;
        let request = Request::get(format!("http://{}/events", gateway.address())).body(()).unwrap();
        let call = h2_script::begin(&sender, request, true).await;
        let mut body = in_time(call.answer).await.unwrap().into_body();
        h2_script::expect(&mut body, b"data: 1\n\n").await;
        gateway.signal("TERM");
        assert_eq!(rest(&mut body).await.expect("no reset").0, b"");
    });
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(gateway.logged_path("/events")["cause"], "stream_ended");
}

#[test]
fn a_grpc_stream_ends_with_a_status_that_says_to_come_back() {
    let ended = h2_script::run(async {
        let origin = H2Script::start(None, |_, mut respond| async move {
            let ok = head(200, &[("content-type", "application/grpc")]);
            let mut answer = respond.send_response(ok, false).unwrap();
            answer.send_data(Bytes::from_static(b"message"), false).unwrap();
            let _ = std::future::poll_fn(|cx| answer.poll_reset(cx)).await;
        })
        .await;
        let mut gateway = http2(origin.address, "http2: true", "drain: 10m, drain_streams: 500ms");
        let sender = connect(gateway.address(), None).await;
        let request = Request::post(format!("http://{}/a.B/Watch", gateway.address()))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        // Its body continues too.
        let call = h2_script::begin(&sender, request.body(()).unwrap(), false).await;
        let mut body = in_time(call.answer).await.unwrap().into_body();
        h2_script::expect(&mut body, b"message").await;
        gateway.signal("TERM");
        let (read, trailers) = rest(&mut body).await.expect("no reset");
        assert_eq!(read, b"");
        assert_eq!(trailers.expect("trailers")["grpc-status"], "14");
        drop((call.body, sender));
        let line = gateway.logged_path("/a.B/Watch");
        (gateway.wait().code(), line)
    });
    assert_eq!((ended.0, &ended.1["cause"]), (Some(0), &"stream_ended".into()), "{}", ended.1);
}
