//! Each party pays for its own time: the origin's clock starts when the request was sent whole.

use std::time::{Duration, Instant};

use super::{PASS, failed};
use crate::support::h2_origin::H2Origin;
use crate::support::h2_script::{self, Call, begin, connect, expect, in_time};
use crate::support::{Answer, Gateway, Origin, Setup};

/// Longer than every bound on the origin.
const PAUSE: Duration = Duration::from_millis(900);

const LISTENER: &str = "listeners: [{ name: main, address: \"<listen>\", http2: true }]";

enum AnyOrigin {
    Http1(Origin),
    Http2(H2Origin),
}

impl AnyOrigin {
    fn both(handler: fn(&crate::support::origin::Request) -> Answer) -> [AnyOrigin; 2] {
        [AnyOrigin::Http1(Origin::start(handler)), AnyOrigin::Http2(H2Origin::start(None, handler))]
    }

    fn gateway(&self, upstream: &str) -> Gateway {
        let (address, http2) = match self {
            AnyOrigin::Http1(origin) => (origin.address(), false),
            AnyOrigin::Http2(origin) => (origin.address(), true),
        };
        Setup::new(&format!(
            "{LISTENER}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: {http2}, {upstream} }} }}\n{PASS}"
        ))
        .with("o", address)
        .start()
    }

    fn count(&self) -> usize {
        match self {
            AnyOrigin::Http1(origin) => origin.count(),
            AnyOrigin::Http2(origin) => origin.requests().len(),
        }
    }
}

fn echo(request: &crate::support::origin::Request) -> Answer {
    Answer::ok(request.body.clone())
}

fn late(_: &crate::support::origin::Request) -> Answer {
    Answer::ok("late").after(Duration::from_secs(60))
}

#[test]
fn a_client_may_pause_for_longer_than_the_origin() {
    for bounds in [
        "timeouts: { response: 300ms }",
        "timeouts: { request: 300ms }",
        "retries: { on: timeout, try_timeout: 300ms }",
    ] {
        for origin in AnyOrigin::both(echo) {
            let gateway = origin.gateway(bounds);
            let mut client = gateway.connect();
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
            std::thread::sleep(PAUSE);
            client.send("half");
            assert_eq!(client.read_response().expect_status(200).text(), "halfhalf", "{bounds}");
            h2_script::run(async {
                let sender = connect(gateway.address(), None).await;
                let request = http::Request::post(format!("http://{}/", gateway.address())).body(()).unwrap();
                let Call { answer, mut body } = begin(&sender, request, false).await;
                body.send_data("half".into(), false).unwrap();
                tokio::time::sleep(PAUSE).await;
                body.send_data("half".into(), true).unwrap();
                let mut answer = in_time(answer).await.unwrap();
                assert_eq!(answer.status(), 200, "{bounds}");
                expect(answer.body_mut(), b"halfhalf").await;
            });
            assert_eq!(origin.count(), 2, "{bounds}");
        }
    }
}

#[test]
fn an_origin_that_has_the_whole_request_pays_for_its_silence() {
    for (bounds, http2_client) in [
        ("timeouts: { response: 300ms }", false),
        ("timeouts: { response: 300ms }", true),
        ("timeouts: { request: 300ms }", false),
        ("retries: { try_timeout: 300ms }", true),
    ] {
        for origin in AnyOrigin::both(late) {
            let gateway = origin.gateway(bounds);
            let began = Instant::now();
            if http2_client {
                let mut client = crate::support::h2_client::H2::prior_knowledge(gateway.address());
                let url = format!("http://{}/", gateway.address());
                let answer = client.request("POST", &url, &[], b"whole").unwrap();
                failed(&gateway, answer, 504, "http_response_timeout", "upstream_timeout");
            } else {
                let answer = gateway.request("POST", "/", &[], b"whole");
                failed(&gateway, answer, 504, "http_response_timeout", "upstream_timeout");
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{bounds}: {:?}", began.elapsed());
            assert_eq!(origin.count(), 1, "{bounds}");
        }
    }
}

#[test]
fn a_try_that_takes_too_long_after_a_slow_upload_goes_to_another_endpoint() {
    let (slow, fast) = (Origin::start(late), Origin::saying("fast"));
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<0>\", \"<1>\"], retries: {{ on: [timeout], try_timeout: 300ms, backoff: {{ \
         first: 0ms }} }} }} }}\n{PASS}"
    ))
    .with("0", slow.address())
    .with("1", fast.address())
    .start();
    for _ in 0..4 {
        let mut client = gateway.connect();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        std::thread::sleep(Duration::from_millis(400));
        client.send("half");
        assert_eq!(client.read_response().expect_status(200).text(), "fast");
    }
    assert!(slow.count() >= 1 && slow.requests().iter().all(|request| request.body == b"halfhalf"));
}

#[test]
fn a_connection_that_hangs_gets_no_further_request() {
    // Answers the first request of its connection only.
    let origin = crate::support::raw_origin::RawOrigin::start(|wire| {
        wire.until(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        let first = wire.number == 0;
        while let Some(head) = wire.take(9) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            wire.take(length);
            match head[3] {
                4 if head[4] == 0 => drop(wire.send([0, 0, 0, 4, 1, 0, 0, 0, 0])),
                1 if !first => drop(wire.send([&[0, 0, 1, 1, 5][..], &head[5..9], &[0x88]].concat())),
                _ => {}
            }
        }
    });
    let gateway = Setup::new(&format!(
        "process: {{ threads: 1 }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, timeouts: {{ response: 300ms }} }} \
         }}\n{PASS}"
    ))
    .with("o", origin.address())
    .start();
    gateway.request("POST", "/", &[], b"x").expect_status(504);
    origin.ended(0);
    gateway.request("POST", "/", &[], b"x").expect_status(200);
}

#[test]
fn a_stream_of_grpc_with_pauses_lives() {
    h2_script::run(async {
        let origin = h2_script::H2Script::start(None, |request, mut respond| async move {
            let mut body = request.into_body();
            let (read, _) = h2_script::rest(&mut body).await.expect("the body");
            let mut stream = respond.send_response(h2_script::head(200, &[]), false).unwrap();
            stream.send_data(read.into(), false).unwrap();
            stream.send_trailers(h2_script::trailers(&[("grpc-status", "0")])).unwrap();
        })
        .await;
        let gateway = tokio::task::block_in_place(|| {
            Setup::new(&format!(
                "{LISTENER}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, timeouts: {{ response: 300ms }} }} \
                 }}\n{PASS}"
            ))
            .with("o", origin.address)
            .start()
        });
        let sender = connect(gateway.address(), None).await;
        let request = http::Request::post(format!("http://{}/test.Service/Client", gateway.address()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let Call { answer, mut body } = begin(&sender, request, false).await;
        for _ in 0..3 {
            body.send_data("piece ".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        body.send_data("".into(), true).unwrap();
        let (read, trailers) = h2_script::rest(&mut in_time(answer).await.unwrap().into_body()).await.unwrap();
        assert_eq!((&read[..], &trailers.unwrap()["grpc-status"]), (&b"piece piece piece "[..], &"0".parse().unwrap()));
    });
}
