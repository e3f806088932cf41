//! Pooled connections that the origin closes at any time: no request fails, and none is sent twice.

mod http2;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{PASS, before_all};
use crate::support::certs::Authority;
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// Answers each request on a connection until none comes for a random time, which it never announces.
struct Fickle {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// How often each request arrived, by its body.
    seen: Arc<Mutex<HashMap<String, usize>>>,
}

impl Fickle {
    /// Waits for up to `longest` microseconds for another request.
    fn start(longest: u64) -> Fickle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashMap::new())));
        let fickle = Fickle { address, connections: connections.clone(), seen: seen.clone() };
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                connections.fetch_add(1, Ordering::SeqCst);
                let seen = seen.clone();
                thread::spawn(move || converse(stream, number as u64, longest, &seen));
            }
        });
        fickle
    }
}

/// The next number of a sequence without a pattern (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut number = *state;
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn converse(mut stream: TcpStream, number: u64, longest: u64, seen: &Mutex<HashMap<String, usize>>) {
    stream.set_nodelay(true).unwrap();
    let mut state = number;
    let mut first = true;
    loop {
        let patience = if first { wait::DEADLINE } else { Duration::from_micros(1 + random(&mut state) % longest) };
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(count @ 1..) => buffer.extend_from_slice(&piece[..count]),
                _ => return,
            }
            let text = String::from_utf8_lossy(&buffer);
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && body.ends_with('.')
            {
                *seen.lock().unwrap().entry(body.to_owned()).or_default() += 1;
                break;
            }
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
        first = false;
    }
}

/// Sends POSTs to an origin that counts what it has `seen`, and says how many failed.
fn post_many(gateway: &Gateway, seen: &Mutex<HashMap<String, usize>>, each: usize) -> usize {
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..4 {
            let failed = &failed;
            scope.spawn(move || {
                let mut connection = gateway.connect();
                for n in 0..each {
                    if connection.request("POST", "/", &[], format!("{client}-{n}.").as_bytes()).status != 200 {
                        failed.fetch_add(1, Ordering::SeqCst);
                        connection = gateway.connect();
                    }
                }
            });
        }
    });
    let failures = gateway.log_lines().into_iter().filter(|line| !line["cause"].is_null());
    for line in failures.take(10) {
        eprintln!("{line}");
    }
    let seen = seen.lock().unwrap();
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "sent more than once: {twice:?}");
    failed.into_inner()
}

fn before(fickle: &Fickle, timeouts: &str) -> Gateway {
    before_with(fickle, timeouts, "")
}

fn before_with(fickle: &Fickle, timeouts: &str, more: &str) -> Gateway {
    Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], timeouts: {{ {timeouts} }} }} }}\nbounds: {{ \
         requests_per_connection: 100000 }}\n{more}\n{PASS}"
    ))
    .with("o", fickle.address)
    .start()
}

#[test]
fn no_post_is_lost_to_an_origin_that_closes_at_random() {
    let fickle = Fickle::start(5000);
    let gateway = before(&fickle, "response: 5s");
    assert_eq!(post_many(&gateway, &fickle.seen, 1000), 0);
}

#[test]
fn no_post_is_lost_or_shares_a_connection_where_the_owner_trusts_none() {
    let fickle = Fickle::start(5000);
    let gateway = before(&fickle, "idle_unsafe: 0s");
    assert_eq!(post_many(&gateway, &fickle.seen, 500), 0);
    assert_eq!(fickle.connections.load(Ordering::SeqCst), 2000);
}

#[test]
fn posts_share_the_connections_of_an_origin_that_keeps_them() {
    // Days: no wait between two requests is long enough for a connection to end.
    let fickle = Fickle::start(1_000_000_000_000);
    // Pingora's pool closes a connection that one thread asks for while another one has not let go of it yet
    // ("failed to acquire reusable stream"), on a busy machine one in ten.
    let gateway = before_with(&fickle, "response: 5s, idle_unsafe: 30s", "process: { threads: 1 }");
    assert_eq!(post_many(&gateway, &fickle.seen, 100), 0);
    let connections = fickle.connections.load(Ordering::SeqCst);
    assert!(connections <= 4, "{connections} connections for 400 requests of 4 clients");
}

#[test]
fn a_post_after_a_pooled_connection_was_closed_gets_a_new_one() {
    let origin = Origin::always(Answer::ok("ok").then_close());
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.request("POST", "/", &[], b"x").expect_status(200);
        origin.has_ended_all();
    }
    assert_eq!((origin.count(), origin.connections()), (20, 20));
}

#[test]
fn a_post_over_tls_is_not_lost_either() {
    let authority = Authority::new("test");
    let tls = authority.issue(&["origin.test"]).server(&["http/1.1"], None);
    let origin = Origin::start_tls(tls, |_| Answer::ok("ok").then_close());
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], tls: {{ sni: origin.test, ca: \"<dir>/ca.pem\" }} }} }}\n{PASS}"
    ))
    .with("o", origin.address())
    .file("ca.pem", authority.pem())
    .start();
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.request("POST", "/", &[], b"x").expect_status(200);
        origin.has_ended_all();
    }
    assert_eq!(origin.count(), 20);
}

#[test]
fn a_long_upload_goes_over_a_used_connection_that_is_fresh_enough() {
    for (idle_unsafe, connections) in [("30s", 1), ("0s", 4)] {
        let origin = Origin::saying("ok");
        let gateway = Setup::new(&format!(
            "process: {{ threads: 1 }}\nupstreams: {{ origin: {{ endpoints: [\"<origin>\"], timeouts: {{ idle_unsafe: \
             {idle_unsafe} }} }} }}\n{PASS}"
        ))
        .origin(&origin)
        .start();
        let body = vec![b'x'; 300_000];
        let mut client = gateway.connect();
        for method in ["PUT", "POST", "PUT", "PATCH"] {
            client.request(method, "/", &[], &body).expect_status(200);
        }
        assert_eq!(origin.connections(), connections, "{idle_unsafe}");
        assert!(origin.requests().iter().all(|request| request.body == body));
    }
}

#[test]
fn a_long_upload_is_not_lost_to_an_origin_that_has_closed_its_connections() {
    let origin = Origin::always(Answer::ok("ok").then_close());
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.request("PUT", "/", &[], &[b'x'; 300_000]).expect_status(200);
        origin.has_ended_all();
    }
}

#[test]
fn a_get_goes_round_a_closed_connection_without_a_second_try_where_retries_are_off() {
    let origin = Origin::always(Answer::ok("ok").then_close());
    let gateway = before_all(&[&origin], "endpoints: [\"<0>\"], retries: off");
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.get("/").expect_status(200);
        origin.has_ended_all();
    }
    assert_eq!(origin.count(), 20);
}

#[test]
fn an_origin_that_breaks_every_connection_is_asked_as_often_as_the_file_says() {
    // Answers the first request of each connection and breaks off at the second.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let origin = crate::support::raw_origin::RawOrigin::start(move |wire| {
        let keep = counted.load(Ordering::SeqCst) == 0;
        while wire.head().is_some() {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 || !keep {
                return;
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::new(&format!(
        "process: {{ threads: 1 }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], retries: {{ attempts: 2 }} }} }}\n{PASS}"
    ))
    .with("o", origin.address())
    .start();
    gateway.get("/").expect_status(200);
    gateway.get("/").expect_status(502);
    // One on the pooled connection, one on a new one.
    wait::until_true("both tries to be seen", || asked.load(Ordering::SeqCst) == 3);
    assert_eq!(gateway.logged(2)[1]["attempts"], 2);
}
