//! Address rules: access by the client's address.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::support::certs::Authority;
use crate::support::{Client, Gateway, Origin, Response, Setup, wait};

const ROUTES: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

const STALE: &str = "portcullis_address_list_stale";

/// 127.0.0.`last`, which is this machine like all of 127.0.0.0/8.
fn local(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn connect_from(gateway: &Gateway, last: u8) -> Client {
    Client::connect_from(local(last), gateway.address())
}

fn get_from(gateway: &Gateway, last: u8, path: &str) -> Response {
    connect_from(gateway, last).get(path)
}

/// A gateway with one public route that has these address rules.
fn guarded(addresses: &str) -> Setup {
    Setup::new(&format!(
        "trusted_proxies: [127.0.0.1]\nresponse_headers: {{ set: {{ X-Frame-Options: DENY }} }}\nroutes: [{{ name: all, \
         access: public, addresses: {addresses}, respond: {{ body: ok }} }}]\n"
    ))
}

/// What the route answers to a client that a trusted proxy names.
fn status_for(gateway: &Gateway, client: &str) -> u16 {
    gateway.get_with("/", &[("X-Forwarded-For", client)]).status
}

fn list(gateway: &Gateway) -> String {
    gateway.dir().join("list.txt").display().to_string()
}

#[test]
fn a_denied_peer_is_disconnected_without_an_answer() {
    let gateway = Gateway::start(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", addresses: {{ deny: [127.0.0.2, 127.0.0.16/28] }} }}]\n{ROUTES}"
    ));
    for denied in [2, 16, 31] {
        assert!(connect_from(&gateway, denied).is_closed(), "{denied}");
    }
    for admitted in [1, 3, 15, 32] {
        get_from(&gateway, admitted, "/").expect_status(200);
    }
    let metrics = gateway.metrics();
    let labels = [("listener", "main"), ("reason", "address")];
    assert_eq!(metrics.sum("portcullis_connections_refused_total", &labels), 3.0);
    assert_eq!(metrics.sum("portcullis_connections_total", &[("listener", "main")]), 4.0);
    // There was no request, so that there is no line.
    assert_eq!(gateway.logged(4).len(), 4);
}

#[test]
fn lists_of_others_and_ranges_by_their_ends_are_read() {
    let list =
        "; a list of Spamhaus\n192.0.2.0/24 ; SBL1\n198.51.100.7-198.51.100.9\n2001:db8::1 - 2001:db8::ff # ours\n";
    let gateway =
        guarded("{ deny: [{ file: <dir>/list.txt }, 203.0.113.1-203.0.113.3] }").file("list.txt", list).start();
    for denied in ["192.0.2.1", "198.51.100.7", "198.51.100.9", "2001:db8::ff", "203.0.113.2"] {
        assert_eq!(status_for(&gateway, denied), 403, "{denied}");
    }
    for admitted in ["198.51.100.6", "198.51.100.10", "2001:db8::100", "203.0.113.4"] {
        assert_eq!(status_for(&gateway, admitted), 200, "{admitted}");
    }
}

#[test]
fn where_peers_are_allowed_the_others_are_disconnected() {
    let gateway = Gateway::start(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", addresses: {{ allow: 127.0.0.0/30, deny: 127.0.0.2 }} }}]\n{ROUTES}"
    ));
    get_from(&gateway, 1, "/").expect_status(200);
    for denied in [2, 4] {
        assert!(connect_from(&gateway, denied).is_closed(), "{denied}");
    }
}

#[test]
fn a_denied_peer_costs_no_handshake() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let gateway = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", addresses: {{ deny: 127.0.0.2 }}, tls: {{ certificates: [{{ \
         cert: \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    ))
    .file("edge.pem", &identity.cert_pem)
    .file("edge.key", &identity.key_pem)
    .start();
    // Nothing was sent: who shakes hands would wait for a client to begin.
    assert!(connect_from(&gateway, 2).is_closed());
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_connections_refused_total", &[("reason", "address")]), 1.0);
    assert_eq!(metrics.sum("portcullis_tls_handshake_failures_total", &[]), 0.0);
    assert_eq!(metrics.sum("portcullis_connections_total", &[]), 0.0);
}

#[test]
fn a_denied_client_gets_403_with_the_declared_headers() {
    let gateway = guarded("{ deny: [127.0.0.2] }").start();
    get_from(&gateway, 3, "/").expect_status(200);
    let response = get_from(&gateway, 2, "/").expect_status(403).expect_header("X-Frame-Options", "DENY");
    assert_eq!(response.json()["code"], "address_denied");
    let line = gateway.eventually_logged(|line| line["status"] == 403);
    assert_eq!((&line["cause"], &line["decision"]), (&"address_denied".into(), &"deny".into()));
    assert_eq!((&line["route"], &line["client"]), (&"all".into(), &"127.0.0.2".into()));
    assert_eq!(gateway.metrics().sum("portcullis_denials_total", &[("cause", "address_denied")]), 1.0);
}

#[test]
fn a_denied_client_keeps_its_connection() {
    let gateway = Gateway::start(
        "routes:\n  - { name: all, access: public, respond: {} }\n  - { name: inside, match: { path: /inside }, access: \
         public, addresses: { allow: 10.0.0.0/8 }, respond: {} }",
    );
    let mut client = gateway.connect();
    let statuses = ["/", "/inside", "/inside", "/"].map(|path| client.get(path).status);
    assert_eq!(statuses, [200, 403, 403, 200]);
}

#[test]
fn only_allowed_clients_come_in_and_a_denial_goes_first() {
    let gateway =
        guarded("{ allow: [203.0.113.0/24, '2001:db8::/32'], deny: [203.0.113.128/25, '2001:db8:bad::/48'] }").start();
    let cases = [
        ("203.0.113.1", 200),
        ("203.0.113.127", 200),
        ("203.0.113.128", 403),
        ("203.0.112.255", 403),
        ("::ffff:203.0.113.1", 200),
        ("2001:db8:1::1", 200),
        ("2001:db8:bad::1", 403),
        ("2001:db9::1", 403),
    ];
    for (client, expected) in cases {
        assert_eq!(status_for(&gateway, client), expected, "{client}");
    }
}

#[test]
fn only_a_trusted_proxy_says_who_the_client_is() {
    let gateway = guarded("{ deny: [203.0.113.9] }").start();
    let forwarded = [("X-Forwarded-For", "203.0.113.9")];
    let from = |last| connect_from(&gateway, last).request("GET", "/", &forwarded, b"").status;
    assert_eq!([from(1), from(2)], [403, 200]);
    // Header fields of an untrusted client have no effect either.
    let gateway = guarded("{ allow: [203.0.113.9] }").start();
    let from = |last| connect_from(&gateway, last).request("GET", "/", &forwarded, b"").status;
    assert_eq!([from(1), from(2)], [200, 403]);
}

#[test]
fn a_denied_client_is_not_asked_who_it_is_and_reaches_no_origin() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(
        r#"
identities: { partners: { api_key: { keys: { list: [{ id: nobody, hash: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }] } } } }
routes:
  - { name: keyed, match: { path: /keyed }, access: { identity: partners }, addresses: { deny: 127.0.0.2 }, upstream: origin }
  - { name: open, access: public, addresses: { deny: 127.0.0.2 }, upstream: origin }
"#,
    )
    .origin(&origin)
    .start();
    assert_eq!(get_from(&gateway, 3, "/keyed").status, 401);
    let response = get_from(&gateway, 2, "/keyed").expect_status(403).expect_no_header("WWW-Authenticate");
    assert_eq!(response.json()["code"], "address_denied");
    get_from(&gateway, 2, "/open").expect_status(403);
    assert_eq!(origin.count(), 0);
}

#[test]
fn report_mode_counts_and_lets_pass() {
    let gateway = guarded("{ deny: 127.0.0.2, mode: report }").start();
    get_from(&gateway, 2, "/would").expect_status(200);
    get_from(&gateway, 3, "/fine").expect_status(200);
    let line = gateway.logged_path("/would");
    assert_eq!((&line["would_deny"], &line["decision"]), (&"address_denied".into(), &"allow".into()));
    assert!(gateway.logged_path("/fine")["would_deny"].is_null());
    assert_eq!(gateway.metrics().sum("portcullis_would_deny_total", &[("cause", "address_denied")]), 1.0);
}

#[test]
fn a_changed_list_takes_effect_without_a_restart() {
    let gateway = guarded("{ deny: [{ file: \"<dir>/list.txt\" }] }").file("list.txt", "# nobody yet\n").start();
    assert_eq!(status_for(&gateway, "203.0.113.9"), 200);
    fs::write(list(&gateway), "203.0.113.0/24 # noisy\n").unwrap();
    wait::until_true("the list to take effect", || status_for(&gateway, "203.0.113.9") == 403);
    // Put in place at once, as tools do.
    let next = gateway.dir().join("next.txt");
    fs::write(&next, "198.51.100.0/24\n198.51.100.7\n").unwrap();
    fs::rename(&next, list(&gateway)).unwrap();
    wait::until_true("the list to take effect", || status_for(&gateway, "203.0.113.9") == 200);
    assert_eq!(status_for(&gateway, "198.51.100.7"), 403);
    wait::until_true("words about it", || gateway.stderr().contains("list.txt: 2 entries are in force"));
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_address_list_entries", &[]), 2.0);
    assert!(metrics.has(STALE) && metrics.sum(STALE, &[]) == 0.0);
}

#[test]
fn a_changed_list_takes_effect_for_connections_too() {
    let gateway = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", addresses: {{ deny: {{ file: \"<dir>/list.txt\" }} }} }}]\n{ROUTES}"
    ))
    .file("list.txt", "")
    .start();
    let mut before = connect_from(&gateway, 2);
    before.get("/").expect_status(200);
    fs::write(list(&gateway), "127.0.0.2\n").unwrap();
    let refused = || {
        let mut client = connect_from(&gateway, 2);
        // A gateway that has hung up does not take the request either.
        client.send_request("GET", "/", &[], b"").is_err() || client.try_read_response(false).is_err()
    };
    wait::until_true("the list to take effect", refused);
    get_from(&gateway, 3, "/").expect_status(200);
    // Who is connected stays connected.
    before.get("/").expect_status(200);
}

#[test]
fn a_wrong_or_missing_list_changes_nothing_and_is_told() {
    let gateway = guarded("{ allow: { file: \"<dir>/list.txt\" } }").file("list.txt", "203.0.113.0/24\n").start();
    let holds = || {
        assert_eq!(status_for(&gateway, "203.0.113.9"), 200);
        assert_eq!(status_for(&gateway, "198.51.100.9"), 403);
    };
    let stale = || gateway.metrics().sum(STALE, &[]);
    let warnings = || gateway.stderr().lines().filter(|line| line.contains("stays in force")).count();
    holds();

    fs::write(list(&gateway), "198.51.100.0/24\nexample.com\n").unwrap();
    wait::until_true("the mistake to be noticed", || stale() == 1.0);
    wait::until_true("a warning", || warnings() == 1);
    let told = format!("{}: line 2: `example.com` is not an IP address or range", list(&gateway));
    gateway.says(&told);
    holds();

    fs::write(list(&gateway), "203.0.113.0/24\n198.51.100.0/24\n").unwrap();
    wait::until_true("the mended list to take effect", || stale() == 0.0);
    assert_eq!(status_for(&gateway, "198.51.100.9"), 200);

    fs::write(list(&gateway), "203.0.113.0/24\n").unwrap();
    wait::until_true("the shorter list to take effect", || status_for(&gateway, "198.51.100.9") == 403);
    fs::remove_file(list(&gateway)).unwrap();
    wait::until_true("the absence to be noticed", || stale() == 1.0);
    wait::until_true("a warning", || warnings() == 2);
    holds();
}

#[test]
fn a_list_of_100_000_entries_is_held() {
    // Every second /28 of 10.0.0.0/8, from its begin, and as many of IPv6.
    let ranges: String = (0..50_000u32)
        .map(|n| {
            format!("{}/28\n2001:db8:{:x}:{:x}::/64\n", Ipv4Addr::from_bits((10 << 24) + (n << 5)), n >> 8, n & 255)
        })
        .collect();
    let gateway = guarded("{ deny: { file: \"<dir>/list.txt\" } }").file("list.txt", ranges).start();
    for (client, expected) in [
        ("10.0.0.0", 403),
        ("10.0.0.15", 403),
        ("10.0.0.16", 200),
        ("10.24.105.224", 403),
        ("10.24.105.240", 200),
        ("2001:db8:c3:4f::1", 403),
        ("2001:db8:c3:50::1", 200),
    ] {
        assert_eq!(status_for(&gateway, client), expected, "{client}");
    }
    assert_eq!(gateway.metrics().sum("portcullis_address_list_entries", &[]), 100_000.0);
}

#[test]
fn check_names_every_wrong_line_of_a_list() {
    let setup = guarded("{ allow: [{ file: \"<dir>/list.txt\" }, ten] }")
        .file("list.txt", "# partners\n10.0.0.0/8\n10.0.0.0/99\n\n  fe80::%eth0\n");
    for command in ["check", "run"] {
        let output = setup.output(command, &[]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        let list = setup.dir().join("list.txt");
        let at = |file: &Path, place: &str| format!("{}:{place}: error[invalid_range]", file.display());
        for expected in [at(&list, "3:1"), at(&list, "5:3"), "`ten` is not an IP address or range".to_owned()] {
            assert!(words.contains(&expected), "no {expected} in\n{words}");
        }
    }
}

#[test]
fn explain_tells_the_verdict_of_the_rule_with_its_list() {
    let setup = guarded("{ deny: { file: \"<dir>/list.txt\" } }").file("list.txt", "203.0.113.0/24\n");
    let explained = |client: &str| {
        let output = setup.output("explain", &["GET", "http://gateway.test/", "--client-ip", client]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let refused = explained("203.0.113.9");
    let list = setup.dir().join("list.txt");
    let verdict = format!("refuse: 403 address_denied: 203.0.113.9 is denied by `{}`", list.display());
    assert!(refused.contains(&verdict), "{refused}");
    assert!(explained("198.51.100.9").contains("may come in"), "{}", explained("198.51.100.9"));
}
