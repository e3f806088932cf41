//! HTTP/2: a first GOAWAY without a limit, then one with the last stream; no request is lost.

use std::time::{Duration, Instant};

use crate::support::h2_raw::{ACK, END_STREAM, End, Frame, GOAWAY, HEADERS, NO_ERROR, PING, RawH2, get};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

fn before(origin: std::net::SocketAddr, process: &str) -> Gateway {
    Setup::new(&format!(
        "process: {{ {process} }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{}",
        super::PASS
    ))
    .with("o", origin)
    .start()
}

fn last_stream(frame: &Frame) -> u32 {
    u32::from_be_bytes(*frame.payload.first_chunk().expect("a GOAWAY"))
}

#[track_caller]
fn next_goaway(client: &mut RawH2) -> Frame {
    loop {
        let frame = client.next().expect("a GOAWAY before the end");
        if frame.kind == GOAWAY {
            assert_eq!(frame.code(), NO_ERROR);
            return frame;
        }
    }
}

#[test]
fn streams_that_are_open_or_on_their_way_finish_after_goaway() {
    let origin = Origin::start(|request| {
        let time = if request.target == "/slow" { 2000 } else { 0 };
        Answer::ok(request.target.clone()).after(Duration::from_millis(time))
    });
    let mut gateway = before(origin.address(), "drain: 60s");
    let mut client = RawH2::connect(gateway.address());
    client.send(&get(1, "/slow"));
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    gateway.signal("TERM");
    assert_eq!(last_stream(&next_goaway(&mut client)), (1 << 31) - 1);
    // Sent before the client could know: the PING that comes with the GOAWAY is not acknowledged yet.
    client.send(&get(3, "/late"));
    assert_eq!(last_stream(&next_goaway(&mut client)), 3);
    assert_eq!(client.end_of(1), End::Answer(200, b"/slow".to_vec()));
    while client.next().is_some() {}
    assert_eq!(gateway.wait().code(), Some(0));
    for path in ["/slow", "/late"] {
        let line = gateway.logged_path(path);
        assert_eq!((&line["status"], &line["cause"]), (&200.into(), &serde_json::Value::Null), "{line}");
    }
}

#[test]
fn an_idle_connection_gets_goaway_and_an_end_in_order() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 60s");
    let mut client = RawH2::connect(gateway.address());
    client.send(&get(1, "/"));
    assert_eq!(client.end_of(1), End::Answer(200, b"ok".to_vec()));
    gateway.signal("TERM");
    assert_eq!(last_stream(&next_goaway(&mut client)), (1 << 31) - 1);
    assert_eq!(last_stream(&next_goaway(&mut client)), 1);
    assert!(client.next().is_none());
    drop(client);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_client_that_never_takes_note_is_not_waited_for() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 10m");
    let mut client = RawH2::connect(gateway.address());
    client.send(&get(1, "/"));
    assert_eq!(client.end_of(1), End::Answer(200, b"ok".to_vec()));
    // It reads nothing from here on, so that no PING is acknowledged.
    let since = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    drop(client);
}

#[test]
fn within_the_notice_goaway_comes_while_the_port_still_accepts() {
    let origin = Origin::saying("ok");
    let gateway = before(origin.address(), "drain: 60s, drain_notice: 5s");
    // Of eight, one is nearly sure to be told in the first half.
    let mut clients: Vec<_> = (0..8).map(|_| RawH2::connect(gateway.address())).collect();
    gateway.signal("TERM");
    wait::until_true("a first GOAWAY", || {
        clients.iter_mut().any(|client| {
            let frame = client.next_within(Duration::from_millis(20)).flatten();
            frame.is_some_and(|frame| frame.kind == GOAWAY)
        })
    });
    assert!(!gateway.stderr().contains("listener main closed"), "{}", gateway.stderr());
    gateway.get("/").expect_status(200);
}

#[test]
fn what_the_bound_cuts_is_answered_or_broken_off_and_logged() {
    let origin = RawOrigin::start(|wire: &mut Wire| {
        let head = wire.head().unwrap_or_default();
        if head.starts_with("GET /begun") {
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        }
        wire.drain();
    });
    let mut gateway = before(origin.address(), "drain: 500ms");
    let mut client = RawH2::connect(gateway.address());
    client.send(&get(1, "/begun"));
    let head = loop {
        let frame = client.next().expect("the beginning of an answer");
        if frame.kind == HEADERS {
            break frame;
        }
    };
    assert_eq!((head.stream, head.flags & END_STREAM), (1, 0));
    client.send(&get(3, "/waiting"));
    wait::until_true("both requests", || gateway.metrics().sum("portcullis_requests_in_flight", &[]) == 2.0);
    gateway.signal("TERM");
    let mut ended = [false; 4];
    let mut answered = false;
    while let Some(frame) = client.next() {
        answered |= frame.stream == 3 && frame.kind == HEADERS;
        if frame.kind != PING && frame.flags & ACK & END_STREAM != 0 && frame.stream < 4 {
            ended[frame.stream as usize] = true;
        }
    }
    assert!(answered && ended[3] && !ended[1], "{ended:?}");
    drop(client);
    assert_eq!(gateway.wait().code(), Some(75));
    for (path, status) in [("/begun", 200), ("/waiting", 503)] {
        let line = gateway.logged_path(path);
        assert_eq!((&line["cause"], &line["status"]), (&"shut_down".into(), &status.into()), "{line}");
    }
}
