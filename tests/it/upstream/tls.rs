//! TLS to the origin: certificates are always verified.

use super::{PASS, failed};
use crate::support::certs::Authority;
use crate::support::{Answer, Gateway, Origin, Setup};

fn before_tls(origin: &Origin, tls: &str, files: &[(&str, &str)]) -> Gateway {
    let setup =
        Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<origin>\"], tls: {{ {tls} }} }} }}\n{PASS}"));
    files.iter().fold(setup.origin(origin), |setup, (name, content)| setup.file(name, content)).start()
}

#[test]
fn an_origin_with_the_right_name_and_authority_is_trusted() {
    let authority = Authority::new("test");
    let origin = Origin::start_tls(authority.issue(&["origin.test"]).server(&[], None), |_| Answer::ok("secret"));
    let gateway = before_tls(&origin, "sni: origin.test, ca: \"<dir>/ca.pem\"", &[("ca.pem", &authority.pem())]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "secret");
    }
    // What the origin sees is the client's host, whatever name the certificate has.
    assert_eq!(origin.last_request().header("Host"), Some("gateway.test"));
}

#[test]
fn an_origin_with_another_name_is_502() {
    let authority = Authority::new("test");
    let origin = Origin::start_tls(authority.issue(&["other.test"]).server(&[], None), |_| Answer::ok("secret"));
    let gateway = before_tls(&origin, "sni: origin.test, ca: \"<dir>/ca.pem\"", &[("ca.pem", &authority.pem())]);
    failed(&gateway, gateway.get("/"), 502, "tls_certificate_error", "upstream_tls_failed");
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_origin_of_an_unknown_authority_is_502() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let origin = Origin::start_tls(authority.issue(&["origin.test"]).server(&[], None), |_| Answer::ok("secret"));
    let of_another = before_tls(&origin, "sni: origin.test, ca: \"<dir>/ca.pem\"", &[("ca.pem", &other.pem())]);
    failed(&of_another, of_another.get("/"), 502, "tls_certificate_error", "upstream_tls_failed");
    let of_the_system = before_tls(&origin, "sni: origin.test", &[]);
    failed(&of_the_system, of_the_system.get("/"), 502, "tls_certificate_error", "upstream_tls_failed");
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_verified_connection_is_not_lent_to_an_upstream_that_trusts_another_authority() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let origin = Origin::start_tls(authority.issue(&["origin.test"]).server(&[], None), |_| Answer::ok("secret"));
    let gateway = Setup::new(
        r#"
process: { threads: 1 }
upstreams:
  good: { endpoints: ["<origin>"], tls: { sni: origin.test, ca: "<dir>/ca.pem" } }
  bad: { endpoints: ["<origin>"], tls: { sni: origin.test, ca: "<dir>/other.pem" } }
routes:
  - { name: good, match: { path: /good }, access: public, upstream: good }
  - { name: bad, match: { path: /bad }, access: public, upstream: bad }
"#,
    )
    .origin(&origin)
    .file("ca.pem", authority.pem())
    .file("other.pem", other.pem())
    .start();
    gateway.get("/good").expect_status(200);
    gateway.get("/bad").expect_status(502);
}

#[test]
fn a_client_certificate_is_shown_to_an_origin_that_asks() {
    let (authority, clients) = (Authority::new("test"), Authority::new("clients"));
    let tls = authority.issue(&["origin.test"]).server(&[], Some(&clients));
    let origin = Origin::start_tls(tls, |_| Answer::ok("secret"));
    let identity = clients.issue(&["gateway.test"]);
    let files = [
        ("ca.pem", authority.pem()),
        ("client.pem", identity.cert_pem.clone()),
        ("client.key", identity.key_pem.clone()),
    ];
    let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let with = before_tls(
        &origin,
        "sni: origin.test, ca: \"<dir>/ca.pem\", client_certificate: { cert: \"<dir>/client.pem\", key: \
         \"<dir>/client.key\" }",
        &files,
    );
    with.get("/").expect_status(200);
    let without = before_tls(&origin, "sni: origin.test, ca: \"<dir>/ca.pem\"", &files);
    without.get("/").expect_status(502);
    assert_eq!(origin.count(), 1);
}
