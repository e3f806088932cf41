//! Endpoints drained by name through the admin listener, and their reported state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::{PASS, failed};
use crate::support::{Answer, Client, Gateway, Origin, Response, Setup, wait};

/// A gateway whose operator may give commands.
fn operated(origins: &[&Origin], upstream: &str) -> Gateway {
    let setup = Setup::new(&format!(
        "admin: {{ address: \"<admin>\", token: {{ env: ADMIN_TOKEN }} }}\n\
         upstreams: {{ origin: {{ {upstream} }} }}\n{PASS}"
    ))
    .variable("ADMIN_TOKEN", "a-token-for-tests-only-0123456789");
    origins.iter().enumerate().fold(setup, |setup, (n, origin)| setup.with(&n.to_string(), origin.address())).start()
}

fn ask(gateway: &Gateway, method: &str, path: &str) -> Response {
    let token = [("Authorization", "Bearer a-token-for-tests-only-0123456789")];
    Client::connect(gateway.admin()).request(method, path, &token, b"")
}

#[track_caller]
fn command(gateway: &Gateway, origin: &Origin, verb: &str) -> Value {
    let path = format!("/upstreams/origin/endpoints/{}/{verb}", origin.address());
    ask(gateway, "POST", &path).expect_status(200).json()
}

/// What is shown of the endpoint `index`.
fn shown(gateway: &Gateway, index: usize) -> Value {
    ask(gateway, "GET", "/upstreams").expect_status(200).json()["upstreams"][0]["endpoints"][index].clone()
}

fn metric(gateway: &Gateway, name: &str, origin: &Origin) -> bool {
    let text = ask(gateway, "GET", "/metrics").expect_status(200).text();
    let series = format!("{name}{{endpoint=\"{}\",upstream=\"origin\"}} 1", origin.address());
    text.lines().any(|line| line == series)
}

#[test]
fn a_drained_endpoint_finishes_what_it_has_and_gets_nothing_new() {
    let held = Arc::new(AtomicBool::new(true));
    let hold = held.clone();
    let one = Origin::start(move |request| {
        if request.target == "/hold" {
            wait::until_true("the test to go on", || !hold.load(Ordering::SeqCst));
        }
        Answer::ok("one")
    });
    let two = Origin::saying("two");
    let gateway = operated(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"]");
    // One of two requests in a row meets it.
    let mut clients = [gateway.connect(), gateway.connect()];
    for client in &mut clients {
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait::until_true("a request to be held", || one.count() == 1);
    assert_eq!(shown(&gateway, 0)["requests"], 1);

    assert_eq!(command(&gateway, &one, "drain")["draining"], true);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "two");
    }
    assert_eq!(shown(&gateway, 0)["state"], "draining");
    assert!(metric(&gateway, "portcullis_upstream_endpoint_draining", &one));
    held.store(false, Ordering::SeqCst);
    let mut answers = clients.each_mut().map(|client| client.read_response().expect_status(200).text());
    answers.sort();
    assert_eq!(answers, ["one", "two"]);

    ask(&gateway, "POST", "/reload").expect_status(200);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "two");
    }
    command(&gateway, &one, "restore");
    assert_eq!(shown(&gateway, 0)["state"], "healthy");
    wait::until_true("the endpoint to be used again", || gateway.get("/").text() == "one");
}

#[test]
fn with_every_endpoint_drained_there_is_a_503() {
    let one = Origin::saying("one");
    let gateway = operated(&[&one], "endpoints: [\"<0>\"]");
    command(&gateway, &one, "drain");
    failed(&gateway, gateway.get("/"), 503, "destination_unavailable", "upstream_drained");
    command(&gateway, &one, "restore");
    gateway.get("/").expect_status(200);
}

#[test]
fn what_is_not_there_cannot_be_drained() {
    let one = Origin::saying("one");
    let gateway = operated(&[&one], "endpoints: [\"<0>\"]");
    let refused = |path: &str| ask(&gateway, "POST", path).expect_status(404).json()["error"].to_string();
    assert!(refused("/upstreams/other/endpoints/127.0.0.1:1/drain").contains("no upstream `other`"));
    assert!(refused("/upstreams/origin/endpoints/127.0.0.1:1/drain").contains("no endpoint `127.0.0.1:1`"));
}

#[test]
fn a_name_drains_every_address_of_it() {
    let one = Origin::saying("one");
    let port = one.address().port();
    let gateway = operated(&[&one], &format!("endpoints: [\"localhost:{port}\"]"));
    wait::until_true("the name to be resolved", || gateway.get("/").status == 200);
    ask(&gateway, "POST", &format!("/upstreams/origin/endpoints/localhost:{port}/drain")).expect_status(200);
    gateway.get("/").expect_status(503);
    assert_eq!(shown(&gateway, 0)["endpoint"], format!("localhost:{port}"));
}

#[test]
fn a_drained_endpoint_keeps_its_sticky_clients() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = operated(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], sticky: { cookie: route }");
    let first = gateway.get("/").expect_status(200);
    let cookie = first.header("Set-Cookie").expect("a cookie").split(';').next().unwrap_or_default().to_owned();
    let (drained, other) = if first.text() == "one" { (&one, "two") } else { (&two, "one") };
    command(&gateway, drained, "drain");
    for _ in 0..5 {
        assert_eq!(gateway.get_with("/", &[("Cookie", &cookie)]).expect_status(200).text(), first.text());
        assert_eq!(gateway.get("/").expect_status(200).text(), other);
    }
}

#[test]
fn a_restored_endpoint_starts_slowly() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = operated(
        &[&one, &two],
        "endpoints: [{ address: \"<0>\", zone: a }, { address: \"<1>\", weight: 2, zone: b }], zone: \"\", slow_start: 1h",
    );
    assert_eq!(shown(&gateway, 0)["state"], "healthy");
    command(&gateway, &one, "drain");
    command(&gateway, &one, "restore");
    let endpoint = shown(&gateway, 0);
    assert_eq!((&endpoint["state"], &endpoint["share"]), (&"slow_start".into(), &0.1.into()));
    assert_eq!((&endpoint["zone"], &endpoint["address"]), (&"a".into(), &one.address().to_string().into()));
    assert_eq!((&shown(&gateway, 1)["weight"], &shown(&gateway, 1)["priority"]), (&2.into(), &0.into()));
    let mut client = gateway.connect();
    for _ in 0..300 {
        client.get("/").expect_status(200);
    }
    // Of a third, a tenth.
    assert!((1..40).contains(&one.count()), "{}", one.count());
}
