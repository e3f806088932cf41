//! Bounds on memory, connections to origins and manners, each by its effect. Those on size and slowness are in `read`, `body`
//! and `slow`, those on HTTP/2 floods in `http2`.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::support::gateway::portcullis;
use crate::support::h2_raw::{ACK, INITIAL_WINDOW_SIZE, PREFACE, RawH2, SETTINGS, WINDOW_UPDATE, frame};
use crate::support::raw_origin::RawOrigin;
use crate::support::wait::DEADLINE;
use crate::support::{Gateway, Setup, wait};

const RESPOND: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

fn hits(gateway: &Gateway, bound: &str) -> f64 {
    gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", bound)])
}

#[test]
fn keys_beyond_limit_keys_share_a_bucket_until_a_reload_makes_room() {
    let limited = |keys: u32| {
        format!(
            "bounds: {{ limit_keys: {keys} }}\nroutes: [{{ name: all, access: public, respond: {{ body: ok }}, \
             limits: [{{ name: each, key: {{ header: X-Key }}, rate: 1/h }}] }}]\n"
        )
    };
    let gateway = Gateway::start(&limited(1000));
    let mut client = gateway.connect();
    let mut ask = |key: u32| client.request("GET", "/", &[("X-Key", &key.to_string())], b"").status;
    for key in 0..1000 {
        assert_eq!(ask(key), 200, "{key}");
    }
    assert_eq!(hits(&gateway, "limit_keys"), 0.0);
    // The first newcomer has what the shared bucket holds.
    assert_eq!([ask(1000), ask(1001)], [200, 429]);
    assert_eq!(hits(&gateway, "limit_keys"), 2.0);
    assert_eq!(gateway.metrics().sum("portcullis_limit_overflow_total", &[]), 2.0);

    gateway.reload(&limited(2000));
    assert_eq!([ask(1002), ask(1003), ask(0)], [200, 200, 429]);
}

#[test]
fn an_origin_may_give_as_many_interim_answers_as_the_bound_says() {
    let hints = |count| "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
    let origin = RawOrigin::start(move |wire| {
        while let Some(head) = wire.head() {
            let count = if head.starts_with("GET /two") { 2 } else { 3 };
            wire.send(format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", hints(count)));
        }
    });
    let yaml = "bounds: { interim_answers: 2 }\nroutes: [{ name: all, access: public, upstream: origin }]\n\
                upstreams: { origin: { endpoints: [\"<o>\"] } }\n";
    let gateway = Setup::new(yaml).with("o", origin.address()).start();
    gateway.get("/two").expect_status(200);
    assert_eq!(gateway.get("/three").expect_status(502).json()["code"], "upstream_protocol");
    assert_eq!(hits(&gateway, "interim_answers"), 1.0);
    assert!(gateway.logged_path("/three")["detail"].as_str().unwrap().contains("bounds.interim_answers"));
}

#[test]
fn as_many_connections_to_origins_stay_open_as_the_pool_has_room_for() {
    // Each request waits for the other, so that two connections are needed.
    let both = std::sync::Arc::new(std::sync::Barrier::new(2));
    let origin = RawOrigin::start(move |wire| {
        while wire.head().is_some() {
            both.wait();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let yaml = "bounds: { upstream_pool: 1 }\nprocess: { threads: 1 }\n\
                routes: [{ name: all, access: public, upstream: origin }]\n\
                upstreams: { origin: { endpoints: [\"<o>\"] } }\n";
    let gateway = Setup::new(yaml).with("o", origin.address()).start();
    let ask_twice = || {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| gateway.get("/").expect_status(200));
            }
        });
    };
    ask_twice();
    assert_eq!(origin.connections(), 2);
    wait::until_true("the connection without room to close", || {
        (0..2).filter(|number| origin.seen(*number).end.is_some()).count() == 1
    });
    ask_twice();
    assert_eq!(origin.connections(), 3);
}

#[test]
fn the_pool_of_upstreams_needs_a_new_process() {
    let setup = Setup::new(RESPOND);
    let file = |name: &str, pool: u32| {
        let path = setup.dir().join(name);
        let listeners = "listeners: [{ name: l, address: \"127.0.0.1:8080\" }]\n";
        std::fs::write(&path, format!("version: 1\n{listeners}bounds: {{ upstream_pool: {pool} }}\n{RESPOND}"))
            .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let output = portcullis(&["diff", &file("old.yaml", 512), &file("new.yaml", 64)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("upstream_pool: 512 -> 64  [upgrade]"), "{said}");
}

/// How many connections of clients are open.
fn open(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_connections", &[])
}

#[test]
fn a_refused_client_is_read_for_as_long_and_as_far_as_the_bounds_say() {
    let refused = |gateway: &Gateway| {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
        client.read_response().expect_status(400);
        client
    };
    let patient = Gateway::start(&format!("bounds: {{ lingering_time: 60s, lingering_bytes: 4KiB }}\n{RESPOND}"));
    let mut client = refused(&patient);
    // Longer than the default.
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(open(&patient), 1.0);
    wait::until_true("enough to be read", || client.try_send("x".repeat(1024)).is_err() || open(&patient) == 0.0);

    let hasty = Gateway::start(&format!("bounds: {{ lingering_time: 50ms }}\n{RESPOND}"));
    let _client = refused(&hasty);
    wait::until_true("the connection to be gone", || open(&hasty) == 0.0);
}

#[test]
fn an_http2_client_is_told_the_windows_of_the_file() {
    let gateway = Gateway::start(&format!(
        "bounds: {{ http2_stream_window: 32KiB, http2_connection_window: 2MiB }}\n\
         listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{RESPOND}"
    ));
    let mut client = RawH2::silent(gateway.address());
    client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    let (mut stream, mut connection) = (None, None);
    while stream.is_none() || connection.is_none() {
        let frame = client.next().expect("an HTTP/2 server");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => {
                let mut settings = frame.payload.chunks_exact(6);
                stream =
                    settings.find_map(|setting| setting.strip_prefix(&INITIAL_WINDOW_SIZE.to_be_bytes()).map(number));
            }
            WINDOW_UPDATE if frame.stream == 0 => connection = Some(65_535 + number(&frame.payload)),
            _ => {}
        }
    }
    assert_eq!((stream, connection), (Some(32 << 10), Some(2 << 20)));
}

#[test]
fn an_http2_origin_is_told_the_windows_of_the_file() {
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let origin = RawOrigin::start(move |wire| {
        let Some(_) = wire.take(PREFACE.len()) else { return };
        while let Some(head) = wire.take(9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let Some(payload) = wire.take(length as usize) else { return };
            let _ = sender.lock().unwrap().send((head[3], payload));
        }
    });
    let yaml = "bounds: { upstream_http2_stream_window: 1MiB }
upstreams: { origin: { endpoints: [\"<o>\"], http2: true, http2_streams: 10, timeouts: { response: 5s } } }
routes: [{ name: all, access: public, upstream: origin }]
";
    let gateway = Setup::new(yaml).with("o", origin.address()).start();
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let (mut stream, mut connection) = (None, None);
    while stream.is_none() || connection.is_none() {
        let (kind, payload) = told.recv_timeout(DEADLINE).expect("an HTTP/2 client");
        match kind {
            SETTINGS => {
                let mut settings = payload.chunks_exact(6);
                stream =
                    settings.find_map(|setting| setting.strip_prefix(&INITIAL_WINDOW_SIZE.to_be_bytes()).map(number));
            }
            WINDOW_UPDATE => connection = Some(65_535 + number(&payload)),
            _ => {}
        }
    }
    assert_eq!((stream, connection), (Some(1 << 20), Some(10 << 20)));
}
