//! HTTP/1: requests in progress finish, and idle connections are closed properly.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use super::{assert_closed, before, close};
use crate::support::certs::Authority;
use crate::support::client::{Client, Tls};
use crate::support::raw_origin::RawOrigin;
use crate::support::wait::{self, DEADLINE};
use crate::support::{Gateway, Origin, Setup};

/// An origin that runs the second half of its answer when it is told to.
fn halves(first: &'static str, second: &'static str) -> (RawOrigin, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.send(first);
        if told.lock().unwrap().recv_timeout(DEADLINE).is_ok() {
            wire.send(second);
        }
    });
    (origin, go)
}

#[test]
fn slow_downloads_finish() {
    for (first, second) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none", "two"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", "3\r\ntwo\r\n0\r\n\r\n"),
    ] {
        let (origin, go) = halves(first, second);
        let mut gateway = before(origin.address(), "drain: 60s");
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait::until_true("the beginning of the answer", || client.has_input());
        close(&gateway);
        go.send(()).unwrap();
        assert_eq!(client.read_response().expect_status(200).text(), "onetwo");
        // Its head had left when the drain began.
        assert_closed(&mut client);
        assert_eq!(gateway.wait().code(), Some(0));
    }
}

#[test]
fn slow_uploads_finish() {
    let origin = Origin::start(|request| crate::support::Answer::ok(request.body.clone()));
    for (head, pieces) in [
        ("Content-Length: 6", ["one", "two"]),
        ("Transfer-Encoding: chunked", ["3\r\none\r\n", "3\r\ntwo\r\n0\r\n\r\n"]),
    ] {
        let mut gateway = before(origin.address(), "drain: 60s");
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{}", pieces[0]));
        wait::until_true("the request", || gateway.metrics().sum("portcullis_requests_in_flight", &[]) == 1.0);
        close(&gateway);
        client.send(pieces[1]);
        let answer = client.read_response().expect_status(200).expect_header("Connection", "close");
        assert_eq!(answer.text(), "onetwo");
        assert_closed(&mut client);
        drop(client);
        assert_eq!(gateway.wait().code(), Some(0));
    }
}

#[test]
fn a_head_that_has_begun_is_waited_for() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 60s, drain_idle: 200ms");
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    client.send("GET /partial HTTP/1.1\r\nHo");
    // Another idle connection shows when idle ones are closed.
    let mut idle = gateway.connect();
    idle.get("/").expect_status(200);
    close(&gateway);
    assert_closed(&mut idle);
    client.send("st: a\r\n\r\n");
    client.read_response().expect_status(200).expect_header("Connection", "close");
    drop((client, idle));
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.log_lines().iter().all(|line| line["cause"].is_null()), "{}", gateway.stdout());
}

#[test]
fn an_idle_connection_may_still_ask_for_a_while() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 60s, drain_idle: 9s");
    let mut used = gateway.connect();
    used.get("/").expect_status(200);
    let mut unused = gateway.connect();
    // Accepted before the listener closes, since it was connected before the one below.
    gateway.get("/").expect_status(200);
    close(&gateway);
    for client in [&mut used, &mut unused] {
        client.get("/late").expect_status(200).expect_header("Connection", "close");
        assert_closed(client);
    }
    drop((used, unused));
    assert_eq!(gateway.wait().code(), Some(0));
}

fn over_tls(process: &str) -> (Gateway, Tls) {
    let authority = Authority::new("test");
    let setup = Setup::new(&format!(
        "process: {{ {process} }}\nlisteners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: \
         \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\nroutes: [{{ name: all, access: public, respond: {{ \
         body: ok }} }}]\n"
    ));
    authority.issue(&["gateway.test"]).write(setup.dir(), "edge");
    (setup.start(), Tls::new("gateway.test", &authority.certificate()))
}

#[test]
fn idle_connections_end_in_order() {
    let origin = Origin::saying("ok");
    let mut plain = before(origin.address(), "drain: 60s");
    let mut clients: Vec<_> = (0..20).map(|_| plain.connect()).collect();
    let (mut secure, tls) = over_tls("drain: 60s");
    // A close without close_notify would be an error here.
    clients.extend((0..5).map(|_| Client::tls(secure.address(), &tls).expect("a handshake").0));
    for client in clients.iter_mut().skip(3) {
        client.get("/").expect_status(200);
    }
    plain.signal("TERM");
    secure.signal("TERM");
    for client in &mut clients {
        assert_closed(client);
    }
    drop(clients);
    for gateway in [&mut plain, &mut secure] {
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(gateway.log_lines().iter().all(|line| line["cause"].is_null()), "{}", gateway.stdout());
    }
}

#[test]
fn on_a_listener_that_knows_http2_too_an_unused_connection_ends_in_order() {
    let mut gateway = Setup::new(
        "process: { drain: 60s }\nlisteners: [{ name: main, address: \"<listen>\", http2: true }]\nroutes: [{ name: all, \
         access: public, respond: { body: ok } }]\n",
    )
    .start();
    let mut unused = gateway.connect();
    gateway.get("/").expect_status(200);
    gateway.signal("TERM");
    assert_closed(&mut unused);
    drop(unused);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_request_that_crosses_the_end_sees_an_end_and_no_reset() {
    let origin = Origin::saying("ok");
    let gateway = before(origin.address(), "drain: 60s, drain_idle: 0s");
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    gateway.signal("TERM");
    wait::until_true("the end", || client.has_input());
    // The client has not looked.
    let _ = client.try_send("GET /crossing HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    assert_closed(&mut client);
}

#[test]
fn what_was_sent_ahead_does_not_cost_the_answer() {
    let (origin, go) = halves("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = before(origin.address(), "drain: 60s");
    let mut client = gateway.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || !origin.seen(0).bytes.is_empty());
    close(&gateway);
    go.send(()).unwrap();
    client.read_response().expect_status(200).expect_header("Connection", "close");
    assert_closed(&mut client);
}

#[test]
fn within_the_notice_connections_are_told_by_their_answers() {
    let origin = Origin::saying("ok");
    let mut gateway = before(origin.address(), "drain: 60s, drain_notice: 3s, drain_idle: 9s");
    let mut clients: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.get("/").expect_status(200).expect_header("Connection", "keep-alive");
    }
    gateway.signal("TERM");
    let mut early = 0;
    while !clients.is_empty() {
        clients.retain_mut(|client| {
            let told = client.get("/").expect_status(200).header("Connection") == Some("close");
            if told {
                assert_closed(client);
                early += u32::from(!gateway.stderr().contains("listener main closed"));
            }
            !told
        });
        thread::sleep(Duration::from_millis(20));
    }
    // Each has its own moment.
    assert!(early > 0);
    assert_eq!(gateway.wait().code(), Some(0));
}
