//! What answers hold whose clients don't take them.

use std::time::{Duration, Instant};

use crate::support::h2_raw::{DATA, INITIAL_WINDOW_SIZE, RawH2, get, window_update};
use crate::support::{Answer, Client, Gateway, Origin, wait};

const RULES: &str = "process: { threads: 1, fast_lane: \"on\" }
listeners: [{ name: main, address: \"<listen>\", http2: true }]
routes: [{ name: all, access: public, upstream: origin }]
";

/// Longer than what the sockets on both sides take by themselves.
const LONG: usize = 8 << 20;

const COUNTED: f64 = (128 << 10) as f64;

fn gateway(origin: &Origin, bounds: &str) -> Gateway {
    Gateway::before(origin, &format!("{bounds}{RULES}"))
}

fn waiting(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_answer_memory_bytes", &[])
}

/// A client that asks and reads nothing.
fn unread(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    client
}

/// As many of them, each of which holds its answer up.
fn unread_each(gateway: &Gateway, count: usize) -> Vec<Client> {
    let clients = (0..count).map(|_| unread(gateway)).collect();
    wait::until_true("the answers to wait", || waiting(gateway) == count as f64 * COUNTED);
    clients
}

#[test]
fn answers_that_wait_for_their_clients_are_counted_while_they_do() {
    let origin = Origin::always(Answer::ok(vec![b'x'; LONG]));
    let gateway = gateway(&origin, "");
    let clients = unread_each(&gateway, 3);
    drop(clients);
    wait::until_true("nothing to wait", || waiting(&gateway) == 0.0);
}

#[test]
fn a_client_that_reads_nothing_holds_no_more_than_is_counted() {
    let origin = Origin::always(Answer::ok(vec![b'x'; LONG]));
    let gateway = gateway(&origin, "");
    drop(unread_each(&gateway, 5));
    wait::until_true("nothing to wait", || waiting(&gateway) == 0.0);
    let before = gateway.memory();
    let clients = unread_each(&gateway, 40);
    let each = gateway.memory().saturating_sub(before) / 40;
    assert!(each <= 128 << 10, "{each} bytes for a connection");
    drop(clients);
}

#[test]
fn a_stream_that_is_not_read_holds_no_more_than_is_counted() {
    let origin = Origin::always(Answer::ok(vec![b'x'; 1 << 20]));
    let gateway = gateway(&origin, "");
    let ask = |streams: u32| {
        // Small windows: a full socket would keep the gateway from reading the requests that follow.
        let mut client = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 1 << 10)]);
        client.send(&window_update(0, 0x7fff_0000));
        for n in 0..streams {
            client.send(&get(2 * n + 1, "/unread"));
        }
        wait::until_true("the answers to wait", || waiting(&gateway) == f64::from(streams) * COUNTED);
        client
    };
    drop(ask(20));
    wait::until_true("nothing to wait", || waiting(&gateway) == 0.0);
    let before = gateway.memory();
    let client = ask(100);
    let each = gateway.memory().saturating_sub(before) / 100;
    assert!(each <= 128 << 10, "{each} bytes for a stream");
    drop(client);
}

#[test]
fn beyond_the_bound_an_answer_waits_a_second_and_no_longer() {
    let origin =
        Origin::start(
            |request| {
                if request.target == "/short" { Answer::ok("short") } else { Answer::ok(vec![b'x'; LONG]) }
            },
        );
    let gateway = gateway(&origin, "bounds: { answer_memory: 1MiB, write_idle: 1h }\n");
    let within = unread_each(&gateway, 8);
    let mut beyond = unread(&gateway);
    wait::until_true("the bound to bite", || {
        gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "answer_memory")]) == 1.0
    });
    let line = gateway.eventually_logged(|line| line["path"] == "/");
    assert_eq!(line["cause"], "client_too_slow", "{line}");
    assert!(beyond.try_read_response(false).is_err(), "what was broken off is not whole");
    assert_eq!(waiting(&gateway), 8.0 * COUNTED, "who came before goes on waiting");
    gateway.get("/short").expect_status(200);
    assert!(line["duration_ms"].as_f64().is_some_and(|time| time >= 1000.0), "{line}");
    drop(within);
    wait::until_true("nothing to wait", || waiting(&gateway) == 0.0);
}

#[test]
fn a_stream_that_is_read_steadily_is_not_cut_off_for_what_the_kernel_holds() {
    let origin = Origin::always(Answer::ok(vec![b'x'; LONG]));
    let gateway = gateway(&origin, "bounds: { write_idle: 1500ms }\n");
    let mut client = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
    client.send(&window_update(0, 0x7fff_0000));
    client.send(&get(1, "/read"));
    // At 400 KB/s, a kernel that takes 4 MiB for a client asks for more after some three seconds.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        client.next().expect("a part of the answer");
        std::thread::sleep(Duration::from_millis(40));
    }
    assert_eq!(gateway.log_lines().len(), 0, "{}", gateway.stdout());
}

#[test]
fn a_connection_is_not_idle_while_an_answer_leaves_that_was_handed_over_whole() {
    let origin = Origin::always(Answer::ok(vec![b'x'; 2 << 20]));
    let gateway = gateway(&origin, "bounds: { keepalive: 1s, answer_buffer: 4MiB }\n");
    let mut client = RawH2::connect_with(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
    client.send(&window_update(0, 0x7fff_0000));
    client.send(&get(1, "/read"));
    let mut taken = 0;
    while taken < 2 << 20 {
        let frame = client.next().expect("the rest of the answer");
        if frame.kind == DATA {
            taken += frame.payload.len();
            std::thread::sleep(Duration::from_millis(25));
        }
    }
    assert_eq!(taken, 2 << 20);
    let idle_from = Instant::now();
    while client.next().is_some() {}
    assert!(idle_from.elapsed() < Duration::from_secs(8), "and it is idle from then on");
}
