//! The client's address, scheme and host behind trusted proxies: one statement, which everything follows.

use crate::support::h2_client::H2;
use crate::support::{Gateway, Origin, Setup, wait};

const BEHIND: &str = r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
trusted_proxies: [127.0.0.1, 10.0.0.0/8]
response_headers: { set: { Strict-Transport-Security: max-age=31536000 } }
upstreams: { origin: { endpoints: ["<origin>"], sticky: { cookie: at } } }
routes:
  - { name: to-https, match: { scheme: http, path: /moved }, access: public, redirect: { scheme: https } }
  - { name: away, match: { path: /away }, access: public, redirect: { path: /there } }
  - { name: secure, match: { scheme: https, host: shop.example }, access: public, respond: { body: shop } }
  - { name: rest, access: public, upstream: origin }
"#;

fn behind(origin: &Origin) -> Gateway {
    Setup::new(BEHIND).origin(origin).start()
}

#[test]
fn everything_follows_the_scheme_that_a_trusted_proxy_says() {
    let origin = Origin::saying("ok");
    let gateway = behind(&origin);
    let secure: [&[(&str, &str)]; 5] = [
        &[("X-Forwarded-Proto", "HTTPS")],
        &[("X-Forwarded-For", "203.0.113.9, 10.0.0.2"), ("X-Forwarded-Proto", "https, http")],
        &[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "wss")],
        &[("Forwarded", "for=203.0.113.9;proto=https")],
        &[("Forwarded", "for=203.0.113.9;proto=https;host=gateway.test, for=10.0.0.2;proto=http;host=inner")],
    ];
    let plain: [&[(&str, &str)]; 4] = [
        &[],
        &[("X-Forwarded-For", "198.51.100.1, 203.0.113.9"), ("X-Forwarded-Proto", "https, http")],
        &[("Forwarded", "for=198.51.100.1;proto=https, for=203.0.113.9;proto=http")],
        &[("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9;proto=https")],
    ];
    let mut http2 = H2::prior_knowledge(gateway.address());
    for (statements, is_secure) in [(&secure[..], true), (&plain[..], false)] {
        for &fields in statements {
            let scheme = if is_secure { "https" } else { "http" };
            for by_http2 in [false, true] {
                let mut get = |path: &str| match by_http2 {
                    true => {
                        http2.request("GET", &format!("http://gateway.test{path}"), fields, b"").expect("an answer")
                    }
                    false => gateway.get_with(path, fields),
                };
                let response = get("/page").expect_status(200);
                let cookie = response.header("Set-Cookie").expect("a cookie");
                assert_eq!(cookie.contains("Secure"), is_secure, "{fields:?}: {cookie}");
                assert_eq!(response.header("Strict-Transport-Security").is_some(), is_secure, "{fields:?}");
                assert_eq!(origin.last_request().header("X-Forwarded-Proto"), Some(scheme), "{fields:?}");
                get("/away").expect_status(308).expect_header("Location", &format!("{scheme}://gateway.test/there"));
                let moved = get("/moved");
                assert_eq!(moved.status, if is_secure { 200 } else { 308 }, "{fields:?}: {moved:?}");
            }
        }
    }
}

#[test]
fn forwarded_names_the_host_that_rules_and_locations_follow() {
    let origin = Origin::saying("ok");
    let gateway = behind(&origin);
    let said = "for=203.0.113.9;proto=https;host=shop.example";
    let with = |path: &str, said: &str| gateway.get_with(path, &[("Forwarded", said), ("Host", "inner.lb")]);
    assert_eq!(with("/", said).expect_status(200).text(), "shop");
    let other = said.replace("shop", "other");
    with("/away", &other).expect_status(308).expect_header("Location", "https://other.example/there");
    // The older fields are believed alone, and say nothing of a host; what they pass of it is the client's.
    let older =
        [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Host", "shop.example"), ("X-Forwarded-Proto", "https")];
    gateway.get_with("/", &older).expect_status(200);
    assert_eq!(origin.last_request().header("Host"), Some("gateway.test"));
    let logged = gateway.logged(3);
    assert!(logged.iter().any(|line| line["host"] == "shop.example" && line["scheme"] == "https"), "{logged:#?}");
}

#[test]
fn strangers_change_nothing() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&BEHIND.replace("127.0.0.1, ", "")).origin(&origin).start();
    let fields = [
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=203.0.113.9;proto=https;host=shop.example"),
        ("Host", "a.b"),
    ];
    let response = gateway.get_with("/page", &fields).expect_status(200).expect_no_header("Strict-Transport-Security");
    assert!(!response.header("Set-Cookie").expect("a cookie").contains("Secure"));
    gateway.get_with("/moved", &fields).expect_status(308).expect_header("Location", "https://a.b/moved");
}

#[test]
fn a_contradiction_is_logged_and_does_not_reach_the_origin() {
    let origin = Origin::saying("ok");
    let gateway = behind(&origin);
    let fields = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=198.51.100.7")];
    gateway.get_with("/twice", &fields).expect_status(200);
    let line = gateway.logged_path("/twice");
    assert_eq!((&line["client"], &line["decision"]), (&"203.0.113.9".into(), &"allow".into()));
    assert!(line["detail"].as_str().is_some_and(|detail| detail.contains("different clients")), "{line}");
    wait::until_true("a warning", || gateway.stderr().contains("trusted proxies contradict themselves"));
    assert_eq!(origin.last_request().header("Forwarded"), None);
    gateway
        .get_with("/once", &[("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")])
        .expect_status(200);
    assert!(gateway.logged_path("/once")["detail"].is_null());
}
