//! Ready means ready: listeners accept once every upstream has had its first answer, or the time for it is over.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::before;
use crate::support::client::{self, Client};
use crate::support::dns::DnsServer;
use crate::support::gateway::kill;
use crate::support::{Answer, Origin, Response, Setup, wait};

/// A gateway that nobody waits for.
struct Beginning {
    child: Child,
    setup: Setup,
}

impl Beginning {
    fn of(setup: Setup) -> Beginning {
        let child = setup.command().arg("run").arg(setup.write()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Beginning { child: child.expect("the binary starts"), setup }
    }

    /// The first answer of the gateway, asked for as soon as its port is open.
    fn first(&self) -> Response {
        wait::until_true("the port", || std::net::TcpStream::connect(self.setup.address()).is_ok());
        Client::connect(self.setup.address()).get("/")
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An upstream `orders.test` at the port of `origin`.
fn orders(server: &DnsServer, settings: &str, origin: &Origin) -> Setup {
    before(server, settings, "\"orders.test:<port>\"").with("port", origin.address().port())
}

#[test]
fn the_first_request_waits_for_the_first_answer_of_dns() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("orders.test", 300, &["127.0.0.1"]);
    server.delay("orders.test", Duration::from_millis(800));
    assert_eq!(Beginning::of(orders(&server, "", &origin)).first().expect_status(200).text(), "ok");
}

#[test]
fn nobody_waits_longer_than_the_bound() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("orders.test", 300, &["127.0.0.1"]);
    server.silence("orders.test");
    let setup = orders(&server, ", startup: 300ms, timeout: 60s", &origin);
    let begun = Instant::now();
    let gateway = Beginning::of(setup);
    gateway.first().expect_status(503);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn the_first_request_knows_the_first_result_of_every_probe() {
    let sick = Origin::start(|request| match request.target.as_str() {
        "/healthz" => Answer::status(503).after(Duration::from_millis(300)),
        _ => Answer::ok("sick"),
    });
    let well = Origin::saying("well");
    let setup = Setup::new(
        "upstreams: { origin: { endpoints: [\"<sick>\", \"<well>\"], health: { http: { path: /healthz, interval: 1h } } } }\n\
         routes: [{ name: all, access: public, upstream: origin }]\n",
    )
    .with("sick", sick.address())
    .with("well", well.address());
    let gateway = Beginning::of(setup);
    assert_eq!(gateway.first().text(), "well");
    for _ in 0..10 {
        assert_eq!(Client::connect(gateway.setup.address()).get("/").expect_status(200).text(), "well");
    }
}

#[test]
fn an_endpoint_that_is_found_later_is_probed_at_once() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("orders.test", 1, &["127.0.0.1"]);
    let gateway = Setup::new(
        "dns: { servers: [\"<dns>\"] }\nupstreams: { origin: { endpoints: \"orders.test:<port>\", health: { tcp: { interval: \
         1h } } } }\nroutes: [{ name: all, access: public, upstream: origin }]\n",
    )
    .with("dns", server.address())
    .with("port", origin.address().port())
    .start();
    // Nobody listens at the second address.
    server.addresses("orders.test", 1, &["127.0.0.1", "127.0.0.2"]);
    let count = |metric: &str| gateway.metrics().sum(metric, &[("upstream", "origin")]);
    wait::until_true("the second address", || {
        gateway.metrics().series("portcullis_upstream_endpoint_healthy").count() == 2
    });
    wait::until_true("its probe", || count("portcullis_upstream_endpoint_healthy") == 1.0);
}

#[test]
fn whoever_asks_is_told_that_the_process_starts() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("orders.test", 300, &["127.0.0.1"]);
    server.silence("orders.test");
    let gateway = Beginning::of(orders(&server, ", startup: 60s, timeout: 60s", &origin));
    let admin = gateway.setup.admin();
    wait::until_true("the admin listener", || std::net::TcpStream::connect(admin).is_ok());
    let told = client::get_by_address(admin, "/readyz").expect_status(503).text();
    assert!(told.contains("starting"), "{told}");
    client::get_by_address(admin, "/livez").expect_status(200);
}

#[test]
fn whoever_waits_is_answered_though_the_process_ends_before_it_is_ready() {
    let (server, origin) = (DnsServer::start(), Origin::saying("ok"));
    server.addresses("orders.test", 300, &["127.0.0.1"]);
    server.silence("orders.test");
    let gateway = Beginning::of(orders(&server, ", startup: 60s, timeout: 60s", &origin));
    // It takes signals once it answers at all.
    wait::until_true("the admin listener", || std::net::TcpStream::connect(gateway.setup.admin()).is_ok());
    client::get_by_address(gateway.setup.admin(), "/livez").expect_status(200);
    let mut client = Client::connect(gateway.setup.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    kill(gateway.child.id(), "TERM");
    client.read_response().expect_status(503);
}
