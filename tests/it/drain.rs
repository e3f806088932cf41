//! Drain: the process stops accepting requests, loses none, and exits after the last one.

mod http1;
mod http2;
mod streams;

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{self, Client};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// One endpoint, every path public, a header to know the gateway's own answers by.
const PASS: &str = "response_headers: { set: { X-Owner: declared } }
upstreams: { origin: { endpoints: [\"<o>\"], timeouts: { connect: 1h, response: 1h } } }
routes: [{ name: all, access: public, upstream: origin }]\n";

/// A gateway before `origin`, with `process` in its file.
fn before(origin: SocketAddr, process: &str) -> Gateway {
    Setup::new(&format!("process: {{ {process} }}\n{PASS}")).with("o", origin).start()
}

/// Asks it to drain and waits until its listener is closed.
fn close(gateway: &Gateway) {
    gateway.signal("TERM");
    closed(gateway);
}

fn closed(gateway: &Gateway) {
    wait::until_true("the listener to close", || gateway.stderr().contains("listener main closed"));
    assert!(TcpStream::connect(gateway.address()).is_err());
}

/// Never answers.
fn silent() -> RawOrigin {
    RawOrigin::start(Wire::drain)
}

/// A request that has reached `origin`.
fn ask(gateway: &Gateway, origin: &RawOrigin) -> Client {
    let before = origin.connections();
    let mut client = gateway.connect();
    client.send("GET /asked HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || {
        origin.connections() > before && origin.seen(before).text().contains("\r\n\r\n")
    });
    client
}

/// The connection is closed properly, without further bytes.
#[track_caller]
fn assert_closed(client: &mut Client) {
    let read = client.stream().read(&mut [0; 64]);
    assert_eq!(read.expect("a close, and no reset"), 0);
}

#[test]
fn readiness_fails_before_the_port_refuses() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain_notice: 3s, drain: 60s");
    let since = Instant::now();
    gateway.signal("TERM");
    wait::until_true("readiness to end", || client::get_by_address(gateway.admin(), "/readyz").status == 503);
    assert!(client::get_by_address(gateway.admin(), "/readyz").text().contains("draining"));
    client::get_by_address(gateway.admin(), "/livez").expect_status(200);
    gateway.get("/still-served").expect_status(200);
    assert_eq!(gateway.metrics().sum("portcullis_draining", &[]), 1.0);
    assert!(!gateway.stderr().contains("listener main closed"), "{}", gateway.stderr());
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(since.elapsed() >= Duration::from_secs(3), "{:?}", since.elapsed());
}

#[test]
fn without_a_notice_the_port_refuses_at_once() {
    let origin = silent();
    let gateway = before(origin.address(), "");
    let _client = ask(&gateway, &origin);
    close(&gateway);
    assert_eq!(client::get_by_address(gateway.admin(), "/readyz").status, 503);
}

#[test]
fn every_signal_that_ends_a_process_drains() {
    for signal in ["TERM", "INT", "QUIT"] {
        let origin = Origin::always(Answer::ok("finished").after(Duration::from_millis(300)));
        let mut gateway = before(origin.address(), "drain: 60s");
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait::until_true("the request to reach the origin", || origin.count() == 1);
        gateway.signal(signal);
        assert_eq!(client.read_response().expect_status(200).text(), "finished");
        assert_eq!(gateway.wait().code(), Some(0), "{signal}");
        assert!(gateway.stderr().contains(&format!("drain begins (SIG{signal})")), "{}", gateway.stderr());
    }
}

#[test]
fn the_process_leaves_when_the_last_request_is_done_and_says_until_then_what_is_left() {
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let finished = std::sync::Mutex::new(finished);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        let _ = finished.lock().unwrap().recv();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut gateway = before(origin.address(), "drain: 10m");
    let mut client = ask(&gateway, &origin);
    close(&gateway);

    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_draining", &[]), 2.0);
    assert_eq!(metrics.sum("portcullis_requests_in_flight", &[]), 1.0);
    assert_eq!(metrics.sum("portcullis_connections", &[]), 1.0);
    assert!(metrics.sum("portcullis_drain_seconds", &[]) > 0.0);
    let status = client::get_by_address(gateway.admin(), "/status").json();
    assert_eq!(status["drain"]["reason"], "SIGTERM", "{status}");
    assert_eq!(status["drain"]["requests_left"], 1, "{status}");
    let progress = "draining (leaving): 1 requests (0 of them streams), 1 connections left";
    wait::until_true("a line on the progress", || gateway.stderr().contains(progress));

    finish.send(()).expect("a waiting origin");
    assert_eq!(client.read_response().expect_header("Connection", "close").text(), "ok");
    drop(client);
    let since = Instant::now();
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    gateway.says("no request cut");
}

#[test]
fn what_the_bound_cuts_is_answered_and_logged_and_makes_the_exit_code() {
    let origin = silent();
    let mut gateway = before(origin.address(), "drain: 500ms");
    let mut waiting = ask(&gateway, &origin);
    let mut uploading = gateway.connect();
    uploading.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let mut beginning = gateway.connect();
    beginning.send("GET /partial HTTP/1.1\r\nHost: a\r\n");
    wait::until_true("both requests", || gateway.metrics().sum("portcullis_requests_in_flight", &[]) == 2.0);
    gateway.signal("TERM");
    for client in [&mut waiting, &mut uploading, &mut beginning] {
        let answer = client.read_response().expect_status(503).expect_header("X-Owner", "declared");
        answer.expect_header("Connection", "close");
        assert_closed(client);
    }
    drop((waiting, uploading, beginning));
    assert_eq!(gateway.wait().code(), Some(75));
    for path in ["/asked", "/upload", "/partial"] {
        let line = gateway.logged_path(path);
        assert_eq!((&line["cause"], &line["status"]), (&"shut_down".into(), &503.into()), "{line}");
    }
    assert_eq!(gateway.log_lines().len(), 3);
    gateway.says("3 requests cut");
}

#[test]
fn an_answer_that_had_begun_is_broken_off_and_not_ended_as_if_it_were_whole() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        wire.drain();
    });
    let mut gateway = before(origin.address(), "drain: 500ms");
    let mut client = gateway.connect();
    client.send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the beginning of the answer", || client.has_input());
    gateway.signal("TERM");
    let error = client.try_read_response(false).expect_err("an answer without its end");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(gateway.wait().code(), Some(75));
    let line = gateway.logged_path("/begun");
    assert_eq!((&line["cause"], &line["status"]), (&"shut_down".into(), &200.into()), "{line}");
}

#[test]
fn a_client_that_takes_nothing_is_cut_and_logged_too() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while wire.send([0; 64 << 10]) {}
    });
    let mut gateway = before(origin.address(), "drain: 500ms");
    let mut client = gateway.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the beginning of the answer", || client.has_input());
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(75));
    assert_eq!(gateway.logged_path("/large")["cause"], "shut_down");
}

#[test]
fn a_request_that_waits_for_a_connection_is_cut_and_logged_too() {
    // Takes no connection: its queue is full.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    full.listen(0).expect("a bound socket");
    let address = full.local_addr().expect("a bound socket").as_socket().expect("an address");
    let queued: Vec<_> =
        (0..4).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()).collect();
    assert!(!queued.is_empty() && queued.len() < 4, "{}", queued.len());

    let mut gateway = before(address, "drain: 300ms");
    let mut client = gateway.connect();
    client.send("GET /connecting HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request", || gateway.metrics().sum("portcullis_requests_in_flight", &[]) == 1.0);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(75));
    assert_eq!(gateway.logged_path("/connecting")["cause"], "shut_down");
}

#[test]
fn a_second_signal_cuts_at_once() {
    let origin = silent();
    let mut gateway = before(origin.address(), "drain: 10m, drain_notice: 10m");
    let mut client = ask(&gateway, &origin);
    gateway.signal("TERM");
    wait::until_true("the notice", || gateway.stderr().contains("not ready any more"));
    gateway.signal("INT");
    client.read_response().expect_status(503);
    drop(client);
    assert_eq!(gateway.wait().code(), Some(75));
    assert_eq!(gateway.logged_path("/asked")["cause"], "shut_down");
}

#[test]
fn an_operator_can_begin_it_and_the_signal_of_a_supervisor_does_not_hurry_it() {
    let origin = Origin::always(Answer::ok("finished").after(Duration::from_secs(2)));
    let mut gateway = Setup::new(&format!(
        "admin: {{ address: \"<admin>\", token: {{ env: TOKEN }} }}\nprocess: {{ drain: 60s }}\n{PASS}"
    ))
    .with("o", origin.address())
    .variable("TOKEN", "0123456789abcdef0123456789abcdef")
    .start();
    let drain = || {
        let authorization = ("Authorization", "Bearer 0123456789abcdef0123456789abcdef");
        Client::connect(gateway.admin()).request("POST", "/drain", &[authorization], b"")
    };
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    for _ in 0..2 {
        let answer = drain().expect_status(200).json();
        assert_eq!(answer["drain"]["reason"], "asked to", "{answer}");
    }
    closed(&gateway);
    gateway.signal("TERM");
    assert_eq!(client.read_response().expect_status(200).text(), "finished");
    drop(client);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_reload_changes_the_bounds_of_a_drain_that_goes_on() {
    let origin = silent();
    let mut gateway = before(origin.address(), "drain: 10m");
    let mut client = ask(&gateway, &origin);
    close(&gateway);
    let file = gateway.dir().join("portcullis.yaml");
    let text = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, text.replace("drain: 10m", "drain: 1ms")).expect("a writable temporary folder");
    gateway.signal("HUP");
    client.read_response().expect_status(503);
    drop(client);
    assert_eq!(gateway.wait().code(), Some(75));
}

#[test]
fn whoever_holds_a_connection_holds_the_process_for_no_longer_than_the_bound() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 10m");
    let silent: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    let mut idle = gateway.connect();
    idle.get("/").expect_status(200);
    let since = Instant::now();
    // None of them looks at its connection.
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    drop((silent, idle));
}

#[test]
fn connections_that_wait_in_the_kernel_are_served() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 60s");
    gateway.signal("STOP");
    let clients: Vec<_> = (0..30)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    gateway.signal("TERM");
    gateway.signal("CONT");
    for mut client in clients {
        client.read_response().expect_status(200);
    }
    assert_eq!(gateway.wait().code(), Some(0));
    // All lines are written before the end.
    assert_eq!(gateway.log_lines().len(), 30);
}

#[test]
fn clients_that_ask_while_it_drains_see_no_failure() {
    for (round, idle) in ["9s", "9s", "0s", "0s"].into_iter().enumerate() {
        let origin = Origin::saying("ok");
        let mut gateway = before(origin.address(), &format!("drain: 60s, drain_idle: {idle}"));
        let address = gateway.address();
        let clients: Vec<_> =
            (0..24_u64).map(|seed| thread::spawn(move || ask_until_it_leaves(address, seed))).collect();
        wait::until_true("some traffic", || origin.count() > 100);
        gateway.signal("TERM");
        let unanswered = clients.into_iter().map(|client| client.join().expect("no failure")).filter(|lost| *lost);
        // With time to say so, every connection learns from an answer that it is the last.
        let unanswered = unanswered.count();
        assert!(idle == "0s" || unanswered == 0, "round {round}: {unanswered} requests found their connection closed");
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(gateway.log_lines().iter().all(|line| line["cause"].is_null()), "{}", gateway.stdout());
    }
}

/// Asks again and again on one connection, with pauses of every length, until it ends. It ends with a `Connection: close` on an
/// answer, or in order before any byte of one: then the request was not answered (true).
fn ask_until_it_leaves(address: SocketAddr, seed: u64) -> bool {
    let mut client = Client::connect(address);
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        thread::sleep(Duration::from_micros(random.u64(..20_000)));
        // What can't be sent because the other side has closed is seen when reading.
        let _ = client.send_request("GET", "/", &[], b"");
        match client.try_read_response(false) {
            Ok(answer) => {
                assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
                if answer.header("Connection") == Some("close") {
                    assert_closed(&mut client);
                    return false;
                }
            }
            Err(error) => {
                assert_eq!(error.to_string(), "the connection was closed after \"\"");
                return true;
            }
        }
    }
}
