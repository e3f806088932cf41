//! Route: which route matches a request, and its effects.

use crate::support::certs::Authority;
use crate::support::client::Tls;
use crate::support::h2_client::H2;
use crate::support::ports::free_address;
use crate::support::{Client, Gateway, Origin, Setup};

/// A gateway whose routes answer with their own names.
fn naming(routes: &[(&str, &str)]) -> Gateway {
    let routes: String = routes
        .iter()
        .map(|(name, matches)| {
            format!("  - {{ name: {name}, match: {{ {matches} }}, access: public, respond: {{ body: {name} }} }}\n")
        })
        .collect();
    Gateway::start(&format!("routes:\n{routes}"))
}

#[test]
fn an_exact_host_comes_before_a_wildcard_before_any() {
    let gateway = naming(&[("any", ""), ("wildcard", "host: \"*.example.com\""), ("exact", "host: api.example.com")]);
    for (host, expected) in [
        ("api.example.com", "exact"),
        ("www.example.com", "wildcard"),
        ("a.b.example.com", "wildcard"),
        ("example.com", "any"),
        ("badexample.com", "any"),
    ] {
        assert_eq!(gateway.get_with("/", &[("Host", host)]).text(), expected, "{host}");
    }
}

#[test]
fn an_exact_path_comes_before_parameters_before_regex_before_prefix() {
    let gateway = naming(&[
        ("short", "path: \"/v1/*\""),
        ("long", "path: \"/v1/orders/*\""),
        ("regex", "path: { regex: \"/v1/orders/[0-9]+x\" }"),
        ("parameter", "path: \"/v1/orders/{id}/items\""),
        ("exact", "path: /v1/orders/7/items"),
    ]);
    for (path, expected) in [
        ("/v1/orders/7/items", "exact"),
        ("/v1/orders/8/items", "parameter"),
        ("/v1/orders/8x", "regex"),
        ("/v1/orders/8", "long"),
        ("/v1/orders/8/items/3", "long"),
        ("/v1/else", "short"),
    ] {
        assert_eq!(gateway.get(path).text(), expected, "{path}");
    }
    gateway.get("/v2").expect_status(404);
}

#[test]
fn the_host_weighs_more_than_the_path() {
    let gateway = naming(&[("path", "path: /exact"), ("host", "host: a.example")]);
    assert_eq!(gateway.get_with("/exact", &[("Host", "a.example")]).text(), "host");
    assert_eq!(gateway.get_with("/exact", &[("Host", "b.example")]).text(), "path");
}

#[test]
fn methods_headers_and_query_make_a_route_more_specific() {
    let gateway = naming(&[
        ("all", "path: /a"),
        ("post", "path: /a, methods: [POST]"),
        ("header", "path: /a, headers: { X-Version: \"2\" }"),
        ("beta", "path: /b, query: { beta: { present: true } }"),
        ("numbered", "path: /c, query: { n: { regex: \"[0-9]+\" } }"),
        ("plain", "path: /c, query: { n: { present: false } }"),
    ]);
    assert_eq!(gateway.get("/a").text(), "all");
    assert_eq!(gateway.request("POST", "/a", &[], b"").text(), "post");
    assert_eq!(gateway.get_with("/a", &[("x-version", "2")]).text(), "header");
    assert_eq!(gateway.get_with("/a", &[("x-version", "3")]).text(), "all");
    assert_eq!(gateway.get("/b?x=1&beta").text(), "beta");
    gateway.get("/b?x=1").expect_status(404);
    assert_eq!(gateway.get("/c?n=12").text(), "numbered");
    assert_eq!(gateway.get("/c").text(), "plain");
    gateway.get("/c?n=12a").expect_status(404);
}

#[test]
fn a_method_that_no_route_takes_is_405_with_those_that_would() {
    let gateway = naming(&[("read", "path: /a, methods: [GET, HEAD]"), ("write", "path: /a, methods: [PUT]")]);
    let response = gateway.request("DELETE", "/a", &[], b"").expect_status(405);
    let mut allowed: Vec<_> = response.header("Allow").expect("Allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PUT"]);
    assert_eq!(response.json()["code"], "method_not_allowed");
    gateway.request("DELETE", "/b", &[], b"").expect_status(404);
}

#[test]
fn a_listener_and_a_scheme_are_conditions_and_go_first() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let (secure, inner) = (free_address(), free_address());
    let setup = Setup::new(
        r#"
listeners:
  - { name: main, address: "<listen>" }
  - { name: inner, address: "<inner>", http2: true }
  - { name: secure, address: "<secure>", tls: { certificates: [{ cert: "<dir>/edge.pem", key: "<dir>/edge.key" }] } }
response_headers: { set: { Strict-Transport-Security: max-age=31536000 } }
routes:
  - { name: to-https, match: { listener: main }, access: public, redirect: { scheme: https } }
  - { name: acme, match: { listener: main, path: "/.well-known/*" }, access: public, respond: { body: acme } }
  - { name: inside, match: { listener: [inner], tls: false, path: "/*" }, access: public, respond: { body: inside } }
  - { name: page, match: { host: gateway.test, path: /page }, access: public, respond: { body: page } }
  - { name: rest, access: public, respond: { body: rest } }
"#,
    )
    .with("inner", inner)
    .with("secure", secure);
    identity.write(setup.dir(), "edge");
    let gateway = setup.start();
    let plain = gateway.get("/page?a=b").expect_status(308).expect_no_header("Strict-Transport-Security");
    assert_eq!(plain.header("Location"), Some("https://gateway.test/page?a=b"));
    assert_eq!(gateway.get("/.well-known/x").expect_status(200).text(), "acme");
    assert_eq!(Client::connect(inner).get("/page").text(), "inside");
    assert_eq!(H2::prior_knowledge(inner).get("http://gateway.test/page").text(), "inside");
    let mut http1 = Client::tls(secure, &Tls::new("gateway.test", &authority.certificate())).unwrap().0;
    let mut http2 = H2::tls(secure, "gateway.test", &authority.certificate());
    for response in [http1.get("/page"), http2.get("https://gateway.test/page")] {
        let response = response.expect_header("Strict-Transport-Security", "max-age=31536000");
        assert_eq!(response.text(), "page");
    }
    assert_eq!(http1.get("/else").text(), "rest");
}

#[test]
fn a_redirect_to_https_that_https_reaches_is_refused() {
    let setup = Setup::new(
        "trusted_proxies: [127.0.0.1]\nroutes: [{ name: all, access: public, redirect: { scheme: https } }]\n",
    );
    for command in ["check", "run"] {
        let output = setup.output(command, &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains("error[redirect_loop]") && words.contains("match: {scheme: http}"), "{words}");
    }
}

#[test]
fn a_guarded_prefix_guards_its_parent() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(
        r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
identities: { corp: { jwt: { issuer: i, audience: a, keys: { secret: { env: SECRET } } } } }
routes:
  - { name: rest, access: public, upstream: origin }
  - { name: addresses, match: { path: /addresses/* }, access: public, addresses: { allow: 10.0.0.0/8 }, upstream: origin }
  - { name: identity, match: { path: /identity/* }, access: { identity: corp }, upstream: origin }
  - { name: limits, match: { path: /limits/* }, access: public, limits: [{ name: one, key: gateway, rate: 1/h }], upstream: origin }
  - { name: strip, match: { path: /strip/* }, access: public, rewrite: { strip_prefix: /strip }, upstream: origin }
"#,
    )
    .variable("SECRET", "0123456789abcdef0123456789abcdef")
    .origin(&origin)
    .start();
    let mut http2 = H2::prior_knowledge(gateway.address());
    for (parent, status) in [("/addresses", 403), ("/identity", 401)] {
        for path in ["", "/", "/x", "//", "?q", ";v=1"] {
            let (one, two) = (gateway.get(&format!("{parent}{path}")), http2.get(&format!("http://a{parent}{path}")));
            let refused = |code| code == status || (path == ";v=1" && code == 400);
            assert!(refused(one.status) && refused(two.status), "{parent}{path}: {one:?} {two:?}");
        }
        gateway.get(&format!("{parent}x")).expect_status(200);
    }
    assert_eq!([gateway.get("/limits").status, gateway.get("/limits").status], [200, 429]);
    gateway.get("/strip").expect_status(200);
    assert_eq!(origin.last_request().target, "/");
}

#[test]
fn two_routes_with_equal_right_are_refused() {
    let setup = crate::support::Setup::new(
        "routes:\n  - { name: one, match: { path: \"/a/{x}\" }, access: public, respond: {} }\n  - { name: two, match: { \
         path: \"/a/{y}\" }, access: public, respond: {} }\n",
    );
    let output = setup.output("check", &[]);
    let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("one") && words.contains("two"), "{words}");
}

#[test]
fn redirects_keep_what_they_do_not_name() {
    let gateway = Gateway::start(
        r#"
routes:
  - { name: whole, match: { path: /whole }, access: public, redirect: { to: "https://www.example.com/new", status: 301 } }
  - { name: secure, match: { path: /secure/* }, access: public, redirect: { scheme: https } }
  - { name: host, match: { path: /host }, access: public, redirect: { host: "new.example:8443", status: 302 } }
  - { name: path, match: { path: "/old/{id}" }, access: public, redirect: { path: "/new/{id}/x", keep_query: false } }
"#,
    );
    let location = |path: &str, status: u16| {
        let response = gateway.get_with(path, &[("Host", "shop.example")]).expect_status(status);
        response.header("Location").expect("Location").to_owned()
    };
    assert_eq!(location("/whole?a=1", 301), "https://www.example.com/new");
    assert_eq!(location("/secure/a?b=1", 308), "https://shop.example/secure/a?b=1");
    assert_eq!(location("/host?b=1", 302), "http://new.example:8443/host?b=1");
    assert_eq!(location("/old/7?b=1", 308), "http://shop.example/new/7/x");
}

#[test]
fn a_fixed_answer_needs_no_origin() {
    let gateway = Gateway::start(
        "routes: [{ name: teapot, access: public, respond: { status: 418, body: '{\"tea\":true}', content_type: \
         application/json } }]",
    );
    let mut client = gateway.connect();
    let response = client.get("/").expect_status(418).expect_header("Content-Type", "application/json");
    assert_eq!(response.json()["tea"], true);
    // The connection stays usable, also after a request with a body.
    client.request("POST", "/", &[], b"some body").expect_status(418);
    client.request("HEAD", "/", &[], b"").expect_status(418).expect_header("Content-Length", "12");
    client.get("/").expect_status(418);
}

#[test]
fn the_origin_sees_the_rewritten_path() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        r#"
routes:
  - { name: strip, match: { path: /shop/* }, access: public, upstream: origin, rewrite: { strip_prefix: /shop } }
  - { name: add, match: { path: /add/* }, access: public, upstream: origin, rewrite: { add_prefix: /v2 } }
  - { name: move, match: { path: /move/* }, access: public, upstream: origin, rewrite: { strip_prefix: /move, add_prefix: /v3 } }
  - { name: template, match: { path: "/users/{id}/orders/{order}" }, access: public, upstream: origin, rewrite: { path: "/o/{order}/of/{id}" } }
"#,
    );
    for (path, seen) in [
        ("/shop/cart?x=1", "/cart?x=1"),
        ("/shop/", "/"),
        ("/add/a", "/v2/add/a"),
        ("/move/a/b", "/v3/a/b"),
        ("/users/7/orders/a%20b?q", "/o/a%20b/of/7?q"),
    ] {
        gateway.get(path).expect_status(200);
        assert_eq!(origin.last_request().target, seen, "{path}");
    }
}

#[test]
fn the_origin_sees_the_clients_host_unless_rewritten() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "routes:\n  - { name: as-is, access: public, upstream: origin }\n  - { name: inner, match: { path: /inner }, \
         access: public, upstream: origin, rewrite: { host: inner.example } }\n",
    );
    gateway.get_with("/", &[("Host", "shop.example:8080")]).expect_status(200);
    assert_eq!(origin.last_request().header("Host"), Some("shop.example:8080"));
    gateway.get_with("/inner", &[("Host", "shop.example")]).expect_status(200);
    let request = origin.last_request();
    assert_eq!(request.header("Host"), Some("inner.example"));
    assert_eq!(request.header("X-Forwarded-Host"), Some("shop.example"));
}

#[test]
fn the_log_names_the_route() {
    let gateway = naming(&[("one", "path: /one")]);
    gateway.get("/one").expect_status(200);
    gateway.get("/other").expect_status(404);
    let (taken, refused) = (gateway.logged_path("/one"), gateway.logged_path("/other"));
    assert_eq!((&taken["route"], &taken["decision"]), (&"one".into(), &"allow".into()));
    assert!(refused["route"].is_null());
    assert_eq!(refused["cause"], "route_not_found");
}

#[test]
fn bodies_pass_both_ways_unchanged() {
    let origin = Origin::start(|request| crate::support::Answer::ok(request.body.clone()));
    let gateway = Gateway::before(&origin, "routes: [{ name: all, access: public, upstream: origin }]");
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut client = gateway.connect();
    assert!(client.request("POST", "/", &[], &body).expect_status(200).body == body);
    let chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let response = client.request("PUT", "/", &[("Transfer-Encoding", "chunked")], chunks);
    assert_eq!(response.expect_status(200).text(), "hello world");
}
