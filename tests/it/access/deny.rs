//! A route that admits nobody: `access: deny`.

use serde_json::json;

use crate::support::h2_client::H2;
use crate::support::{Gateway, Origin, Response, Setup};

const ROUTES: &str = r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
response_headers: { set: { X-Frame-Options: DENY } }
error_pages: { route_not_found: { body: "nothing at all: {code}" } }
bounds: { body: 10B }
routes:
  - { name: open, match: { path: /open }, access: public, upstream: origin }
  - { name: closed, match: { path: [/closed, "/closed/*"] }, access: deny }
  - { name: shut, match: { path: /shut }, access: deny, upstream: origin, rewrite: { add_prefix: /x } }
  - { name: hidden, match: { path: /hidden }, access: { deny: { status: 404 } }, upstream: origin }
  - { name: number, match: { path: /number }, access: { deny: 404 } }
"#;

fn gate(origin: &Origin) -> Gateway {
    Setup::new(ROUTES).origin(origin).start()
}

/// What a stranger sees of an answer, without what differs in each.
fn seen(response: &Response) -> (u16, Vec<String>, String) {
    let mut names: Vec<String> = response.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    (response.status, names, response.text())
}

#[test]
fn a_denied_route_refuses_everyone_and_says_why_in_the_log() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for path in ["/closed", "/closed/below", "/shut"] {
        let answer = gateway.get(path).expect_status(403).expect_header("X-Frame-Options", "DENY");
        assert_eq!(answer.json()["code"], "route_denied");
        let line = gateway.logged_path(path);
        assert_eq!((&line["cause"], &line["decision"]), (&json!("route_denied"), &json!("deny")));
    }
    H2::prior_knowledge(gateway.address()).get("http://gateway.test/closed").expect_status(403);
    gateway.get("/open").expect_status(200);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_hidden_route_answers_as_if_there_were_none() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let missing = seen(&gateway.get("/nowhere"));
    let large = seen(&gateway.request("POST", "/nowhere", &[], &[b'x'; 100]));
    assert_eq!(missing.2, "nothing at all: route_not_found");
    for path in ["/hidden", "/number"] {
        assert_eq!(seen(&gateway.get(path)), missing);
        assert_eq!(seen(&gateway.request("POST", path, &[], &[b'x'; 100])), large, "a body over the bound");
        let line = gateway.logged_path(path);
        assert_eq!((&line["cause"], &line["decision"]), (&json!("route_hidden"), &json!("deny")));
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn check_and_explain_tell_what_a_denied_route_does() {
    let words = |setup: &Setup, command: &str, arguments: &[&str]| {
        let output = setup.output(command, arguments);
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    };
    let setup = Setup::new(ROUTES).with("origin", "127.0.0.1:9").with("x", "");
    let setup = setup.origin(&Origin::saying("ok"));
    let explained = words(&setup, "explain", &["GET", "http://a.example/hidden"]);
    assert!(explained.contains("refuse: 404 route_hidden") && explained.contains("access: deny"), "{explained}");

    let wrong = Setup::new("routes: [{ name: all, access: { deny: { status: 410 } } }]");
    let said = words(&wrong, "check", &[]);
    assert!(said.contains("routes[0].access.deny.status") && said.contains("403 or 404"), "{said}");
    let open = Setup::new("routes: [{ name: all, access: public }]");
    assert!(words(&open, "check", &[]).contains("action_missing"));
}
