//! The operations on response headers, and overriding by name in a route.

use crate::support::{Answer, Gateway, Origin, Response};

#[track_caller]
fn with_operations(operations: &str, origin: Answer) -> Response {
    let origin = Origin::always(origin);
    let yaml = format!("response_headers:\n{operations}\nroutes: [{{ name: all, access: public, upstream: origin }}]");
    Gateway::before(&origin, &yaml).get("/").expect_status(200)
}

#[test]
fn set_replaces_every_value() {
    let origin = Answer::ok("").header("X-A", "1").header("x-a", "2");
    with_operations("  set: { X-A: mine }", origin).expect_header("X-A", "mine");
}

#[test]
fn default_is_only_for_the_absent() {
    let origin = Answer::ok("").header("X-A", "theirs");
    with_operations("  default: { X-A: mine, X-B: mine }", origin)
        .expect_header("X-A", "theirs")
        .expect_header("X-B", "mine");
}

#[test]
fn replace_is_only_for_the_present() {
    let origin = Answer::ok("").header("X-A", "theirs");
    with_operations("  replace: { X-A: mine, X-B: mine }", origin).expect_header("X-A", "mine").expect_no_header("X-B");
}

#[test]
fn append_adds_values_of_its_own() {
    let origin = Answer::ok("").header("Set-Cookie", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
    let response = with_operations("  append: { Set-Cookie: [b=2, c=3] }", origin);
    assert_eq!(response.values("Set-Cookie"), ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2", "c=3"]);
}

#[test]
fn remove_takes_every_value() {
    let origin = Answer::ok("").header("X-A", "1").header("x-A", "2").header("X-B", "kept");
    with_operations("  remove: [x-a]", origin).expect_no_header("X-A").expect_header("X-B", "kept");
}

#[test]
fn rename_keeps_the_values() {
    let origin = Answer::ok("").header("X-Old", "1").header("X-Old", "2");
    let response = with_operations("  rename: { X-Old: X-New }", origin).expect_no_header("X-Old");
    assert_eq!(response.values("X-New"), ["1", "2"]);
}

#[test]
fn operations_apply_in_their_documented_order() {
    // remove, rename, replace, default, set, append
    let origin = Answer::ok("").header("X-Old", "old").header("X-Gone", "1");
    let operations = "  append: { X-New: third }\n  replace: { X-New: second }\n  rename: { X-Old: X-New }\n  \
                      default: { X-Gone-Too: back }\n  remove: [X-Gone]";
    let response = with_operations(operations, origin).expect_no_header("X-Gone").expect_header("X-Gone-Too", "back");
    assert_eq!(response.values("X-New"), ["second", "third"]);
}

#[test]
fn a_route_overrides_by_name_and_inherits_the_rest() {
    let origin = Origin::always(Answer::ok("").header("X-Powered-By", "scripts"));
    let gateway = Gateway::before(
        &origin,
        r#"
response_headers:
  set: { X-Frame-Options: DENY, X-Content-Type-Options: nosniff, X-Tenant: a }
  remove: [X-Powered-By]
routes:
  - { name: all, access: public, upstream: origin }
  - name: same
    match: { path: /same/* }
    access: public
    upstream: origin
    response_headers: { set: { x-frame-options: SAMEORIGIN }, off: { X-Tenant: "this page has no tenant" } }
"#,
    );
    gateway
        .get("/same/page")
        .expect_header("X-Frame-Options", "SAMEORIGIN")
        .expect_header("X-Content-Type-Options", "nosniff")
        .expect_no_header("X-Tenant")
        .expect_no_header("X-Powered-By");
    gateway.get("/else").expect_header("X-Frame-Options", "DENY").expect_header("X-Tenant", "a");
}
