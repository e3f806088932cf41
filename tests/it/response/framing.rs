//! Framing: one policy in `X-Frame-Options` and in every `Content-Security-Policy`, also the origin's.

use crate::support::{Answer, Gateway, Origin, Response};

/// The directives of a policy, in order.
fn directives(policy: &str) -> Vec<&str> {
    policy.split(';').map(str::trim).filter(|directive| !directive.is_empty()).collect()
}

fn framed(framing: &str, origin: Answer) -> Response {
    let origin = Origin::always(origin);
    let yaml = format!("framing: {framing}\nroutes: [{{ name: all, access: public, upstream: origin }}]");
    Gateway::before(&origin, &yaml).get("/").expect_status(200)
}

#[test]
fn an_origins_policy_cannot_undo_the_framing() {
    let origin =
        Answer::ok("").header("Content-Security-Policy", "default-src 'self'; frame-ancestors *; img-src data:");
    let response = framed("deny", origin).expect_header("X-Frame-Options", "DENY");
    let policies = response.values("Content-Security-Policy");
    assert_eq!(policies.len(), 1, "{policies:?}");
    let mut directives = directives(policies[0]);
    directives.sort_unstable();
    assert_eq!(directives, ["default-src 'self'", "frame-ancestors 'none'", "img-src data:"]);
}

#[test]
fn every_policy_of_the_origin_gets_the_framing() {
    let origin = Answer::ok("")
        .header("Content-Security-Policy", "default-src 'self'")
        .header("content-security-policy", "FRAME-ANCESTORS https://evil.example, img-src *; frame-ancestors *")
        .header("Content-Security-Policy-Report-Only", "script-src 'none'; frame-ancestors *");
    let response = framed("deny", origin);
    let policies = response.values("Content-Security-Policy").join(",");
    let policies: Vec<_> = policies.split(',').map(directives).collect();
    assert_eq!(policies.len(), 3, "{policies:?}");
    for policy in &policies {
        let framing: Vec<_> =
            policy.iter().filter(|directive| directive.to_ascii_lowercase().starts_with("frame-ancestors")).collect();
        assert_eq!(framing, [&"frame-ancestors 'none'"], "{policies:?}");
    }
    let report_only = response.header("Content-Security-Policy-Report-Only").expect("kept");
    assert!(directives(report_only).contains(&"script-src 'none'"), "{report_only}");
    assert!(directives(report_only).contains(&"frame-ancestors 'none'"), "{report_only}");
}

#[test]
fn framing_makes_a_policy_where_the_origin_has_none() {
    let response = framed("deny", Answer::ok("")).expect_header("X-Frame-Options", "DENY");
    response
        .expect_header("Content-Security-Policy", "frame-ancestors 'none'")
        .expect_no_header("Content-Security-Policy-Report-Only");
    framed("same_origin", Answer::ok("").header("X-Frame-Options", "DENY"))
        .expect_header("X-Frame-Options", "SAMEORIGIN")
        .expect_header("Content-Security-Policy", "frame-ancestors 'self'");
}

#[test]
fn framing_names_the_origins_that_may() {
    let response =
        framed("[\"https://a.example\", \"https://b.example\"]", Answer::ok("").header("X-Frame-Options", "DENY"))
            .expect_header("Content-Security-Policy", "frame-ancestors https://a.example https://b.example");
    // X-Frame-Options can't say it: what the origin sent would only contradict.
    response.expect_no_header("X-Frame-Options");
}

#[test]
fn framing_covers_the_gateways_own_answers() {
    let gateway =
        Gateway::start("framing: deny\nroutes: [{ name: one, match: { path: /one }, access: public, respond: {} }]");
    for path in ["/one", "/other"] {
        gateway
            .get(path)
            .expect_header("X-Frame-Options", "DENY")
            .expect_header("Content-Security-Policy", "frame-ancestors 'none'");
    }
}

#[test]
fn a_route_switches_framing_off_with_a_reason() {
    let origin = Origin::always(Answer::ok("").header("X-Frame-Options", "SAMEORIGIN"));
    let gateway = Gateway::before(
        &origin,
        r#"
framing: deny
routes:
  - { name: all, access: public, upstream: origin }
  - { name: widget, match: { path: /widget }, access: public, upstream: origin, framing: { off: "made to be embedded" } }
"#,
    );
    gateway.get("/widget").expect_header("X-Frame-Options", "SAMEORIGIN").expect_no_header("Content-Security-Policy");
    gateway.get("/").expect_header("X-Frame-Options", "DENY");
}
