//! Clients that stop in the middle of a frame, body or answer: their resources are released in time, and others are not affected.

use std::time::{Duration, Instant};

use super::{Bystander, all_gone, bitten, gate};
use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::h2_raw::{
    self, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, RST_STREAM, RawH2,
    data, frame, get, post, window_update,
};
use crate::support::wait::DEADLINE;
use crate::support::{Answer, Origin, Setup, wait};

#[test]
fn a_stalled_upload_is_answered_408_and_its_neighbours_are_unharmed() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut client = H2::prior_knowledge(gateway.address());
    let response = client.begin("POST", "http://gateway.test/stalled", b"half").expect("an answer").expect_status(408);
    assert_eq!(response.header("x-frame-options"), Some("DENY"));
    assert_eq!(response.json()["code"], "request_timeout");
    // The same connection.
    client.get("http://gateway.test/next").expect_status(200);
    let line = gateway.logged_path("/stalled");
    assert_eq!((line["status"].as_u64(), line["cause"].as_str()), (Some(408), Some("request_timeout")), "{line}");
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    bitten(&gateway, "body_idle");
    assert!(origin.requests().iter().all(|request| request.target != "/stalled"), "the origin got half a request");
}

#[test]
fn a_stalled_upload_to_an_http2_origin_is_answered_408() {
    let origin = H2Origin::start(None, |_| Answer::ok("ok"));
    let yaml = format!("{}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true }} }}\n", super::SHORT);
    let gateway = Setup::new(&yaml).with("o", origin.address()).start();
    let mut client = H2::prior_knowledge(gateway.address());
    client.begin("POST", "http://gateway.test/stalled", b"half").expect("an answer").expect_status(408);
    client.get("http://gateway.test/next").expect_status(200);
    assert_eq!(gateway.logged_path("/stalled")["cause"], "request_timeout");
}

#[test]
fn an_upload_that_never_begins_is_answered_408() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut client = RawH2::connect(gateway.address());
    client.send(&post(1, "/never"));
    assert!(matches!(client.end_of(1), End::Answer(408, _)));
    client.send(&get(3, "/next"));
    assert_eq!(client.end_of(3), End::Answer(200, b"ok".to_vec()));
}

#[test]
fn an_upload_that_moves_may_take_its_time() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&super::SHORT.replace("body_idle: 400ms", "body_idle: 1s\n  body_rate: 10B/s"))
        .origin(&origin)
        .start();
    let mut client = RawH2::connect(gateway.address());
    client.send(&post(1, "/slow"));
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1800) {
        assert!(client.send(&data(1, 0, b"a")));
        // The pace of this client, not a wait for something.
        std::thread::sleep(Duration::from_millis(50));
    }
    client.send(&data(1, END_STREAM, b"z"));
    assert_eq!(client.end_of(1), End::Answer(200, b"ok".to_vec()));
    let body = origin.only_request().body;
    assert!(body.len() > 5 && body.ends_with(b"az"), "{body:?}");
}

#[test]
fn a_body_slower_than_its_route_allows_is_answered_408() {
    let origin = Origin::saying("ok");
    let routes = "
  - { name: fast, match: { path: /fast }, access: public, upstream: origin, body_rate: 1MiB/s }
  - { name: slow, match: { path: /slow }, access: public, upstream: origin, body_rate: { off: its clients are slow } }
";
    let one = "[{ name: all, access: public, upstream: origin }]";
    let gateway = Setup::new(&super::SHORT.replace(one, routes)).origin(&origin).start();
    let mut client = RawH2::connect(gateway.address());
    client.send(&[post(1, "/fast"), post(3, "/slow")].concat());
    let start = Instant::now();
    // Longer than the file's own rate would let either go on.
    while start.elapsed() < Duration::from_millis(1500) {
        assert!(client.send(&[data(1, 0, b"a"), data(3, 0, b"a")].concat()));
        // The pace of this client, not a wait for something.
        std::thread::sleep(Duration::from_millis(50));
    }
    client.send(&data(3, END_STREAM, b"z"));
    assert!(matches!(client.end_of(1), End::Answer(408, _)));
    assert_eq!(client.end_of(3), End::Answer(200, b"ok".to_vec()));
    assert_eq!(gateway.logged_path("/fast")["cause"], "request_timeout");
    bitten(&gateway, "body_rate");
}

#[test]
fn a_frame_that_dribbles_is_cut() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let mut attacker = RawH2::connect(gateway.address());
    attacker.send(&post(1, "/dribble"));
    let whole = data(1, END_STREAM, &[b'a'; 10_000]);
    let start = Instant::now();
    for byte in whole {
        if !attacker.send(&[byte]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < DEADLINE, "it may go on dribbling");
    }
    bystander.is_unharmed();
    let code = attacker.goaway();
    assert!(matches!(code, Some(ENHANCE_YOUR_CALM)), "{code:?}");
    // On a busy machine the connection may end before the request was answered.
    let line = gateway.logged_path("/dribble");
    assert!(["request_timeout", "client_closed"].iter().any(|cause| line["cause"] == *cause), "{line}");
    bitten(&gateway, "body_idle");
    drop(bystander);
    all_gone(&gateway);
}

/// Sends `bytes` and then nothing. The connection must end, calmly, within the bounds.
#[track_caller]
fn cut_after(bytes: &[u8], bound: &str) {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let mut attacker = RawH2::connect(gateway.address());
    attacker.send(bytes);
    assert_eq!(attacker.goaway(), Some(ENHANCE_YOUR_CALM));
    bitten(&gateway, bound);
    bystander.is_unharmed();
    assert_eq!(origin.requests().iter().filter(|request| request.target != "/calm").count(), 0);
    drop(bystander);
    all_gone(&gateway);
}

#[test]
fn half_a_frame_and_silence_is_cut() {
    cut_after(&h2_raw::frame(h2_raw::PING, 0, 0, &[0; 8])[..12], "body_idle");
    cut_after(&[0, 0], "body_idle");
}

#[test]
fn half_a_header_block_and_silence_is_cut() {
    let block = h2_raw::block(&h2_raw::request("GET", "/half"));
    // A HEADERS frame that others are to follow, and half a HEADERS frame.
    cut_after(&frame(HEADERS, END_STREAM, 1, &block[..20]), "header_time");
    cut_after(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)[..20], "header_time");
}

#[test]
fn half_a_preface_and_silence_is_cut() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for length in [1, 10, 23] {
        let mut client = RawH2::silent(gateway.address());
        client.send(&PREFACE[..length]);
        assert!(client.next().is_none(), "{length}");
    }
    all_gone(&gateway);
}

#[test]
fn a_connection_without_requests_is_closed_when_it_was_idle_for_long_enough() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&super::SHORT.replace("keepalive: 30s", "keepalive: 1s")).origin(&origin).start();
    let mut never_asked = RawH2::connect(gateway.address());
    let mut answered = RawH2::connect(gateway.address());
    answered.send(&get(1, "/"));
    assert_eq!(answered.end_of(1), End::Answer(200, b"ok".to_vec()));
    let start = Instant::now();
    assert!(matches!(never_asked.goaway(), None | Some(h2_raw::NO_ERROR)));
    // Pings are no requests.
    while answered.send(&frame(h2_raw::PING, 0, 0, &[0; 8])) {
        assert!(start.elapsed() < DEADLINE, "pings keep it open");
        std::thread::sleep(Duration::from_millis(300));
    }
    all_gone(&gateway);
}

#[test]
fn a_connection_that_never_asks_is_told_to_go() {
    let origin = Origin::saying("ok");
    let yaml = super::SHORT.replace("header_time: 400ms", "header_time: 30s\n  first_request: 400ms");
    let gateway = Setup::new(&yaml).origin(&origin).start();
    let mut asked = RawH2::connect(gateway.address());
    asked.send(&get(1, "/"));
    assert_eq!(asked.end_of(1), End::Answer(200, b"ok".to_vec()));
    let mut silent = RawH2::connect(gateway.address());
    // A ping is no request.
    silent.send(&frame(h2_raw::PING, 0, 0, &[0; 8]));
    assert_eq!(silent.goaway(), Some(h2_raw::NO_ERROR));
    bitten(&gateway, "first_request");
    asked.send(&get(3, "/"));
    assert_eq!(asked.end_of(3), End::Answer(200, b"ok".to_vec()));
    drop(asked);
    all_gone(&gateway);
}

#[test]
fn a_client_without_a_window_loses_the_stream_and_not_the_connection() {
    let origin = Origin::saying(&"x".repeat(100_000));
    let gateway = gate(&origin);
    let mut client = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.send(&get(1, "/blocked"));
    assert_eq!(client.end_of(1), End::BrokenOff(200));
    let line = gateway.logged_path("/blocked");
    assert_eq!(line["cause"], "client_too_slow", "{line}");
    bitten(&gateway, "write_idle");
    // With a window of its own, another stream is served; the connection's is what it was.
    client.send(&[get(3, "/open"), window_update(3, 200_000), window_update(0, 200_000)].concat());
    assert!(matches!(client.end_of(3), End::Answer(200, body) if body.len() == 100_000));
}

#[test]
fn a_window_of_a_byte_at_a_time_is_no_way_to_hold_a_stream() {
    let origin = Origin::saying(&"x".repeat(100_000));
    let gateway = gate(&origin);
    let mut client = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 1)]);
    client.send(&get(1, "/trickle"));
    let start = Instant::now();
    let mut reset = false;
    while !reset {
        assert!(start.elapsed() < DEADLINE, "it goes on byte by byte");
        client.send(&window_update(1, 1));
        // Far fewer bytes a second than `answer_rate` asks for.
        let next = Instant::now() + Duration::from_millis(30);
        while let Some(frame) = client.next_within(next.saturating_duration_since(Instant::now())) {
            reset |= frame.expect("the connection goes on").kind == RST_STREAM;
        }
    }
    bitten(&gateway, "answer_rate");
}

#[test]
fn a_client_that_never_reads_is_cut_in_bounded_memory() {
    // What one client can make the gateway keep, with every window open: nothing near what it asked for.
    let origin = Origin::always(Answer::ok(vec![b'x'; 4 << 20]));
    let gateway = gate(&origin);
    let mut bystander = H2::prior_knowledge(gateway.address());
    bystander.get("http://gateway.test/calm").expect_status(200);
    let memory = gateway.memory();
    let mut attacker = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
    attacker.send(&window_update(0, 0x7fff_0000));
    for n in 0..50 {
        attacker.send(&get(2 * n + 1, "/unread"));
    }
    let mut most = 0;
    wait::until_true("the connection to be cut", || {
        most = most.max(gateway.memory());
        gateway.metrics().sum("portcullis_connections", &[]) == 1.0
    });
    assert!(most < memory + (64 << 20), "{most} after {memory}");
    bitten(&gateway, "write_idle");
    bystander.get("http://gateway.test/calm").expect_status(200);
    drop((bystander, attacker));
    all_gone(&gateway);
}

#[test]
fn a_body_without_end_is_answered_413_at_its_bound() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&super::SHORT.replace("body_idle: 400ms", "body: 100KiB")).origin(&origin).start();
    let mut client = RawH2::connect(gateway.address());
    client.send(&post(1, "/endless"));
    // Within the stream's window of 128 KiB, and beyond the bound.
    for _ in 0..8 {
        client.send(&data(1, 0, &[b'a'; 16_000]));
    }
    assert!(matches!(client.end_of(1), End::Answer(413, _)));
    assert_eq!(gateway.logged_path("/endless")["status"], 413);
    assert_eq!(origin.count(), 0, "the origin took it for whole");
    client.send(&get(3, "/next"));
    assert_eq!(client.end_of(3), End::Answer(200, b"ok".to_vec()));
}

#[test]
fn a_connection_with_enough_requests_retires_and_loses_none() {
    let origin = Origin::start(|_| Answer::ok("ok").after(Duration::from_millis(50)));
    let gateway =
        Setup::new(&super::SHORT.replace("bounds:", "bounds:\n  requests_per_connection: 5")).origin(&origin).start();
    let mut client = RawH2::connect(gateway.address());
    let requests: Vec<u8> = (0..8).flat_map(|n| get(2 * n + 1, "/many")).collect();
    client.send(&requests);
    let (mut answered, mut said) = (Vec::new(), Vec::new());
    while let Some(frame) = client.next() {
        match frame.kind {
            h2_raw::GOAWAY => said.push((u32::from_be_bytes(frame.payload[..4].try_into().unwrap()), frame.code())),
            _ if frame.stream > 0 && frame.flags & END_STREAM != 0 => answered.push(frame.stream),
            _ => {}
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5, 7, 9, 11, 13, 15]);
    // First that the end is near, then which request was the last (RFC 9113 §6.8).
    assert_eq!((said.first(), said.last()), (Some(&(0x7fff_ffff, 0)), Some(&(15, 0))), "{said:?}");
    bitten(&gateway, "requests_per_connection");
    all_gone(&gateway);
}

#[test]
fn a_client_that_stays_though_its_connection_retires_is_sent_away() {
    let origin = Origin::saying("ok");
    let gateway =
        Setup::new(&super::SHORT.replace("bounds:", "bounds:\n  requests_per_connection: 3")).origin(&origin).start();
    let mut client = RawH2::connect(gateway.address());
    // It reads nothing from here on, so that it acknowledges nothing either.
    client.send(&(0..5).flat_map(|n| get(2 * n + 1, "/stays")).collect::<Vec<u8>>());
    all_gone(&gateway);
    assert!(gateway.logged(3).len() >= 3);
}
