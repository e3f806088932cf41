//! Paths: the origin gets the path that was matched, in every spelling of a request.

use crate::support::h2_client::H2;
use crate::support::{Gateway, Origin, Response, Setup};

/// `/*` is open, `/admin/*` is not; `/kept/*` and `/decoded/*` take encoded separators.
const ROUTES: &str = r#"
response_headers: { set: { X-Frame-Options: DENY } }
routes:
  - { name: all, access: public, upstream: origin }
  - { name: admin, match: { path: [/admin, "/admin/*"] }, access: public, respond: { status: 403 } }
  - { name: order, match: { path: "/orders/{id}" }, access: public, upstream: origin }
  - { name: kept, match: { path: "/kept/{name}" }, access: public, upstream: origin, encoded_separators: keep }
  - name: moved
    match: { path: "/moved/{name}" }
    access: public
    upstream: origin
    encoded_separators: keep
    rewrite: { path: "/objects/{name}/raw" }
  - { name: decoded, match: { path: "/decoded/*" }, access: public, upstream: origin, encoded_separators: decode }
  - { name: away, match: { path: "/away/{name}" }, access: public, redirect: { path: "/{name}" }, encoded_separators: keep }
"#;

/// Sends `target` as it stands, on a connection of its own.
#[track_caller]
fn send(gateway: &Gateway, target: &str) -> Response {
    let mut client = gateway.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.read_response()
}

#[track_caller]
fn refused(response: Response) {
    let response = response.expect_status(400).expect_header("X-Frame-Options", "DENY");
    assert_eq!(response.json()["code"], "path_invalid");
}

/// Each spelling with what the origin sees of it.
const SEEN: &[(&str, &str)] = &[
    ("/a//b/./c/../d", "/a/b/d"),
    ("/%61%2D%7e", "/a-~"),
    ("/a%2cb%c3%a9%3f", "/a%2Cb%C3%A9%3F"),
    ("/a;v=1/b%3bc", "/a;v=1/b%3Bc"),
    ("/orders/7;v=1?q=%2f..", "/orders/7;v=1?q=%2f.."),
    ("/orders/100%2525", "/orders/100%2525"),
    ("/else/x%253Fy", "/else/x%253Fy"),
    ("/kept/group%2fname", "/kept/group%2Fname"),
    ("/kept/a%5cb%252Fc", "/kept/a%5Cb%252Fc"),
    ("/moved/group%2Fname?raw", "/objects/group%2Fname/raw?raw"),
    ("/decoded/a%2fb%2F%2Fc", "/decoded/a/b/c"),
    ("/decoded%2Fa;v=1", "/decoded/a;v=1"),
    ("/else/a./b%20/c...", "/else/a./b%20/c..."),
];

/// Spellings with more than one reading.
const REFUSED: &[&str] = &[
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a%252fb",
    "/admin%2fx",
    "/decoded/a%5Cb",
    "/decoded/a%252Fb",
    "/decoded%2f..%2fadmin",
    "/kept/..%2fadmin%2fx",
    "/kept/%2e%2e%2Fadmin",
    "/kept/a%2F..",
    "/kept/..%5cadmin",
    "/kept/a%252f%252e%252e%252fb",
    "/admin;a=b/x",
    "/admin%3Ba/x",
    "/admin%253Ba/x",
    "/admin;/x",
    "/;/admin/x",
    "/admin;",
    "/admin.",
    "/admin%20",
    "/admin./x",
    "/admin%20/x",
    "/admin.%20.%2520/x",
    "/admin.;a/x",
    "/.../admin/x",
    "/else/..%20/admin",
    "/%2561dmin/x",
    "/a/..;/admin/x",
    "/a/%252e%252e/admin/x",
    "/../admin",
    "/a%00",
    "/a%2500",
    "/a%c0%ae%c0%ae/admin",
    "/a%25c0%25af",
    "/a%zz",
    "/a%2",
];

#[test]
fn the_origin_sees_the_path_that_was_matched() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, ROUTES);
    for (target, seen) in SEEN {
        send(&gateway, target).expect_status(200);
        let line = format!("GET {seen} HTTP/1.1\r\n");
        let request = origin.last_request();
        assert!(request.head.starts_with(&line), "{target}: {}", request.head);
    }
    for target in ["/admin/x", "/ADMIN/../admin/x", "/admin/%2e/x;y", "//admin//x", "/%61dmin/x", "/admin/..;v/../x"] {
        let status = send(&gateway, target).status;
        assert!(status == 403 || status == 400, "{target}: {status}");
    }
    assert_eq!(origin.count(), SEEN.len());
}

#[test]
fn a_path_with_more_than_one_reading_is_refused_with_the_declared_headers() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, ROUTES);
    for target in REFUSED {
        refused(send(&gateway, target));
    }
    assert_eq!(origin.count(), 0);
    let logged = gateway.logged(REFUSED.len());
    assert!(logged.iter().all(|line| line["cause"] == "path_invalid" && line["decision"] == "deny"), "{logged:#?}");
    let told =
        |word: &str| logged.iter().any(|line| line["detail"].as_str().is_some_and(|detail| detail.contains(word)));
    assert!(told("`encoded_separators`") && told("two readings") && told("UTF-8"), "{logged:#?}");
}

#[test]
fn empty_segments_are_kept_where_a_route_says_so() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(
        r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
response_headers: { set: { X-Frame-Options: DENY } }
routes:
  - { name: all, access: public, upstream: origin, merge_slashes: false, encoded_separators: keep }
  - { name: admin, match: { path: "/admin/*" }, access: public, respond: { status: 403 } }
  - { name: merged, match: { path: "/merged/*" }, access: public, upstream: origin }
  - { name: bucket, match: { path: "/bucket/*" }, access: public, upstream: origin, merge_slashes: false, rewrite: { strip_prefix: /bucket } }
"#,
    )
    .origin(&origin)
    .start();
    let mut http2 = H2::prior_knowledge(gateway.address());
    for (target, seen) in [
        ("/key//a///b/?X-Sig=%2F", "/key//a///b/?X-Sig=%2F"),
        ("//key", "//key"),
        ("/key//%61%2Fb/./c", "/key//a%2Fb/c"),
        ("/merged//a//b", "/merged/a/b"),
        ("/bucket//key", "//key"),
        ("/plain/a", "/plain/a"),
    ] {
        send(&gateway, target).expect_status(200);
        assert_eq!(origin.last_request().target, seen, "{target}");
        http2.get(&format!("http://gateway.test{target}")).expect_status(200);
        assert_eq!(origin.last_request().target, seen, "{target}");
    }
    let count = origin.count();
    for target in ["//admin/x", "/admin//x", "//admin", "/%2e//admin//"] {
        assert_eq!(send(&gateway, target).status, 403, "{target}");
        assert_eq!(http2.get(&format!("http://gateway.test{target}")).status, 403, "{target}");
    }
    for target in ["//bucket/key", "/bucket//../key", "/key//../bucket/x"] {
        refused(send(&gateway, target));
    }
    assert_eq!(origin.count(), count);
}

#[test]
fn http2_spells_no_other_path() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&format!("listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{ROUTES}"))
        .origin(&origin)
        .start();
    let mut client = H2::prior_knowledge(gateway.address());
    for (target, seen) in SEEN {
        client.get(&format!("http://gateway.test{target}")).expect_status(200);
        assert_eq!(origin.last_request().target, *seen, "{target}");
    }
    for target in REFUSED {
        refused(client.get(&format!("http://gateway.test{target}")));
    }
    assert_eq!(origin.count(), SEEN.len());
}

#[test]
fn a_redirect_stays_on_its_host_whatever_the_path_holds() {
    let gateway = Gateway::start(
        "routes: [{ name: away, match: { path: \"/away/{name}\" }, access: public, encoded_separators: keep, redirect: { path: \"/{name}\" } }, { name: tls, match: { path: \"/*\" }, access: public, redirect: { scheme: https } }]",
    );
    for (target, location) in [
        ("/away/%2Fevil.example", "http://a/%2Fevil.example"),
        ("/away/%5C%5cevil.example", "http://a/%5C%5Cevil.example"),
        ("/away//evil.example", "http://a/evil.example"),
        ("/away/x;@evil.example", "http://a/x;@evil.example"),
        ("//evil.example/x", "https://a/evil.example/x"),
        ("/;//evil.example/x", "https://a/;/evil.example/x"),
    ] {
        send(&gateway, target).expect_status(308).expect_header("Location", location);
    }
    // Without a host there is only the path, which must not begin like one.
    let mut client = gateway.connect();
    client.send("GET /away/%2Fevil.example HTTP/1.0\r\n\r\n");
    client.read_response().expect_status(308).expect_header("Location", "/%2Fevil.example");
}

#[test]
fn an_origin_never_sees_a_field_that_it_could_take_for_ours() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, "routes: [{ name: all, access: public, upstream: origin }]\n");
    let fields = [
        ("X_Forwarded_For", "203.0.113.9"),
        ("X-Forwarded_Proto", "https"),
        ("X_Portcullis_Principal", "root"),
        ("X_Request_Id", "theirs"),
        ("Content_Length", "5"),
        ("Transfer_Encoding", "chunked"),
        ("Proxy", "evil.example"),
        ("X_Tenant", "kept"),
    ];
    gateway.get_with("/", &fields).expect_status(200);
    let request = origin.only_request();
    let unwanted = |(name, _): &&(String, String)| name.contains('_') && name != "X_Tenant" || name == "Proxy";
    assert_eq!(request.headers.iter().find(unwanted), None, "{}", request.head);
    assert_eq!(request.header("X_Tenant"), Some("kept"));
    assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
}

#[test]
fn connection_cannot_strip_the_field_that_a_route_matched() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "response_headers: { set: { X-Frame-Options: DENY } }\nroutes: [{ name: one, match: { headers: { X-Tenant: a } }, \
         access: public, upstream: origin }]\n",
    );
    for options in ["x-tenant", "close, X-Tenant", "keep-alive, content-length", "x-unknown, x-tenant", "\"x-unknown\""]
    {
        let response = gateway.get_with("/", &[("X-Tenant", "a"), ("Connection", options)]).expect_status(400);
        assert_eq!(response.expect_header("X-Frame-Options", "DENY").json()["code"], "malformed_request");
    }
    assert_eq!(origin.count(), 0);
    for options in ["keep-alive", "TE, close", "Upgrade, HTTP2-Settings"] {
        gateway.get_with("/", &[("X-Tenant", "a"), ("Connection", options)]).expect_status(200);
        assert_eq!(origin.last_request().header("X-Tenant"), Some("a"));
    }
}

#[test]
fn what_connection_names_and_no_rule_goes_by_ends_here() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, "routes: [{ name: all, access: public, upstream: origin }]\n");
    let fields = [("Connection", "x-hop, X-Absent"), ("X-Hop", "for this hop"), ("X-Kept", "for the origin")];
    gateway.get_with("/", &fields).expect_status(200);
    let request = origin.only_request();
    let seen = ["X-Hop", "Connection", "X-Kept"].map(|name| request.header(name));
    assert_eq!(seen, [None, None, Some("for the origin")], "{}", request.head);
}
