//! Limits: rates and concurrency.

use std::sync::Barrier;
use std::time::Duration;

use crate::support::{Answer, Gateway, Origin, Response, Setup, jwt, wait};

/// A gateway with one route and this limit.
fn limited(limit: &str) -> Gateway {
    Gateway::start(&format!(
        "routes: [{{ name: all, access: public, respond: {{ body: ok }}, limits: [{{ name: calls, {limit} }}] }}]"
    ))
}

fn statuses(count: usize, mut ask: impl FnMut() -> Response) -> Vec<u16> {
    statuses_of(count, || ask().status)
}

fn statuses_of(count: usize, ask: impl FnMut() -> u16) -> Vec<u16> {
    std::iter::repeat_with(ask).take(count).collect()
}

/// The value of a parameter such as `r` in `"calls";r=0;t=3600`.
#[track_caller]
fn parameter(field: &str, name: &str) -> u64 {
    let found = field.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {field}"))
}

#[test]
fn beyond_the_burst_is_429_with_when_to_come_back() {
    let gateway = limited("rate: 2/h, burst: 3");
    assert_eq!(statuses(3, || gateway.get("/")), [200; 3]);
    let response = gateway.get("/").expect_status(429);
    let retry_after: u64 = response.header("Retry-After").expect("Retry-After").parse().expect("seconds");
    assert!((1700..=1800).contains(&retry_after), "{retry_after}");
    let standing = response.header("RateLimit").expect("RateLimit");
    assert!(standing.starts_with("\"calls\""), "{standing}");
    assert_eq!(parameter(standing, "r"), 0);
    assert!(response.header("RateLimit-Policy").expect("RateLimit-Policy").starts_with("\"calls\""), "{response:?}");
    assert_eq!(response.json()["code"], "rate_exceeded");
    let line = gateway.eventually_logged(|line| line["status"] == 429);
    assert_eq!((&line["cause"], &line["decision"]), (&"rate_exceeded".into(), &"deny".into()));
}

#[test]
fn callers_see_how_they_stand_before_they_are_refused() {
    let gateway = limited("rate: 10/h");
    let remaining =
        |response: Response| parameter(response.expect_status(200).header("RateLimit").expect("RateLimit"), "r");
    assert_eq!([remaining(gateway.get("/")), remaining(gateway.get("/"))], [9, 8]);
}

#[test]
fn tokens_come_back() {
    let gateway = limited("rate: 20/s, burst: 1");
    gateway.get("/").expect_status(200);
    wait::until_true("the next token", || gateway.get("/").status == 200);
}

#[test]
fn a_refused_client_keeps_its_connection() {
    let gateway = limited("rate: 1/h");
    let mut client = gateway.connect();
    assert_eq!(statuses(3, || client.get("/")), [200, 429, 429]);
}

#[test]
fn the_limit_is_exact_under_parallel_load() {
    let gateway = limited("rate: 1/h, burst: 50");
    let start = Barrier::new(20);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.connect();
                    start.wait();
                    statuses(10, || client.get("/")).iter().filter(|status| **status == 200).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(granted, 50);
    wait::until_true("every refusal to be counted once", || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_limit_refusals_total", &[("limit", "calls")]) == 150.0
            && metrics.sum("portcullis_denials_total", &[("cause", "rate_exceeded")]) == 150.0
    });
}

#[test]
fn each_client_address_has_its_own() {
    let gateway = Gateway::start(
        "trusted_proxies: [127.0.0.1]\nroutes: [{ name: all, access: public, respond: {}, limits: [{ name: calls, rate: 1/h \
         }] }]",
    );
    let from = |client: &str| gateway.get_with("/", &[("X-Forwarded-For", client)]).status;
    assert_eq!([from("203.0.113.1"), from("203.0.113.1"), from("203.0.113.2")], [200, 429, 200]);
    // An IPv6 client has a whole /64 to come from.
    assert_eq!([from("2001:db8::1"), from("2001:db8::2"), from("2001:db8:0:1::1")], [200, 429, 200]);
}

#[test]
fn strangers_cannot_multiply_themselves() {
    let gateway = limited("rate: 1/h");
    let from = |client: &str| gateway.get_with("/", &[("X-Forwarded-For", client)]).status;
    assert_eq!([from("203.0.113.1"), from("203.0.113.2")], [200, 429]);
}

#[test]
fn bad_credentials_use_up_the_limit_of_their_address() {
    let gateway = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { env: JWT_SECRET } } } } }
routes:
  - { name: early, match: { path: /early }, access: { identity: corp }, respond: {}, limits: [{ name: calls, rate: 3/h }] }
  - name: late
    match: { path: /late }
    access: { identity: corp }
    respond: {}
    limits: [{ name: later, rate: 3/h, phase: after_identity }]
"#,
    )
    .variable("JWT_SECRET", jwt::SECRET)
    .start();
    let good = jwt::SHARED.sign(&jwt::claims("ann", serde_json::json!({})));
    let other = jwt::SHARED.sign(&jwt::claims("bob", serde_json::json!({})));
    let (signed, signature) = (good.rsplit_once('.').expect("a token").0, other.rsplit_once('.').expect("a token").1);
    let forged = format!("{signed}.{signature}");
    let with =
        |path: &str, token: &str| gateway.get_with(path, &[("Authorization", &format!("Bearer {token}"))]).status;
    assert_eq!(statuses_of(5, || with("/early", &forged)), [401, 401, 401, 429, 429]);
    assert_eq!(with("/early", &good), 429, "no credential is looked at any more");
    wait::until_true("every 401 and no more to be counted as a bad signature", || {
        gateway.metrics().sum("portcullis_denials_total", &[("cause", "token_signature_invalid")]) == 3.0
    });
    assert_eq!(statuses_of(5, || with("/late", &forged)), [401; 5]);
    assert_eq!(with("/late", &good), 200, "what was not recognised did not count");
}

#[test]
fn each_principal_has_its_own() {
    let gateway = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { env: JWT_SECRET } } } } }
routes:
  - { name: all, access: { identity: corp }, respond: {}, limits: [{ name: calls, key: principal, rate: 1/h }] }
"#,
    )
    .variable("JWT_SECRET", jwt::SECRET)
    .start();
    let by = |name: &str| {
        // A fresh token each time: it is the caller that is counted.
        let token = jwt::SHARED.sign(&jwt::claims(name, serde_json::json!({ "jti": fastrand::u64(..) })));
        gateway.get_with("/", &[("Authorization", &jwt::bearer(&token))]).status
    };
    assert_eq!([by("ann"), by("ann"), by("bob")], [200, 429, 200]);
    // A refused request consumes nothing.
    assert_eq!(gateway.get("/").status, 401);
}

#[test]
fn each_header_value_has_its_own() {
    let gateway = limited("key: { header: X-Tenant }, rate: 1/h");
    let of = |tenant: &str| gateway.get_with("/", &[("X-Tenant", tenant)]).status;
    assert_eq!([of("a"), of("a"), of("b")], [200, 429, 200]);
    // Without the header the client's address counts.
    assert_eq!(statuses(2, || gateway.get("/")), [200, 429]);
}

#[test]
fn each_route_or_the_whole_gateway_has_one() {
    let routes = "routes:\n  - { name: a, match: { path: /a }, access: public, respond: {} }\n  - { name: b, match: { path: \
                  /b }, access: public, respond: {} }\n";
    let by_route = Gateway::start(&format!("limits: [{{ name: calls, key: route, rate: 1/h }}]\n{routes}"));
    let paths = ["/a", "/a", "/b", "/b"];
    assert_eq!(paths.map(|path| by_route.get(path).status), [200, 429, 200, 429]);
    let together = Gateway::start(&format!("limits: [{{ name: calls, key: gateway, rate: 1/h, burst: 2 }}]\n{routes}"));
    assert_eq!(paths.map(|path| together.get(path).status), [200, 200, 429, 429]);
}

#[test]
fn a_route_overrides_an_inherited_limit_by_name() {
    let gateway = Gateway::start(
        r#"
limits: [{ name: calls, rate: 1/h }, { name: all, key: gateway, rate: 1000/h }]
routes:
  - { name: strict, match: { path: /strict }, access: public, respond: {} }
  - { name: wide, match: { path: /wide }, access: public, respond: {}, limits: [{ name: calls, rate: 3/h }] }
  - { name: free, match: { path: /free }, access: public, respond: {}, limits: [{ name: calls, off: "health checks" }] }
"#,
    );
    assert_eq!(statuses(2, || gateway.get("/strict")), [200, 429]);
    assert_eq!(statuses(4, || gateway.get("/wide")), [200, 200, 200, 429]);
    assert_eq!(statuses(5, || gateway.get("/free")), [200; 5]);
}

#[test]
fn several_limits_must_all_grant() {
    let gateway = Gateway::start(
        "routes: [{ name: all, access: public, respond: {}, limits: [{ name: wide, rate: 100/h }, { name: narrow, key: \
         gateway, rate: 2/h }] }]",
    );
    assert_eq!(statuses(3, || gateway.get("/")), [200, 200, 429]);
    let response = gateway.get("/");
    assert!(response.header("RateLimit").expect("RateLimit").starts_with("\"narrow\""), "{response:?}");
}

#[test]
fn report_mode_counts_and_lets_pass() {
    let gateway = limited("rate: 1/h, mode: report");
    assert_eq!(statuses(3, || gateway.get("/")), [200; 3]);
    let lines = gateway.logged(3);
    assert_eq!(lines.iter().filter(|line| line["would_deny"] == "rate_exceeded").count(), 2);
    assert!(lines.iter().all(|line| line["decision"] == "allow"));
    assert_eq!(gateway.metrics().sum("portcullis_would_deny_total", &[("cause", "rate_exceeded")]), 2.0);
}

#[test]
fn only_so_many_at_the_same_time() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(600)));
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: all, access: public, upstream: origin, limits: [{ name: together, key: gateway, concurrent: 2 }] \
         }]",
    );
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    wait::until_true("both to reach the origin", || origin.count() == 2);
    let response = gateway.get("/").expect_status(429);
    assert_eq!(response.json()["code"], "concurrency_exceeded");
    for client in &mut held {
        client.read_response().expect_status(200);
    }
    gateway.get("/").expect_status(200);
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(400)));
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: all, access: public, upstream: origin, limits: [{ name: together, key: gateway, concurrent: 1 }] \
         }]",
    );
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    drop(client);
    wait::until_true("the place to be free again", || gateway.get("/").status == 200);
}

#[test]
fn what_is_refused_reaches_no_origin() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: all, access: public, upstream: origin, limits: [{ name: calls, rate: 1/h }] }]",
    );
    assert_eq!(statuses(5, || gateway.get("/")), [200, 429, 429, 429, 429]);
    assert_eq!(origin.count(), 1);
}
