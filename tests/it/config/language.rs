//! The language of the file: short forms, and help for who knows another product.

use crate::support::{Origin, Setup};

/// The exit status of `check`, and what it says.
fn checked(yaml: &str) -> (Option<i32>, String) {
    let output = Setup::new(yaml).output("check", &[]);
    (output.status.code(), String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned())
}

const ROUTES: &str = "routes: [{ name: all, access: public, respond: {} }]\n";

#[test]
fn the_access_log_has_short_forms() {
    let off = Setup::new(&format!("access_log: off\n{ROUTES}")).start();
    off.get("/").expect_status(200);
    let file = Setup::new(&format!("access_log: {{ file: <dir>/log, format: combined }}\n{ROUTES}")).start();
    file.get("/in-the-file").expect_status(200);
    let log = file.dir().join("log");
    crate::support::wait::until_true("the line", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"GET /in-the-file HTTP/1.1\" 200"))
    });
    assert_eq!((off.stdout(), file.stdout()), (String::new(), String::new()));

    let (status, said) = checked(&format!("access_log: {{ file: a, output: off }}\n{ROUTES}"));
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("access_log.file") && said.contains("write one of them"), "{said}");
}

#[test]
fn what_may_be_without_a_bound_takes_off_and_none() {
    for word in ["off", "none", "{ off: a trusted network }"] {
        let origin = Origin::saying("ok");
        let gateway = Setup::new(&format!(
            "bounds: {{ body: {word}, body_rate: {word}, answer_rate: {word} }}\n\
             routes: [{{ name: all, access: public, upstream: origin }}]\n"
        ));
        let gateway = gateway.origin(&origin).start();
        // More than the default of 10 MiB.
        gateway.request("POST", "/", &[], &vec![b'x'; 11 << 20]).expect_status(200);
    }
    for word in ["off", "none"] {
        let (status, said) = checked(&format!(
            "upstreams:\n  app:\n    endpoints: \"127.0.0.1:9\"\n    circuit_breaker: {{ requests: {word}, requests_per_endpoint: {word} }}\n    \
             slow_start: {word}\n    timeouts: {{ request: {word} }}\n    retries: {{ try_timeout: {word} }}\n\
             routes: [{{ name: all, access: public, upstream: app }}]\n"
        ));
        assert_eq!(status, Some(0), "{said}");
    }
}

#[test]
fn a_route_that_switches_off_what_it_inherits_says_why() {
    for field in ["body", "body_rate", "body_idle"] {
        let (status, said) =
            checked(&format!("routes: [{{ name: all, access: public, respond: {{}}, {field}: off }}]"));
        assert_eq!(status, Some(78), "{field}: {said}");
        assert!(said.contains(&format!("routes[0].{field}")) && said.contains("{off: reason}"), "{said}");
        let (status, said) =
            checked(&format!("routes: [{{ name: all, access: public, respond: {{}}, {field}: {{ off: uploads }} }}]"));
        assert_eq!(status, Some(0), "{field}: {said}");
    }
}

#[test]
fn a_duplicate_key_hides_no_other_error() {
    let (status, said) = checked(
        "upstreams: { app: { endpoints: \"127.0.0.1:9\" } }\n\
         routes:\n  - { name: one, access: public, access: public, upstream: nowhere }\n\
         routes:\n  - { name: two, acess: public, upstream: app, match: { path: /two } }\n  \
         - { name: three, access: public, upstream: elsewhere, match: { path: /three } }\n\
         bounds: { uri: 8KB }\nbounds: { body: 1 }\nbounds: { header_time: soon }\n",
    );
    assert_eq!(status, Some(78));
    assert_eq!(said.matches("error[duplicate_key]").count(), 4, "{said}");
    for words in [
        "no upstream `nowhere`",
        "did you mean `access`?",
        "no upstream `elsewhere`",
        "`8KB` is not a size",
        "bounds.body:",
        "bounds.header_time:",
    ] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
}

#[test]
fn what_another_product_calls_it_is_understood() {
    for (yaml, help) in [
        ("server: []\n", "`listeners`"),
        ("routes: [{ name: a, access: public, proxy_pass: app }]", "it is called `upstream` here"),
        ("routes: [{ name: a, access: public, upstream: app, hosts: [a.example] }]", "`match: {host: a.example"),
        (
            "routes: [{ name: a, access: public, upstream: app, match: { hosts: a.example } }]",
            "it is called `host` here",
        ),
        ("routes: [{ name: a, access: public, upstream: app, websocket: true }]", "always on"),
        ("upstreams: { app: { endpoints: [\"a:1\"], websockets: true } }", "always on"),
        ("upstreams: { app: { servers: [\"a:1\"] } }", "it is called `endpoints` here"),
        (
            "identities: { a: { jwt: { issuer: i, audience: a, keys: { jwks_url: \"https://id/keys\" } } } }",
            "read from files",
        ),
        (
            "identities: { a: { jwt: { issuer: i, audience: a, jwks_uri: x, keys: { jwks_file: x } } } }",
            "`keys: {jwks_file: PATH}`",
        ),
        ("listeners: [{ name: a, port: 80 }]", "it is called `address` here"),
    ] {
        let (status, said) = checked(yaml);
        assert_eq!(status, Some(78), "{yaml}");
        assert!(said.contains(help), "no {help:?} for {yaml}:\n{said}");
        let missing = ["`endpoints` is missing", "`address` is missing"];
        assert!(!missing.iter().any(|words| said.contains(words)), "what was meant is not missed:\n{said}");
    }
}
