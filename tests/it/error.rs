//! Errors: the bodies of refusals.

use crate::support::{Answer, Gateway, Origin, Response, Setup};

const GATE: &str = r#"
upstreams: { dead: { endpoints: ["127.0.0.1:1"] } }
routes:
  - { name: dead, match: { path: /dead }, access: public, upstream: dead }
  - { name: few, match: { path: /few }, access: public, respond: {}, limits: [{ name: calls, rate: 1/h }] }
"#;

fn asking(gateway: &Gateway, path: &str, accept: &str) -> Response {
    gateway.get_with(path, &[("Accept", accept)])
}

#[test]
fn programs_get_a_problem() {
    let gateway = Gateway::start(GATE);
    for accept in ["application/json", "*/*", "application/problem+json", "text/html;q=0.1, application/json"] {
        let response = asking(&gateway, "/missing", accept)
            .expect_status(404)
            .expect_header("Content-Type", "application/problem+json");
        let problem = response.json();
        assert_eq!((&problem["status"], &problem["code"]), (&404.into(), &"route_not_found".into()), "{accept}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    }
    gateway.get("/missing").expect_status(404).expect_header("Content-Type", "application/problem+json");
}

#[test]
fn browsers_get_a_page() {
    let gateway = Gateway::start(GATE);
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let response = asking(&gateway, "/missing", accept).expect_status(404);
    assert!(response.header("Content-Type").is_some_and(|value| value.starts_with("text/html")), "{response:?}");
    assert!(response.text().contains("404") && response.text().contains("<html"), "{}", response.text());
}

#[test]
fn every_error_carries_the_id_of_its_log_line() {
    let gateway = Gateway::start(GATE);
    let problem = gateway.get("/missing").json();
    let id = problem["request_id"].as_str().expect("a request id").to_owned();
    assert!(id.len() >= 8, "{id}");
    assert_eq!(gateway.logged_path("/missing")["request_id"], id);
    let page = asking(&gateway, "/dead", "text/html").expect_status(502).text();
    let id = gateway.logged_path("/dead")["request_id"].as_str().expect("a request id").to_owned();
    assert!(page.contains(&id), "{page}");
}

#[test]
fn the_detail_is_in_the_log_only() {
    let gateway = Gateway::start(GATE);
    for accept in ["application/json", "text/html"] {
        let response = asking(&gateway, "/dead", accept).expect_status(502);
        let said = format!("{response:?} {}", response.text());
        for detail in ["127.0.0.1:1", "dead", "os error", "ConnectRefused", "pingora", "Pingora"] {
            assert!(!said.contains(detail), "{detail} in {said}");
        }
    }
    let line = gateway.logged_path("/dead");
    assert_eq!(line["cause"], "upstream_connect_failed");
    assert!(line["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{line}");
}

#[test]
fn an_error_may_not_be_stored_for_others() {
    let gateway = Gateway::start(GATE);
    gateway.get("/missing").expect_header("Cache-Control", "no-store");
    gateway.get("/dead").expect_header("Cache-Control", "no-store");
}

#[test]
fn head_gets_the_header_of_an_error_and_no_body() {
    let gateway = Gateway::start(GATE);
    let mut client = gateway.connect();
    let response = client.request("HEAD", "/missing", &[], b"").expect_status(404);
    assert!(response.header("Content-Type").is_some(), "{response:?}");
    client.get("/missing").expect_status(404);
}

#[test]
fn the_owners_page_is_chosen_by_cause_status_class_or_default() {
    let gateway = Setup::new(
        r#"
upstreams: { dead: { endpoints: ["127.0.0.1:1"] } }
error_pages:
  rate_exceeded: { body: "slow down" , content_type: "text/plain" }
  "404": { body: "<b>{status} {code} {title} {request_id}</b>" }
  5xx: { file: "<dir>/sorry.html" }
  default: { body: "something else" }
routes:
  - { name: dead, match: { path: /dead }, access: public, upstream: dead }
  - { name: few, match: { path: /few, methods: GET }, access: public, respond: {}, limits: [{ name: calls, rate: 1/h }] }
  - name: own
    match: { path: /own }
    access: public
    upstream: dead
    error_pages: { "502": { body: "only here" } }
"#,
    )
    .file("sorry.html", "<h1>Sorry ({status})</h1>")
    .start();
    let page =
        gateway.get("/missing").expect_status(404).expect_header("Content-Type", "text/html; charset=utf-8").text();
    assert!(page.starts_with("<b>404 route_not_found Not found "), "{page}");
    assert_eq!(gateway.get("/dead").expect_status(502).text(), "<h1>Sorry (502)</h1>");
    assert_eq!(gateway.get("/own").expect_status(502).text(), "only here");
    gateway.get("/few").expect_status(200);
    let slow = gateway.get("/few").expect_status(429).expect_header("Content-Type", "text/plain");
    assert_eq!(slow.text(), "slow down");
    assert_eq!(gateway.request("PUT", "/few", &[], b"").expect_status(405).text(), "something else");
}

#[test]
fn the_origins_own_errors_pass_unchanged() {
    let origin = Origin::always(Answer::status(404).body("theirs").header("Content-Type", "text/plain"));
    let gateway = Gateway::before(
        &origin,
        "error_pages: { default: { body: ours } }\nroutes: [{ name: all, access: public, upstream: origin }]",
    );
    assert_eq!(gateway.get("/").expect_status(404).text(), "theirs");
}

#[test]
fn malformed_requests_get_a_problem_too() {
    let gateway = Gateway::start(GATE);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n");
    let problem = client.read_response().expect_status(400).json();
    assert_eq!(problem["code"], "malformed_request");
    assert!(problem["request_id"].is_string(), "{problem}");
}
