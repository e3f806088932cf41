//! HTTP/2 to the origin: by ALPN or prior knowledge, with shared connections.

use std::time::Duration;

use super::PASS;
use crate::support::certs::Authority;
use crate::support::h2_client::H2;
use crate::support::h2_origin::H2Origin;
use crate::support::{Answer, Setup};

#[test]
fn http2_by_prior_knowledge_shares_one_connection() {
    let origin = H2Origin::start(None, |_| Answer::ok("two").after(Duration::from_millis(100)));
    let gateway = Setup::new(&format!(
        "process: {{ threads: 1 }}\nlisteners: [{{ name: main, address: \"<listen>\", http2: true }}]\nupstreams: {{ \
         origin: {{ endpoints: [\"<origin>\"], http2: true }} }}\n{PASS}"
    ))
    .with("origin", origin.address())
    .start();
    let mut client = H2::prior_knowledge(gateway.address());
    client.get("http://gateway.test/first").expect_status(200);
    let answers = client.get_together("http://gateway.test/", &[], 50);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == b"two"));
    assert_eq!((origin.requests().len(), origin.connections()), (51, 1));
}

#[test]
fn http2_over_tls_is_agreed_by_alpn() {
    let authority = Authority::new("test");
    let tls = authority.issue(&["origin.test"]).server(&["h2"], None);
    let origin =
        H2Origin::start(Some(tls), |request| Answer::ok(request.body.clone()).header("X-Seen", &request.target));
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<origin>\"], http2: true, tls: {{ sni: origin.test, ca: \"<dir>/ca.pem\" \
         }} }} }}\n{PASS}"
    ))
    .with("origin", origin.address())
    .file("ca.pem", authority.pem())
    .start();
    let response = gateway.request("POST", "/a?b", &[], b"hello").expect_status(200).expect_header("X-Seen", "/a?b");
    assert_eq!(response.text(), "hello");
}
