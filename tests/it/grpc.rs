//! gRPC over HTTP/2: every kind of call, with its trailers, its deadline and its cancellation.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request};
use tokio::sync::mpsc;

use crate::support::certs::Authority;
use crate::support::client::Tls;
use crate::support::h2_script::{Call, H2Script, begin, connect, expect, head, in_time, next, rest, run, trailers};
use crate::support::{Answer, Client, Gateway, Origin, Setup};

const FIELDS: [(&str, &str); 1] = [("content-type", "application/grpc+proto")];

fn before(address: SocketAddr, routes: &str) -> Gateway {
    let yaml = format!(
        "process: {{ threads: 1 }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ \
         origin: {{ endpoints: [\"<o>\"], http2: true }}, dead: {{ endpoints: [\"127.0.0.1:1\"] }} }}\nroutes:\n{routes}"
    );
    Setup::new(&yaml).with("o", address).start()
}

const PASS: &str = "  - { name: all, access: public, upstream: origin }\n";

fn call(gateway: SocketAddr, method: &str) -> Request<()> {
    Request::post(format!("http://{gateway}/test.Service/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(())
        .unwrap()
}

/// A message as gRPC frames it: a flag, the length, and the bytes.
fn message(content: &str) -> Bytes {
    let length = u32::try_from(content.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), content.as_bytes()].concat().into()
}

fn status(trailers: Option<&HeaderMap>) -> Option<&str> {
    trailers?.get("grpc-status")?.to_str().ok()
}

/// Speaks the calls of the tests: `Unary`, `Client`, `Server`, `Bidi` and `Fail`.
async fn service(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let seen = |name: &str| request.headers().get(name).map_or("none".into(), |v| v.to_str().unwrap().to_owned());
    let ok = head(200, &[FIELDS[0], ("x-te", &seen("te")), ("x-timeout", &seen("grpc-timeout"))]);
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    match path.rsplit('/').next().unwrap() {
        "Unary" | "Client" => {
            let (read, _) = rest(&mut body).await.unwrap();
            let mut answer = respond.send_response(ok, false).unwrap();
            answer.send_data(read.into(), false).unwrap();
            answer.send_trailers(trailers(&[("grpc-status", "0"), ("x-after", "the body")])).unwrap();
        }
        "Bidi" => {
            let mut answer = respond.send_response(ok, false).unwrap();
            while let Some(piece) = next(&mut body).await {
                answer.send_data(piece.unwrap(), false).unwrap();
            }
            answer.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        }
        _ => {
            let fields = [FIELDS[0], ("grpc-status", "5"), ("grpc-message", "no such thing")];
            respond.send_response(head(200, &fields), true).unwrap();
        }
    }
}

async fn unary(sender: &h2::client::SendRequest<Bytes>, at: SocketAddr) {
    let Call { answer, mut body } = begin(sender, call(at, "Unary"), false).await;
    body.send_data(message("hello"), true).unwrap();
    let answer = in_time(answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-te"], "trailers");
    assert_eq!(answer.headers()["x-timeout"], "5S");
    let (read, trailers) = rest(&mut answer.into_body()).await.unwrap();
    assert_eq!(read, message("hello"));
    assert_eq!(status(trailers.as_ref()), Some("0"));
    assert_eq!(trailers.unwrap()["x-after"], "the body");
}

#[test]
fn a_unary_call_passes_whole_with_its_trailers() {
    run(async {
        let origin = H2Script::start(None, service).await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        for _ in 0..3 {
            unary(&sender, gateway.address()).await;
        }
        assert_eq!(origin.connections(), 1);
    });
}

#[test]
fn a_call_passes_over_tls_on_both_sides() {
    run(async {
        let authority = Authority::new("test");
        let origin = H2Script::start(Some(authority.issue(&["origin.test"]).server(&["h2"], None)), service).await;
        let yaml = format!(
            "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: \"<dir>/edge.pem\", key: \
             \"<dir>/edge.key\" }}] }} }}]\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, tls: {{ sni: \
             origin.test, ca: \"<dir>/ca.pem\" }} }} }}\nroutes:\n{PASS}"
        );
        let edge = authority.issue(&["gateway.test"]);
        let gateway = Setup::new(&yaml)
            .with("o", origin.address)
            .file("ca.pem", authority.pem())
            .file("edge.pem", &edge.cert_pem)
            .file("edge.key", &edge.key_pem)
            .start();
        let tls = Tls::new("gateway.test", &authority.certificate()).alpn("h2");
        let sender = connect(gateway.address(), Some(&tls)).await;
        let mut request = call(gateway.address(), "Unary");
        *request.uri_mut() = "https://gateway.test/test.Service/Unary".parse().unwrap();
        let Call { answer, mut body } = begin(&sender, request, false).await;
        body.send_data(message("hello"), true).unwrap();
        let (read, trailers) = rest(&mut in_time(answer).await.unwrap().into_body()).await.unwrap();
        assert_eq!((read.as_slice(), status(trailers.as_ref())), (&message("hello")[..], Some("0")));
    });
}

#[test]
fn each_message_of_a_stream_arrives_before_the_next_is_sent() {
    run(async {
        let origin = H2Script::start(None, service).await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        let Call { answer, mut body } = begin(&sender, call(gateway.address(), "Bidi"), false).await;
        // The answer's head is there before any message is.
        let mut answer = in_time(answer).await.unwrap().into_body();
        for round in 0..5 {
            let sent = message(&format!("round {round}"));
            body.send_data(sent.clone(), false).unwrap();
            expect(&mut answer, &sent).await;
        }
        body.send_data(Bytes::new(), true).unwrap();
        let (read, trailers) = rest(&mut answer).await.unwrap();
        assert_eq!((read.len(), status(trailers.as_ref())), (0, Some("0")));
    });
}

#[test]
fn a_stream_of_messages_from_the_client_is_one_answer() {
    run(async {
        let origin = H2Script::start(None, service).await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        let Call { answer, mut body } = begin(&sender, call(gateway.address(), "Client"), false).await;
        let mut all = Vec::new();
        for round in 0..20 {
            let sent = message(&"x".repeat(round * 100));
            all.extend_from_slice(&sent);
            body.send_data(sent, false).unwrap();
        }
        body.send_trailers(HeaderMap::new()).unwrap();
        let (read, trailers) = rest(&mut in_time(answer).await.unwrap().into_body()).await.unwrap();
        assert_eq!((read, status(trailers.as_ref())), (all, Some("0")));
    });
}

#[test]
fn an_error_without_a_body_passes_as_it_is() {
    run(async {
        let origin = H2Script::start(None, service).await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        let Call { answer, mut body } = begin(&sender, call(gateway.address(), "Fail"), false).await;
        let _ = body.send_data(message("hello"), true);
        let answer = in_time(answer).await.unwrap();
        assert_eq!(
            (status(Some(answer.headers())), &answer.headers()["grpc-message"]),
            (Some("5"), &"no such thing".parse().unwrap())
        );
        assert!(answer.body().is_end_stream(), "Trailers-Only is one block of fields that ends the stream");
    });
}

/// An origin that answers with its head, sends `first` and then waits for the end of the stream.
async fn waiting(first: &'static str, told: mpsc::UnboundedSender<Reason>) -> H2Script {
    H2Script::start(None, move |_request, mut respond| {
        let told = told.clone();
        async move {
            let mut answer = respond.send_response(head(200, &FIELDS), false).unwrap();
            answer.send_data(message(first), false).unwrap();
            if let Ok(reason) = std::future::poll_fn(|cx| answer.poll_reset(cx)).await {
                let _ = told.send(reason);
            }
        }
    })
    .await
}

#[test]
fn a_client_that_gives_up_is_felt_by_the_origin_at_once() {
    run(async {
        let (told, mut resets) = mpsc::unbounded_channel();
        let origin = waiting("one", told).await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        for ended in [false, true] {
            let Call { answer, mut body } = begin(&sender, call(gateway.address(), "Server"), false).await;
            body.send_data(message("hello"), ended).unwrap();
            let mut answer = in_time(answer).await.unwrap().into_body();
            expect(&mut answer, &message("one")).await;
            body.send_reset(Reason::CANCEL);
            assert_eq!(in_time(resets.recv()).await, Some(Reason::CANCEL), "request ended: {ended}");
        }
        let line = gateway.logged_path("/test.Service/Server");
        assert_eq!(line["cause"], "client_closed", "{line}");
    });
}

#[test]
fn a_stream_that_the_origin_breaks_off_is_not_ended_as_if_whole() {
    run(async {
        let origin = H2Script::start(None, |_request, mut respond| async move {
            let mut answer = respond.send_response(head(200, &FIELDS), false).unwrap();
            answer.send_data(message("half"), false).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer.send_reset(Reason::INTERNAL_ERROR);
        })
        .await;
        let gateway = before(origin.address, PASS);
        let sender = connect(gateway.address(), None).await;
        let Call { answer, body: _body } = begin(&sender, call(gateway.address(), "Server"), true).await;
        let error = rest(&mut in_time(answer).await.unwrap().into_body()).await.unwrap_err();
        assert!(error.is_reset(), "{error}");
    });
}

#[test]
fn a_refused_call_is_told_in_the_words_of_grpc() {
    run(async {
        let origin = H2Script::start(None, service).await;
        let gateway = before(
            origin.address,
            "  - { name: unary, match: { path: /test.Service/Unary }, access: public, upstream: origin }
  - { name: dead, match: { path: /test.Service/Dead }, access: public, upstream: dead }
  - { name: few, match: { path: /test.Service/Few }, access: public, upstream: origin, limits: [{ name: calls, rate: 1/h }] }
response_headers: { set: { X-Frame-Options: DENY } }
",
        );
        let sender = connect(gateway.address(), None).await;
        let few = begin(&sender, call(gateway.address(), "Few"), true).await;
        in_time(few.answer).await.unwrap();
        for (method, code, cause, http) in [
            ("Missing", "12", "route_not_found", 404),
            ("Dead", "14", "upstream_connect_failed", 502),
            ("Few", "8", "rate_exceeded", 429),
        ] {
            let Call { answer, body: _body } = begin(&sender, call(gateway.address(), method), true).await;
            let answer = in_time(answer).await.unwrap();
            assert_eq!((answer.status().as_u16(), status(Some(answer.headers()))), (200, Some(code)), "{method}");
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            assert_eq!(answer.headers()["x-frame-options"], "DENY");
            assert!(!answer.headers()["grpc-message"].is_empty());
            assert!(answer.body().is_end_stream(), "{method}: Trailers-Only is one block of fields");
            // Operators search the log for it.
            let line = gateway.eventually_logged(|line| line["cause"] == cause);
            assert_eq!((&line["status"], &line["decision"] != "allow"), (&http.into(), true), "{line}");
        }
        unary(&sender, gateway.address()).await;
    });
}

#[test]
fn other_clients_read_http_statuses() {
    let gateway = before("127.0.0.1:1".parse().unwrap(), PASS);
    let web = [("content-type", "application/grpc-web+proto")];
    gateway.request("POST", "/test.Service/Unary", &web, b"").expect_status(502).expect_no_header("grpc-status");
    // What says gRPC over HTTP/1 is not: it has no trailers.
    gateway.request("POST", "/test.Service/Unary", &FIELDS, b"").expect_status(502).expect_no_header("grpc-status");
}

#[test]
fn grpc_web_passes_as_the_http_that_it_is() {
    // The trailers of gRPC-Web are a frame of the body, marked by its first bit.
    let frame = b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n";
    let body = [&message("answer")[..], frame].concat();
    for (content_type, sent, answered) in [
        ("application/grpc-web+proto", message("ask").to_vec(), body),
        (
            "application/grpc-web-text",
            b"AAAAAANhc2s=".to_vec(),
            b"AAAAAAZhbnN3ZXI=gAAAAA9ncnBjLXN0YXR1czowDQo=".to_vec(),
        ),
    ] {
        let reply = Answer::ok(answered.clone()).header("Content-Type", content_type);
        let origin = Origin::always(reply);
        let gateway = Gateway::before(&origin, &format!("routes:\n{PASS}"));
        let mut client: Client = gateway.connect();
        let headers = [("Content-Type", content_type), ("X-Grpc-Web", "1")];
        let response = client.request("POST", "/test.Service/Unary", &headers, &sent).expect_status(200);
        assert_eq!(response.body, answered);
        assert_eq!((origin.last_request().body, origin.last_request().header("X-Grpc-Web")), (sent, Some("1")));
    }
}
