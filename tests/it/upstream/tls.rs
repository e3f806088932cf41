//! TLS to the origin: certificates are always verified.

use rcgen::{BasicConstraints, IsCa, date_time_ymd};

use super::{PASS, failed};
use crate::support::certs::Authority;
use crate::support::raw_origin::RawOrigin;
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

#[test]
fn a_failed_handshake_says_why_in_the_log() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let right = &["origin.test"];
    let expired = authority.issue_with(right, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let own_authority = authority.issue_with(right, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    for (identity, why) in [
        (authority.issue(&["elsewhere.test"]), "the certificate has another name than `tls.sni`"),
        (other.issue(right), "the certificate is from none of the authorities"),
        (expired, "the certificate has expired"),
        (own_authority, "the origin shows the certificate of an authority as its own"),
    ] {
        let origin = Origin::start_tls(identity.server(&[], None), |_| Answer::ok("secret"));
        let gateway = before_tls(&origin, "sni: origin.test, ca: \"<dir>/ca.pem\"", &[("ca.pem", &authority.pem())]);
        failed(&gateway, gateway.get("/"), 502, "tls_certificate_error", "upstream_tls_failed");
        let line = gateway.logged_path("/");
        assert!(line["detail"].as_str().unwrap().contains(why), "{line}");
    }
    // A fatal alert of the kind protocol_version, and what is not TLS at all.
    for (bytes, why) in [
        (&[21, 3, 3, 0, 2, 2, 70][..], "no TLS version, cipher or protocol in common"),
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what answers is not TLS"),
    ] {
        let origin = RawOrigin::start(move |wire| {
            wire.take(1);
            wire.send(bytes);
            wire.drain();
        });
        let gateway = Setup::new(&format!(
            "upstreams: {{ origin: {{ endpoints: [\"<o>\"], tls: {{ sni: origin.test, ca: \"<dir>/ca.pem\" }} }} }}\n{PASS}"
        ))
        .with("o", origin.address())
        .file("ca.pem", authority.pem())
        .start();
        failed(&gateway, gateway.get("/"), 502, "tls_certificate_error", "upstream_tls_failed");
        let line = gateway.logged_path("/");
        assert!(line["detail"].as_str().unwrap().contains(why), "{line}");
    }
}

#[test]
fn a_client_certificate_that_is_missing_or_refused_is_told_in_the_log() {
    let (authority, clients, strangers) =
        (Authority::new("test"), Authority::new("clients"), Authority::new("strangers"));
    let tls = authority.issue(&["origin.test"]).server(&[], Some(&clients));
    // It finds out once the gateway takes the handshake for done (TLS 1.3), and lets it read why.
    let origin = RawOrigin::start_tls(tls, |wire| {
        wire.head();
        wire.drain();
    });
    let identity = strangers.issue(&["gateway.test"]);
    let own = ", client_certificate: { cert: \"<dir>/client.pem\", key: \"<dir>/client.key\" }";
    for (certificate, why) in
        [("", "the origin asks for a client certificate"), (own, "the origin refuses the client certificate")]
    {
        let gateway = Setup::new(&format!(
            "upstreams: {{ origin: {{ endpoints: [\"<o>\"], tls: {{ sni: origin.test, ca: \"<dir>/ca.pem\"{certificate} }} }} \
             }}\n{PASS}"
        ))
        .with("o", origin.address())
        .file("ca.pem", authority.pem())
        .file("client.pem", &identity.cert_pem)
        .file("client.key", &identity.key_pem)
        .start();
        // The origin may be gone before its reason is read: then the kernel has the last word.
        let told = (0..20).any(|_| {
            gateway.get("/").expect_status(502);
            gateway.log_lines().iter().any(|line| line["detail"].as_str().is_some_and(|detail| detail.contains(why)))
        });
        assert!(told, "no {why} in\n{}", gateway.stdout());
    }
}

#[test]
fn check_warns_of_authorities_that_can_not_verify() {
    let authority = Authority::new("test");
    let old = Authority::new("old").issue_with(&["old.test"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    for (content, warning) in [
        (authority.pem(), ""),
        (authority.issue(&["origin.test"]).cert_pem, "ca_without_authority"),
        (old.cert_pem.clone(), "certificate_expired"),
        (format!("{}{}", authority.pem(), old.cert_pem), "certificate_expired"),
    ] {
        let output = Setup::new(&format!(
            "upstreams: {{ origin: {{ endpoints: [\"127.0.0.1:1\"], tls: {{ sni: origin.test, ca: \"<dir>/ca.pem\" }} }} \
             }}\n{PASS}"
        ))
        .file("ca.pem", content)
        .output("check", &[]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(said.contains("ca_without_authority"), warning == "ca_without_authority", "{said}");
        assert_eq!(said.contains("certificate_expired"), warning == "certificate_expired", "{said}");
    }
}
