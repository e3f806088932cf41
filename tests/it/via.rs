//! `Via` on requests and answers, and the loops that it ends.

use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::raw_origin::RawOrigin;
use crate::support::{Answer, Gateway, Origin, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const HTTP2: &str = "listeners: [{ name: main, address: \"<listen>\", http2: true }]\n";

#[test]
fn a_request_says_by_which_version_it_came_to_whom() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&format!("via: {{ pseudonym: edge-1 }}\n{HTTP2}{PASS}")).origin(&origin).start();
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    old.read_response().expect_status(200);
    assert_eq!(origin.last_request().values("Via"), ["1.0 edge-1"]);
    gateway.get_with("/", &[("Via", "1.0 fred"), ("Via", "1.1 p.example (Cache/1, \"x\")")]).expect_status(200);
    assert_eq!(origin.last_request().values("Via"), ["1.0 fred", "1.1 p.example (Cache/1, \"x\")", "1.1 edge-1"]);
    H2::prior_knowledge(gateway.address()).get("http://a/").expect_status(200);
    assert_eq!(origin.last_request().values("Via"), ["2 edge-1"]);
}

#[test]
fn an_answer_says_by_which_version_it_came_unless_that_is_off() {
    let origin = Origin::always(Answer::ok("ok").header("Via", "1.1 inner"));
    let gateway = Gateway::before(&origin, PASS);
    assert_eq!(gateway.get("/").expect_status(200).values("Via"), ["1.1 inner", "1.1 portcullis"]);
    // What the gateway answers itself came by nobody.
    gateway.get("/%2f").expect_status(400).expect_no_header("Via");
    let quiet = Gateway::before(&origin, &format!("via: {{ responses: false }}\n{PASS}"));
    assert_eq!(quiet.get("/").expect_status(200).values("Via"), ["1.1 inner"]);
    assert_eq!(origin.last_request().values("Via"), ["1.1 portcullis"]);

    let old = RawOrigin::answering_then_closing("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    let new = H2Origin::start(None, |_| Answer::ok("two"));
    let gateway = Setup::new(
        "upstreams: { old: { endpoints: [\"<old>\"] }, new: { endpoints: [\"<new>\"], http2: true } }\n\
         routes: [{ name: old, match: { path: /old }, access: public, upstream: old }, { name: new, access: public, upstream: new }]",
    )
    .with("old", old.address())
    .with("new", new.address())
    .start();
    gateway.get("/old").expect_status(200).expect_header("Via", "1.0 portcullis");
    gateway.get("/new").expect_status(200).expect_header("Via", "2 portcullis");
    assert_eq!(new.requests()[0].header("Via"), Some("1.1 portcullis"));
}

#[test]
fn a_loop_ends_with_508() {
    let looped =
        "upstreams: { origin: { endpoints: [\"<listen>\"] } }\nresponse_headers: { set: { X-Frame-Options: DENY } }\n";
    let gateway = Gateway::start(&format!("bounds: {{ passes: 3 }}\n{HTTP2}{looped}{PASS}"));
    let mut http2 = H2::prior_knowledge(gateway.address());
    for count in [1, 2] {
        let response = match count {
            1 => gateway.get("/round"),
            _ => http2.get("http://gateway.test/round"),
        };
        let response = response.expect_status(508).expect_header("X-Frame-Options", "DENY");
        assert_eq!(response.json()["code"], "loop_detected");
        // It came three times again, and the fifth request was refused.
        let lines = gateway.logged(5 * count);
        assert_eq!(lines.len(), 5 * count);
        assert_eq!(lines.iter().filter(|line| line["cause"] == "loop_detected").count(), count);
    }
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "passes")]), 2.0);
    gateway.says("warning[upstream_is_listener]");
    let refused =
        gateway.get_with("/far", &[("Via", "1.1 portcullis, 1.1 portcullis, 1.1 portcullis, 1.1 Portcullis")]);
    refused.expect_status(508);
}

#[test]
fn gateways_with_other_names_are_not_counted() {
    let origin = Origin::saying("ok");
    let gateway =
        Setup::new(&format!("bounds: {{ passes: 0 }}\nvia: {{ pseudonym: edge }}\n{PASS}")).origin(&origin).start();
    gateway.get_with("/", &[("Via", "1.1 portcullis, 2 edge-1, 1.1 other (1.1 edge)")]).expect_status(200);
    gateway.get_with("/", &[("Via", "1.1 edge")]).expect_status(508);
}
