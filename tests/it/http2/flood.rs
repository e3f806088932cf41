//! Floods of frames: the connection ends with ENHANCE_YOUR_CALM, and other connections are not affected.

use std::time::{Duration, Instant};

use super::{Bystander, SHORT, all_gone, bitten, gate};
use crate::support::h2_client::H2;
use crate::support::h2_raw::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, GOAWAY, HEADERS, PING, PRIORITY,
    REFUSED_STREAM, RST_STREAM, RawH2, SETTINGS, frame, get, post, reset, window_update,
};
use crate::support::wait::{self, DEADLINE};
use crate::support::{Answer, Origin, Setup};

/// Sends `frames` until the gateway ends the connection, which it must do calmly and alone.
#[track_caller]
fn flooded_with(what: &str, bound: &str, frames: impl Fn(u32) -> Vec<u8>) {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let mut attacker = RawH2::connect(gateway.address());
    attacker.flood(20_000, frames);
    bystander.is_unharmed();
    assert_eq!(attacker.goaway(), Some(ENHANCE_YOUR_CALM), "{what}");
    bitten(&gateway, bound);
    drop(bystander);
    all_gone(&gateway);
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let mut attacker = RawH2::connect(gateway.address());
    attacker.flood(10_000, |n| [get(2 * n + 1, "/reset"), reset(2 * n + 1, h2_raw::NO_ERROR)].concat());
    bystander.is_unharmed();
    assert_eq!(attacker.goaway(), Some(ENHANCE_YOUR_CALM));
    assert!(origin.count() < 50, "the origin got {} of the requests", origin.count());
    bitten(&gateway, "http2_resets");
    drop(bystander);
    all_gone(&gateway);
    // One line for each request that was begun, and no more.
    let lines = gateway.log_lines();
    assert!(lines.iter().filter(|line| line["path"] == "/reset").count() <= 50, "{}", lines.len());
}

#[test]
fn resets_of_requests_that_are_being_served_count_too() {
    let origin = Origin::start(|_| Answer::ok("late").after(Duration::from_secs(5)));
    let gateway = gate(&origin);
    let mut attacker = RawH2::connect(gateway.address());
    let (mut served, start) = (0, Instant::now());
    let end = 'attack: loop {
        let stream = 2 * served as u32 + 1;
        attacker.send(&get(stream, "/served"));
        // Served, not only queued: of what it has not handed over yet, the library itself bounds the resets.
        while origin.count() <= served {
            match attacker.next_within(Duration::from_millis(5)) {
                Some(Some(frame)) if frame.kind == GOAWAY => break 'attack Some(frame.code()),
                Some(None) => break 'attack None,
                _ => assert!(start.elapsed() < DEADLINE, "{served} resets, and it goes on"),
            }
        }
        served += 1;
        attacker.send(&reset(stream, 8));
    };
    assert_eq!(end, Some(ENHANCE_YOUR_CALM));
    assert!(served > 20, "{served}");
    bitten(&gateway, "http2_resets");
    all_gone(&gateway);
}

#[test]
fn resets_that_a_client_provokes_end_the_connection() {
    // A body that is not as long as it says is a stream error (RFC 9113 §8.1.1), which the gateway answers with a reset.
    let fields = [&h2_raw::request("POST", "/provoked")[..], &[("content-length", "5")]].concat();
    flooded_with("provoked resets", "http2_resets", |n| h2_raw::headers(2 * n + 1, END_STREAM, &fields));
}

#[test]
fn endless_continuation_ends_the_connection() {
    let begin = frame(HEADERS, END_STREAM, 1, &h2_raw::block(&h2_raw::request("GET", "/")));
    let one_field = h2_raw::block(&[("x-a", "a")]);
    flooded_with("CONTINUATION", "header_bytes", move |n| match n {
        0 => begin.clone(),
        _ => frame(CONTINUATION, 0, 1, &one_field),
    });
}

#[test]
fn floods_of_pings_end_the_connection() {
    flooded_with("PING", "http2_control_frames", |_| frame(PING, 0, 0, &[0; 8]));
}

#[test]
fn floods_of_settings_end_the_connection() {
    flooded_with("SETTINGS", "http2_control_frames", |_| frame(SETTINGS, 0, 0, &[]));
}

#[test]
fn floods_of_priorities_end_the_connection() {
    flooded_with("PRIORITY", "http2_control_frames", |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]));
}

#[test]
fn floods_of_window_updates_end_the_connection() {
    flooded_with("WINDOW_UPDATE", "http2_control_frames", |_| window_update(0, 1));
}

#[test]
fn floods_of_unknown_frames_end_the_connection() {
    flooded_with("unknown", "http2_control_frames", |_| frame(0xbe, 0, 0, b"grease"));
}

#[test]
fn floods_of_empty_data_end_the_connection() {
    flooded_with("empty DATA", "http2_control_frames", |n| match n {
        0 => post(1, "/empty"),
        _ => frame(DATA, 0, 1, &[]),
    });
}

#[test]
fn floods_of_padding_end_the_connection() {
    flooded_with("padding", "http2_control_frames", |n| match n {
        0 => post(1, "/padding"),
        // PADDED: nine bytes of nothing.
        _ => frame(DATA, 0x8, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    });
}

#[test]
fn a_client_that_never_reads_the_answers_to_its_pings_is_cut() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&SHORT.replace("http2_control_frames: 100", "http2_control_frames: 1000000"))
        .origin(&origin)
        .start();
    let mut bystander = Bystander::beside(&gateway);
    let mut attacker = RawH2::connect(gateway.address());
    let memory = gateway.memory();
    // Much more than the kernel keeps for either side.
    let many = frame(PING, 0, 0, &[0; 8]).repeat(5000);
    attacker.flood(200, |_| many.clone());
    bystander.is_unharmed();
    assert!(gateway.memory() < memory + (16 << 20), "{} after {memory}", gateway.memory());
    drop(bystander);
    all_gone(&gateway);
}

#[test]
fn a_header_bomb_is_refused_in_bounded_memory() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let memory = gateway.memory();
    // One field of 3,900 bytes enters the dynamic table (RFC 7541 §6.2.1), and is named 15,000 times by a byte each: 58 MB.
    let mut bomb = h2_raw::block(&h2_raw::request("GET", "/bomb"));
    bomb.push(0x40);
    h2_raw::string(b"x-bomb", &mut bomb);
    h2_raw::string(&[b'b'; 3900], &mut bomb);
    bomb.extend_from_slice(&[0xbe; 11_000]);
    for _ in 0..20 {
        let mut attacker = RawH2::connect(gateway.address());
        attacker.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        let end = attacker.end_of(1);
        let refused = matches!(end, End::Answer(431, _) | End::GoAway(ENHANCE_YOUR_CALM));
        assert!(refused, "{end:?}");
    }
    assert!(gateway.memory() < memory + (16 << 20), "{} after {memory}", gateway.memory());
    assert_eq!(origin.count(), 1, "the bystander's");
    bystander.is_unharmed();
    drop(bystander);
    all_gone(&gateway);
}

#[test]
fn a_stream_too_many_is_refused_and_may_come_again() {
    let origin = Origin::start(|_| Answer::ok("late").after(Duration::from_millis(300)));
    let gateway = Setup::new(&SHORT.replace("keepalive: 30s", "http2_streams: 3")).origin(&origin).start();
    let mut client = RawH2::connect(gateway.address());
    for stream in [1, 3, 5, 7] {
        client.send(&get(stream, "/many"));
    }
    let refused = std::iter::from_fn(|| client.next()).find(|frame| frame.kind == RST_STREAM).expect("a reset");
    assert_eq!((refused.stream, refused.code()), (7, REFUSED_STREAM));
    assert_eq!(client.end_of(5), End::Answer(200, b"late".to_vec()));
    client.send(&get(9, "/again"));
    assert_eq!(client.end_of(9), End::Answer(200, b"late".to_vec()));
}

#[test]
fn a_busy_client_is_no_flood() {
    let origin = Origin::saying(&"x".repeat(40_000));
    let gateway = gate(&origin);
    let mut client = H2::prior_knowledge(gateway.address());
    for _ in 0..20 {
        for answer in client.get_together("http://gateway.test/", &[], 25) {
            assert_eq!(answer.expect_status(200).body.len(), 40_000);
        }
    }
}

#[test]
fn the_log_names_the_error_that_ended_the_connection() {
    let origin = Origin::always(Answer::ok("late").after(Duration::from_secs(20)));
    // On one thread: on two, a request may hear that its connection has ended before it is known why.
    let gateway = Setup::new(&format!("process: {{ threads: 1 }}\n{SHORT}")).origin(&origin).start();
    let ends: [(&str, &str, Vec<u8>); 2] = [
        // An increment of 0 (RFC 9113 §6.9).
        ("/broken", "PROTOCOL_ERROR", window_update(0, 0)),
        ("/flooded", "too many control frames", frame(h2_raw::PING, 0, 0, &[0; 8]).repeat(200)),
    ];
    for (path, detail, end) in ends {
        let mut client = RawH2::connect(gateway.address());
        client.send(&get(1, path));
        wait::until_true("the origin to be asked", || origin.requests().iter().any(|request| request.target == path));
        client.send(&end);
        let line = gateway.logged_path(path);
        assert_eq!((&line["cause"], &line["detail"]), (&"http2_connection_error".into(), &detail.into()), "{line}");
    }
}
