//! Reload: a new configuration is applied completely or not at all, without effect on requests in progress.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::support::certs::Authority;
use crate::support::client::Tls;
use crate::support::{Answer, Client, Gateway, Origin, Setup, client, wait};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ADMIN: &str = "admin: { address: \"<admin>\", token: { file: <dir>/token } }\n";

fn saying(body: &str) -> String {
    format!("routes: [{{ name: all, access: public, respond: {{ body: {body} }} }}]\n")
}

/// A gateway whose admin listener takes commands.
fn commanded(yaml: &str) -> Setup {
    Setup::new(&format!("{ADMIN}{yaml}")).file("token", TOKEN)
}

#[track_caller]
fn command(gateway: &Gateway, path: &str) -> client::Response {
    let authorization = format!("Bearer {TOKEN}");
    Client::connect(gateway.admin()).request("POST", path, &[("Authorization", &authorization)], b"")
}

#[track_caller]
fn ask(gateway: &Gateway, path: &str) -> serde_json::Value {
    let authorization = format!("Bearer {TOKEN}");
    Client::connect(gateway.admin()).request("GET", path, &[("Authorization", &authorization)], b"").json()
}

#[test]
fn sighup_serves_what_is_written_now() {
    let gateway = Gateway::start(&saying("first"));
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").text(), "first");
    gateway.reload(&saying("second"));
    assert_eq!(kept.get("/").text(), "second", "a connection from before");
    assert_eq!(gateway.get("/").text(), "second");
    let generations: Vec<_> = gateway.logged(3).iter().map(|line| line["generation"].clone()).collect();
    assert_eq!(generations, [1, 2, 2]);
    assert_eq!(gateway.metrics().sum("portcullis_config_generation", &[]), 2.0);
}

#[test]
fn a_request_in_progress_finishes_on_what_it_began_with() {
    let origin = Origin::always(Answer::ok("slow").after(Duration::from_millis(700)));
    let gateway = Gateway::before(
        &origin,
        "response_headers: { set: { X-Version: first } }\nroutes: [{ name: old, access: public, upstream: origin }]",
    );
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    // Neither the route nor the upstream is left.
    gateway.reload("upstreams: {}\nresponse_headers: { set: { X-Version: second } }\nroutes: [{ name: new, access: public, respond: { body: new } }]");
    client.read_response().expect_status(200).expect_header("X-Version", "first");
    gateway.get("/").expect_status(200).expect_header("X-Version", "second");
    let line = gateway.eventually_logged(|line| line["route"] == "old");
    assert_eq!((&line["generation"], &line["upstream"]), (&1.into(), &"origin".into()));
}

#[test]
fn a_broken_file_changes_nothing_and_says_what_is_wrong_everywhere() {
    let gateway = commanded(&saying("first")).start();
    gateway.rewrite(&format!("{ADMIN}routes: [{{ name: all, acess: public, respond: {{}} }}]\n"));
    let answer = command(&gateway, "/reload").expect_status(422).json();
    let said = answer["diagnostics"].to_string();
    assert!(said.contains("acess") && said.contains("portcullis.yaml:"), "{answer}");
    assert_eq!(answer["generation"], 1);
    assert_eq!(gateway.get("/").text(), "first");

    let ready = ask(&gateway, "/readyz");
    assert_eq!((&ready["ready"], &ready["code"]), (&true.into(), &serde_json::Value::Null), "it serves as before");
    assert!(ready["notes"]["configuration"].to_string().contains("acess"), "{ready}");
    let authorization = format!("Bearer {TOKEN}");
    let metrics =
        Client::connect(gateway.admin()).request("GET", "/metrics", &[("Authorization", &authorization)], b"").text();
    assert!(metrics.contains("portcullis_config_last_reload_success 0"), "{metrics}");
    assert!(metrics.contains("portcullis_config_reloads_total{outcome=\"refused\"} 1"), "{metrics}");
    gateway.says("acess");

    gateway.rewrite(&format!("{ADMIN}{}", saying("mended")));
    command(&gateway, "/reload").expect_status(200);
    assert_eq!(gateway.get("/").text(), "mended");
    assert_eq!(ask(&gateway, "/readyz")["notes"], serde_json::json!({}));
}

#[test]
fn what_can_not_change_live_is_named_and_nothing_changes() {
    let gateway = commanded(&saying("first")).start();
    let elsewhere = crate::support::ports::free_address();
    gateway.rewrite(&format!(
        "{ADMIN}listeners: [{{ name: main, address: \"{elsewhere}\" }}]\nprocess: {{ threads: 3 }}\n{}",
        saying("second")
    ));
    let answer = command(&gateway, "/reload").expect_status(409).json();
    let said = answer.to_string();
    assert!(said.contains("portcullis upgrade") && said.contains("threads: "), "{answer}");
    assert!(said.contains("listener"), "{answer}");
    assert_eq!(gateway.get("/").text(), "first");
}

#[test]
fn a_command_needs_the_token() {
    let open = Gateway::start(&saying("first"));
    let answer =
        Client::connect(open.admin()).request("POST", "/reload", &[("Host", "localhost")], b"").expect_status(403);
    assert!(answer.text().contains("admin.token"), "{}", answer.text());
    let guarded = commanded(&saying("first")).start();
    Client::connect(guarded.admin()).request("POST", "/reload", &[], b"").expect_status(401);
    command(&guarded, "/reload?canary=0%25").expect_status(400);
    Client::connect(guarded.admin())
        .request("GET", "/reload", &[("Authorization", &format!("Bearer {TOKEN}"))], b"")
        .expect_status(405);
}

#[test]
fn buckets_pools_and_counters_survive() {
    let origin = Origin::saying("ok");
    // One thread: with more, the library's watch over an idle connection may hold it just when it is wanted.
    let yaml = |body: &str| {
        format!(
            "process: {{ threads: 1 }}\nroutes:\n  - {{ name: limited, match: {{ path: /limited }}, access: public, respond: {{ body: {body} }}, limits: [{{ name: calls, rate: 3/h }}] }}\n  - {{ name: all, access: public, upstream: origin }}\n"
        )
    };
    let gateway = Gateway::before(&origin, &yaml("one"));
    let mut kept = gateway.connect();
    kept.get("/").expect_status(200);
    gateway.get("/limited").expect_status(200);
    gateway.get("/limited").expect_status(200);
    for round in 0..5 {
        gateway.reload(&yaml(&format!("body-{round}")));
        kept.get("/").expect_status(200);
    }
    gateway.get("/limited").expect_status(200);
    gateway.get("/limited").expect_status(429);
    assert_eq!(origin.connections(), 1, "the connection to the origin was kept");
    wait::until_true("the counters to go on", || {
        gateway.metrics().sum("portcullis_requests_total", &[("route", "all")]) == 6.0
    });
}

#[test]
fn health_survives() {
    let origin = Origin::start(|request| Answer::status(if request.target == "/healthz" { 500 } else { 200 }));
    let yaml = |name: &str| {
        format!(
            "upstreams: {{ sick: {{ endpoints: [\"<origin>\"], all_unhealthy: refuse, health: {{ http: {{ path: /healthz, interval: 1h, unhealthy_after: 1 }} }} }} }}\nroutes: [{{ name: {name}, access: public, upstream: sick }}]"
        )
    };
    let gateway = Gateway::before(&origin, &yaml("first"));
    wait::until_true("the endpoint to be found unhealthy", || gateway.get("/").status == 503);
    // The next probe comes in an hour: what was known must be known still.
    gateway.reload(&yaml("second"));
    gateway.get("/").expect_status(503);
}

#[test]
fn a_check_that_changes_is_used_at_once() {
    let origin = Origin::start(|request| Answer::status(if request.target == "/bad" { 500 } else { 200 }));
    let yaml = |path: &str| {
        format!(
            "upstreams: {{ app: {{ endpoints: [\"<origin>\"], all_unhealthy: refuse, health: {{ http: {{ path: {path}, interval: 20ms, unhealthy_after: 1, healthy_after: 1 }} }} }} }}\nroutes: [{{ name: all, access: public, upstream: app }}]"
        )
    };
    let gateway = Gateway::before(&origin, &yaml("/good"));
    gateway.get("/").expect_status(200);
    gateway.reload(&yaml("/bad"));
    wait::until_true("the endpoint to be found unhealthy", || gateway.get("/").status == 503);
    gateway.reload(&yaml("/good"));
    wait::until_true("the endpoint to be found healthy", || gateway.get("/").status == 200);
}

#[test]
fn certificates_change_for_the_next_handshake() {
    let authority = Authority::new("test");
    let yaml = "listeners: [{ name: main, address: \"<listen>\", tls: { certificates: [{ cert: <dir>/edge.pem, key: <dir>/edge.key }] } }]\nroutes: [{ name: all, access: public, respond: { body: ok } }]\n";
    let setup = Setup::new(yaml);
    authority.issue(&["a.test"]).write(setup.dir(), "edge");
    let gateway = setup.start();
    let tls = Tls::new("a.test", &authority.certificate());
    let (mut kept, first) = Client::tls(gateway.address(), &tls).expect("a handshake");
    let renewed = authority.issue(&["a.test"]);
    renewed.write(gateway.dir(), "edge");
    assert_eq!(gateway.hang_up(), "applied");
    let (mut next, second) = Client::tls(gateway.address(), &tls).expect("a handshake");
    assert_ne!(first.certificate, second.certificate);
    assert_eq!(second.certificate, renewed.certificate);
    kept.get("/").expect_status(200);
    next.get("/").expect_status(200);

    // A key that does not match is refused, and the running configuration stays.
    fs::write(gateway.dir().join("edge.key"), authority.issue(&["a.test"]).key_pem).unwrap();
    assert_eq!(gateway.hang_up(), "refused");
    let (_, third) = Client::tls(gateway.address(), &tls).expect("a handshake");
    assert_eq!(third.certificate, renewed.certificate);
}

#[test]
fn sessions_are_resumed_after_a_reload_and_not_after_another_certificate() {
    let authority = Authority::new("test");
    let yaml = |body: &str| {
        format!(
            "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: <dir>/edge.pem, key: <dir>/edge.key }}] }} }}]\nroutes: [{{ name: all, access: public, respond: {{ body: {body} }} }}]\n"
        )
    };
    let setup = Setup::new(&yaml("first"));
    authority.issue(&["a.test"]).write(setup.dir(), "edge");
    let gateway = setup.start();
    let tls = Tls::new("a.test", &authority.certificate());
    let config: Arc<rustls::ClientConfig> = tls.config();
    let handshake = || {
        let mut socket = client::open(gateway.address()).unwrap();
        let mut connection = rustls::ClientConnection::new(config.clone(), tls.name()).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        let kind = connection.handshake_kind();
        // Tickets come after the handshake: an answer is behind them.
        let mut stream = rustls::StreamOwned::new(connection, socket);
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
        kind
    };
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Full));
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Resumed));
    gateway.reload(&yaml("second"));
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Resumed));
    authority.issue(&["a.test"]).write(gateway.dir(), "edge");
    assert_eq!(gateway.hang_up(), "applied");
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Full));
}

#[test]
fn keys_that_are_taken_away_open_nothing_any_more() {
    let setup = Setup::new(
        "identities: { partners: { api_key: { header: x-api-key, keys: { file: <dir>/keys.yaml } } } }\nroutes: [{ name: all, access: { identity: partners }, respond: { body: ok } }]\n",
    );
    let key = |name: &str| format!("pk-{name}-0123456789abcdef0123456789abcdef");
    let entry = |name: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key(name).as_bytes());
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ id: {name}, hash: \"sha256:{hex}\" }}")
    };
    let keys = |names: [&str; 2]| format!("keys: [{}]\n", names.map(entry).join(", "));
    let gateway = setup.file("keys.yaml", keys(["ann", "bob"])).start();
    let status = |name: &str| gateway.get_with("/", &[("X-Api-Key", &key(name))]).status;
    assert_eq!([status("ann"), status("bob"), status("eve")], [200, 200, 401]);
    fs::write(gateway.dir().join("keys.yaml"), keys(["bob", "eve"])).unwrap();
    assert_eq!(gateway.hang_up(), "applied");
    assert_eq!([status("ann"), status("bob"), status("eve")], [401, 200, 200]);
}

#[test]
fn the_access_log_moves_and_no_line_is_lost() {
    let yaml = |log: &str| format!("access_log: {log}\n{}", saying("ok"));
    let gateway = Gateway::start(&yaml("{ output: { file: <dir>/one.log } }"));
    let lines = |name: &str| fs::read_to_string(gateway.dir().join(name)).unwrap_or_default().lines().count();
    for _ in 0..20 {
        gateway.get("/").expect_status(200);
    }
    gateway.reload(&yaml("{ output: { file: <dir>/two.log }, format: combined }"));
    for _ in 0..20 {
        gateway.get("/").expect_status(200);
    }
    wait::until_true("every line", || (lines("one.log"), lines("two.log")) == (20, 20));
    let two = fs::read_to_string(gateway.dir().join("two.log")).unwrap();
    assert!(two.contains("\"GET / HTTP/1.1\" 200"), "{two}");

    // A log that can't be opened is an error, and the old one stays in use.
    gateway.rewrite(&yaml("{ output: { file: <dir>/no/such/folder.log } }"));
    assert_eq!(gateway.hang_up(), "refused");
    gateway.get("/").expect_status(200);
    wait::until_true("the line in the old log", || lines("two.log") == 21);
}

#[test]
fn what_a_listener_asks_of_connections_changes_for_the_next_one() {
    let yaml = |listener: &str, bounds: &str| {
        format!(
            "listeners: [{{ name: main, address: \"<listen>\"{listener} }}]\nbounds: {{ {bounds} }}\n{}",
            saying("ok")
        )
    };
    let gateway = Gateway::start(&yaml("", "requests_per_connection: 100"));
    gateway.get("/").expect_status(200);
    gateway.reload(&yaml("", "requests_per_connection: 1"));
    gateway.get("/").expect_status(200).expect_header("Connection", "close");
    gateway.reload(&yaml(", addresses: { deny: [127.0.0.0/8] }", ""));
    assert!(Client::connect(gateway.address()).is_closed());
    gateway.reload(&yaml(", proxy_protocol: { from: [127.0.0.0/8] }", ""));
    let mut announced = gateway.connect();
    announced.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    announced.read_response().expect_status(200);
    let line = gateway.eventually_logged(|line| line["client"] == "192.0.2.7");
    assert_eq!(line["status"], 200);
}

#[test]
fn the_admin_token_changes() {
    let gateway = commanded(&saying("ok")).start();
    fs::write(gateway.dir().join("token"), TOKEN.replace('0', "z")).unwrap();
    command(&gateway, "/reload").expect_status(200);
    command(&gateway, "/reload").expect_status(401);
    let authorization = format!("Bearer {}", TOKEN.replace('0', "z"));
    Client::connect(gateway.admin())
        .request("POST", "/reload", &[("Authorization", &authorization)], b"")
        .expect_status(200);
}

#[test]
fn what_was_in_force_can_be_put_back() {
    let gateway = commanded(&saying("first")).start();
    for body in ["second", "third"] {
        gateway.rewrite(&format!("{ADMIN}{}", saying(body)));
        command(&gateway, "/reload").expect_status(200);
    }
    assert_eq!(command(&gateway, "/rollback").expect_status(200).json()["generation"], 4);
    assert_eq!(gateway.get("/").text(), "second");
    let note = ask(&gateway, "/readyz")["notes"]["configuration"].to_string();
    assert!(note.contains("generation 2 was put back"), "{note}");
    command(&gateway, "/rollback?to=1").expect_status(200);
    assert_eq!(gateway.get("/").text(), "first");
    command(&gateway, "/rollback?to=77").expect_status(404);
    command(&gateway, "/reload").expect_status(200);
    assert_eq!(gateway.get("/").text(), "third");
}

#[test]
fn what_is_put_back_goes_by_the_lists_of_today() {
    let yaml = |body: &str| {
        format!(
            "{ADMIN}routes: [{{ name: all, access: public, addresses: {{ deny: [{{ file: <dir>/blocked.txt }}] }}, respond: {{ body: {body} }} }}]\n"
        )
    };
    let gateway = Setup::new(&yaml("first")).file("token", TOKEN).file("blocked.txt", "192.0.2.1\n").start();
    gateway.get("/").expect_status(200);
    gateway.rewrite(&yaml("second"));
    command(&gateway, "/reload").expect_status(200);
    fs::write(gateway.dir().join("blocked.txt"), "127.0.0.0/8\n").unwrap();
    wait::until_true("the list to be read", || gateway.get("/").status == 403);
    command(&gateway, "/rollback").expect_status(200);
    gateway.get("/").expect_status(403);
}

#[test]
fn the_history_is_as_long_as_the_file_says() {
    let yaml = |body: &str| format!("{ADMIN}process: {{ history: 2 }}\n{}", saying(body));
    let gateway = Setup::new(&yaml("first")).file("token", TOKEN).start();
    for body in ["second", "third", "fourth"] {
        gateway.rewrite(&yaml(body));
        command(&gateway, "/reload").expect_status(200);
    }
    let history = ask(&gateway, "/status")["configuration"]["history"].clone();
    let kept: Vec<_> = history.as_array().unwrap().iter().map(|past| past["generation"].clone()).collect();
    assert_eq!(kept, [2, 3, 4]);
    command(&gateway, "/rollback?to=1").expect_status(404);
}

mod rollout {
    use super::*;

    fn status(gateway: &Gateway) -> serde_json::Value {
        ask(gateway, "/status")["configuration"].clone()
    }

    /// Requests until the trial is over; what they were answered with.
    fn until_judged(gateway: &Gateway) -> Vec<u16> {
        let mut client = gateway.connect();
        let mut answers = Vec::new();
        wait::until_true("the trial to end", || {
            answers.extend((0..20).map(|_| client.get("/").status));
            status(gateway)["rollout"].is_null()
        });
        answers
    }

    #[test]
    fn a_share_tries_it_and_what_is_good_is_kept() {
        let gateway = commanded(&saying("old")).start();
        gateway.rewrite(&format!("{ADMIN}{}", saying("new")));
        command(&gateway, "/reload?canary=30%25&for=2s&min_requests=20&max_latency=1000").expect_status(202);
        let mut client = gateway.connect();
        let (mut old, mut new) = (0, 0);
        while status(&gateway)["rollout"].is_object() && old + new < 400 {
            match client.get("/").text().as_str() {
                "old" => old += 1,
                _ => new += 1,
            }
        }
        assert!(old > 0 && new > 0, "{old} {new}");
        wait::until_true("the trial to end", || status(&gateway)["rollout"].is_null());
        assert_eq!(gateway.get("/").text(), "new");
        let line = gateway.eventually_logged(|line| line["generation"] == 2);
        assert_eq!(line["route"], "all");
    }

    #[test]
    fn errors_take_it_back() {
        let (good, bad) = (Origin::saying("ok"), Origin::always(Answer::status(500)));
        let yaml = |origin: &Origin| {
            format!(
                "{ADMIN}upstreams: {{ app: {{ endpoints: [\"{}\"] }} }}\nroutes: [{{ name: all, access: public, upstream: app }}]\n",
                origin.address()
            )
        };
        let gateway = Setup::new(&yaml(&good)).file("token", TOKEN).start();
        gateway.rewrite(&yaml(&bad));
        command(&gateway, "/reload?canary=20%25&for=1h").expect_status(202);
        let answers = until_judged(&gateway);
        assert!(answers.contains(&500), "some tried it");
        let history = status(&gateway)["history"].to_string();
        assert!(history.contains("errors instead of"), "{history}");
        for _ in 0..30 {
            gateway.get("/").expect_status(200);
        }
        let authorization = format!("Bearer {TOKEN}");
        let metrics = Client::connect(gateway.admin())
            .request("GET", "/metrics", &[("Authorization", &authorization)], b"")
            .text();
        assert!(metrics.contains("portcullis_rollouts_total{outcome=\"reverted\"} 1"), "{metrics}");
        assert!(metrics.contains("portcullis_rollout_share 0"), "{metrics}");
    }

    #[test]
    fn a_gate_that_shuts_everyone_out_is_taken_back() {
        let open = format!("{ADMIN}{}", saying("ok"));
        let shut = format!(
            "{ADMIN}routes: [{{ name: all, access: public, addresses: {{ deny: [127.0.0.0/8] }}, respond: {{ body: ok }} }}]\n"
        );
        let gateway = Setup::new(&open).file("token", TOKEN).start();
        gateway.rewrite(&shut);
        command(&gateway, "/reload?canary=20%25&for=1h").expect_status(202);
        assert!(until_judged(&gateway).contains(&403));
        let history = status(&gateway)["history"].to_string();
        assert!(history.contains("refusals instead of"), "{history}");
        gateway.get("/").expect_status(200);
    }

    #[test]
    fn what_too_few_tried_is_taken_back() {
        let gateway = commanded(&saying("old")).start();
        gateway.rewrite(&format!("{ADMIN}{}", saying("new")));
        command(&gateway, "/reload?canary=50%25&for=100ms").expect_status(202);
        wait::until_true("the trial to end", || status(&gateway)["rollout"].is_null());
        assert!(status(&gateway)["history"].to_string().contains("too few to judge"));
        assert_eq!(gateway.get("/").text(), "old");
    }

    #[test]
    fn an_operator_ends_it_either_way_and_only_one_is_tried_at_a_time() {
        let gateway = commanded(&saying("old")).start();
        command(&gateway, "/rollout/keep").expect_status(409);
        gateway.rewrite(&format!("{ADMIN}{}", saying("new")));
        command(&gateway, "/reload?canary=100%25&for=1h").expect_status(202);
        assert_eq!(gateway.get("/").text(), "new");
        command(&gateway, "/reload").expect_status(409);
        command(&gateway, "/rollback").expect_status(409);
        command(&gateway, "/rollout/revert").expect_status(200);
        assert_eq!(gateway.get("/").text(), "old");
        command(&gateway, "/reload?canary=1%25&for=1h").expect_status(202);
        command(&gateway, "/rollout/keep").expect_status(200);
        assert_eq!(gateway.get("/").text(), "new");
    }

    #[test]
    fn the_command_line_tries_keeps_takes_back_and_puts_back() {
        let gateway = Gateway::start(&saying("old"));
        gateway.rewrite(&saying("new"));
        let said = |arguments: &[&str]| {
            let output = gateway.order(arguments);
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, words) = said(&["reload", "--canary", "50%", "--for", "100ms", "--wait"]);
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("too few to judge"), "{words}");
        assert_eq!(said(&["reload", "--canary", "1%", "--for", "1h"]).0, Some(0));
        assert_eq!(said(&["rollout", "keep"]).0, Some(0));
        assert_eq!(gateway.get("/").text(), "new");
        assert_eq!(said(&["rollback"]).0, Some(0));
        assert_eq!(gateway.get("/").text(), "old");
        assert_eq!(said(&["rollback", "--to", "99"]).0, Some(1));
        assert_eq!(said(&["rollout", "revert"]).0, Some(1));
    }

    #[test]
    fn limits_that_both_have_are_counted_together() {
        let yaml = |body: &str| {
            format!(
                "{ADMIN}routes: [{{ name: all, access: public, respond: {{ body: {body} }}, limits: [{{ name: calls, rate: 10/h }}] }}]\n"
            )
        };
        let gateway = Setup::new(&yaml("old")).file("token", TOKEN).start();
        gateway.rewrite(&yaml("new"));
        command(&gateway, "/reload?canary=50%25&for=1h&max_refusals=100%25").expect_status(202);
        let mut client = gateway.connect();
        let passed = (0..40).filter(|_| client.get("/").status == 200).count();
        assert_eq!(passed, 10);
    }
}
