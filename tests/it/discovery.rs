//! Discovery: endpoints from DNS and from files, and the last known ones after a failure.

mod file;
mod startup;

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::dns::DnsServer;
use crate::support::ports::free_port;
use crate::support::{Gateway, Origin, Setup, wait};

const STALE: &str = "portcullis_discovery_stale";
const ENTRIES: &str = "portcullis_discovery_entries";
const SUCCESS: &str = "portcullis_discovery_last_success_timestamp_seconds";
const FAILURES: &str = "portcullis_discovery_failures_total";

/// A gateway whose upstream `origin` has these endpoints, and that asks `server` with these settings.
fn before(server: &DnsServer, settings: &str, endpoints: &str) -> Setup {
    Setup::new(&format!(
        "dns: {{ servers: [\"<dns>\"]{settings} }}\nupstreams: {{ origin: {{ endpoints: {endpoints} }} }}\nroutes: [{{ \
         name: all, access: public, upstream: origin }}]\n"
    ))
    .with("dns", server.address())
}

/// Two origins at one port of two addresses of this machine, so that one name can stand for either.
fn pair() -> (Origin, Origin, u16) {
    let port = free_port();
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], port));
    (Origin::saying_at(at(1), "one"), Origin::saying_at(at(2), "two"), port)
}

fn body(gateway: &Gateway) -> String {
    gateway.get("/").expect_status(200).text()
}

#[track_caller]
fn until_body(gateway: &Gateway, wanted: &str) {
    wait::until_true(wanted, || body(gateway) == wanted);
}

fn is_stale(gateway: &Gateway, name: &str) -> bool {
    let metrics = gateway.metrics();
    let labels = [("name", name)];
    assert_eq!(metrics.series(STALE).filter(|(labels, _)| labels.contains(&format!("\"{name}\""))).count(), 1);
    metrics.sum(STALE, &labels) == 1.0
}

#[test]
fn names_are_asked_for_when_their_ttl_ends_and_not_before() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("short.test", 1, &["127.0.0.1"]);
    server.addresses("long.test", 300, &["127.0.0.1"]);
    let gateway = before(&server, ", timeout: 10s", "[\"short.test:<port>\", \"long.test:<port>\"]")
        .with("port", origin.address().port())
        .start();
    assert_eq!(body(&gateway), "ok");
    wait::until_true("several questions", || server.a_questions("short.test") >= 4);
    assert_eq!((server.a_questions("long.test"), server.aaaa_questions("long.test")), (1, 1));
    assert!(gateway.metrics().sum(SUCCESS, &[("name", "long.test"), ("kind", "addresses")]) > 1e9);
}

#[test]
fn a_ttl_is_used_within_the_bounds_of_the_file() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("long.test", 86_400, &["127.0.0.1"]);
    let _often = before(&server, ", longest: 1s", "\"long.test:<port>\"").with("port", origin.address().port()).start();
    wait::until_true("a question before the TTL's end", || server.a_questions("long.test") >= 3);

    server.addresses("short.test", 0, &["127.0.0.1"]);
    let _seldom =
        before(&server, ", shortest: 3s", "\"short.test:<port>\"").with("port", origin.address().port()).start();
    let times = wait::until("two questions", || Some(server.a_times("short.test")).filter(|times| times.len() >= 2));
    assert!(times[1] - times[0] > Duration::from_secs(2), "{:?}", times[1] - times[0]);
}

#[test]
fn other_addresses_move_the_traffic() {
    let (server, (_one, _two, port)) = (DnsServer::start(), pair());
    server.addresses("orders.test", 1, &["127.0.0.1"]);
    let gateway = before(&server, "", "\"orders.test:<port>\"").with("port", port).start();
    assert_eq!(body(&gateway), "one");
    server.addresses("orders.test", 1, &["127.0.0.2"]);
    until_body(&gateway, "two");
    assert_eq!(gateway.metrics().sum("portcullis_upstream_endpoint_healthy", &[("upstream", "origin")]), 1.0);
}

#[test]
fn a_failure_keeps_the_last_good_answer_and_is_told() {
    let (server, (_one, _two, port)) = (DnsServer::start(), pair());
    server.addresses("orders.test", 1, &["127.0.0.1"]);
    let gateway = before(&server, ", timeout: 200ms", "\"orders.test:<port>\"").with("port", port).start();
    let told = || gateway.stderr().matches("`orders.test` (addresses) cannot be resolved").count();
    let mut failures = 0.0;
    for (round, why) in
        ["the name server answers Server Failure", "no answer in time", "does not exist", "no such record"]
            .into_iter()
            .enumerate()
    {
        match round {
            0 => server.fail("orders.test", usize::MAX),
            1 => server.silence("orders.test"),
            2 => server.remove("orders.test"),
            _ => server.addresses("orders.test", 1, &[]),
        }
        wait::until_true("the failure to show", || is_stale(&gateway, "orders.test"));
        wait::until_true("words about it", || told() == round + 1);
        assert!(gateway.stderr().contains(why), "no {why} in\n{}", gateway.stderr());
        assert_eq!(body(&gateway), "one");
        let counted = gateway.metrics().sum(FAILURES, &[("kind", "addresses")]);
        assert!(counted > failures);
        failures = counted;
        server.addresses("orders.test", 1, &["127.0.0.1"]);
        wait::until_true("recovery", || !is_stale(&gateway, "orders.test"));
    }
    assert_eq!(gateway.metrics().sum(ENTRIES, &[("name", "orders.test")]), 1.0);
}

#[test]
fn a_name_that_never_resolved_costs_its_own_upstream_until_it_does() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    // Ready all the same, for the sake of others.
    let gateway = before(&server, "", "\"late.test:<port>\"").with("port", origin.address().port()).start();
    let refused = gateway.get("/").expect_status(503);
    assert_eq!(refused.json()["code"], "upstream_unresolved");
    assert!(is_stale(&gateway, "late.test"));
    assert!(!gateway.metrics().series(SUCCESS).any(|(labels, _)| labels.contains("late.test")));
    server.addresses("late.test", 300, &["127.0.0.1"]);
    wait::until_true("the name to be found", || gateway.get("/").status == 200);
    assert!(!is_stale(&gateway, "late.test"));
}

#[test]
fn a_server_that_fails_once_is_asked_again() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("twice.test", 300, &["127.0.0.1"]);
    server.fail("twice.test", 1);
    let endpoint = "\"twice.test:<port>\"";
    let patient =
        before(&server, ", family: ipv4, attempts: 2", endpoint).with("port", origin.address().port()).start();
    assert_eq!(body(&patient), "ok");
    assert!(!patient.metrics().has(FAILURES));
    server.fail("twice.test", 1);
    let hasty = before(&server, ", family: ipv4, attempts: 1", endpoint).with("port", origin.address().port()).start();
    assert!(hasty.metrics().sum(FAILURES, &[("kind", "addresses")]) >= 1.0);
    wait::until_true("the name to be found", || hasty.get("/").status == 200);
    assert_eq!(server.aaaa_questions("twice.test"), 0, "only IPv4 is used");
}

#[test]
fn answers_too_long_for_a_packet_come_over_tcp_and_are_bounded() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    let mut many: Vec<String> = (0..299).map(|n| format!("127.9.{}.{}", n / 250, n % 250)).collect();
    many.push("127.0.0.1".to_owned());
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.addresses("many.test", 300, &many);
    let gateway = before(&server, "", "\"many.test:<port>\"").with("port", origin.address().port()).start();
    assert!(server.was_asked_over_tcp("many.test"));
    assert_eq!(gateway.metrics().sum(ENTRIES, &[("name", "many.test")]), 256.0);
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "dns_addresses")]), 1.0);

    let few = before(&server, ", addresses: 1", "\"many.test:<port>\"").with("port", origin.address().port()).start();
    assert_eq!(few.metrics().sum(ENTRIES, &[("name", "many.test")]), 1.0);
    assert_eq!(body(&few), "ok", "the lowest is kept");
}

#[test]
fn a_name_of_several_upstreams_is_asked_for_once() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("shared.test", 300, &["127.0.0.1"]);
    let gateway = Setup::new(
        "dns: { servers: [\"<dns>\"], timeout: 10s }
upstreams: { a: { endpoints: [\"shared.test:<port>\"] }, b: { endpoints: [\"Shared.test:<port>\", \"127.0.0.1:<port>\"] } }
routes: [{ name: a, match: { path: /a }, access: public, upstream: a }, { name: b, match: { path: /b }, access: public, upstream: b }]
",
    )
    .with("dns", server.address())
    .with("port", origin.address().port())
    .start();
    gateway.get("/a").expect_status(200);
    gateway.get("/b").expect_status(200);
    assert_eq!(server.a_questions("shared.test"), 1);
}

#[test]
fn this_machine_is_known_without_asking() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    let gateway = before(&server, "", "\"localhost:<port>\"").with("port", origin.address().port()).start();
    assert_eq!(body(&gateway), "ok");
    assert_eq!(server.count(), 0);
}

#[test]
fn services_name_ports_and_shares() {
    let server = DnsServer::start();
    let [heavy, light, spare] = ["heavy", "light", "spare"].map(Origin::saying);
    let port = |origin: &Origin| origin.address().port();
    server.addresses("a.test", 300, &["127.0.0.1"]);
    server.addresses("b.test", 1, &["127.0.0.1"]);
    let srv = "_http._tcp.orders.test";
    let records = [(1, 30, port(&heavy), "a.test"), (1, 10, port(&light), "b.test"), (2, 99, port(&spare), "a.test")];
    server.services(srv, 1, &records);
    let gateway = before(&server, "", "{ srv: _http._tcp.orders.test }").start();
    for _ in 0..40 {
        gateway.get("/").expect_status(200);
    }
    assert_eq!((heavy.count() + light.count(), spare.count()), (40, 0));
    assert!((29..=31).contains(&heavy.count()), "{}", heavy.count());
    assert_eq!(gateway.metrics().sum(ENTRIES, &[("kind", "services"), ("name", srv)]), 3.0);

    // Each target is a name like any other.
    wait::until_true("the target to be asked for again", || server.a_questions("b.test") >= 3);
    assert_eq!(server.a_questions("a.test"), 1);

    // One that is new is used once its address is known, and those before until then.
    server.services(srv, 1, &[(1, 0, port(&spare), "new.test")]);
    let asked = server.srv_questions(srv);
    wait::until_true("the records to be asked for again", || server.srv_questions(srv) > asked + 1);
    wait::until_true("a target without an address to show", || is_stale(&gateway, srv));
    assert_ne!(body(&gateway), "spare");
    server.addresses("new.test", 300, &["127.0.0.1"]);
    until_body(&gateway, "spare");
    server.remove(srv);
    wait::until_true("the failure to show", || is_stale(&gateway, srv));
    assert_eq!(body(&gateway), "spare");
}

#[test]
fn a_reload_serves_a_new_name_only_once_it_was_looked_up() {
    let (server, (_one, _two, port)) = (DnsServer::start(), pair());
    server.addresses("one.test", 300, &["127.0.0.1"]);
    server.addresses("two.test", 300, &["127.0.0.2"]);
    server.delay("two.test", Duration::from_millis(300));
    let file = |name: &str| {
        format!(
            "admin: {{ address: \"<admin>\", token: {{ env: ADMIN_TOKEN }} }}\ndns: {{ servers: [\"<dns>\"] }}\nupstreams: {{ \
             origin: {{ endpoints: \"{name}:<port>\" }} }}\nroutes: [{{ name: all, access: public, upstream: origin }}]\n"
        )
    };
    let gateway = Setup::new(&file("one.test"))
        .with("dns", server.address())
        .with("port", port)
        .variable("ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")
        .start();
    assert_eq!(body(&gateway), "one");
    let path = gateway.dir().join("portcullis.yaml");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, written.replace("one.test", "two.test")).unwrap();
    let token = [("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];
    crate::support::Client::connect(gateway.admin()).request("POST", "/reload", &token, b"").expect_status(200);
    assert_eq!(body(&gateway), "two");
}

#[test]
fn nothing_is_asked_to_check_or_to_explain() {
    let server = DnsServer::start();
    server.addresses("orders.test", 1, &["127.0.0.1"]);
    let setup = before(&server, "", "[\"orders.test:80\", { srv: _http._tcp.orders.test }]");
    assert_eq!(setup.output("check", &[]).status.code(), Some(0));
    let explained = setup.output("explain", &["GET", "http://gateway.test/"]);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(words.contains("as DNS says for the SRV name _http._tcp.orders.test"), "{words}");
    assert_eq!(server.count(), 0);
}
