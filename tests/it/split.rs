//! Split: which of a route's upstreams takes a request.

use std::collections::HashSet;

use crate::support::client::Client;
use crate::support::h2_client::H2;
use crate::support::ports::free_address;
use crate::support::{Answer, Gateway, Origin, Setup, jwt};

/// Two upstreams, `stable` and `canary`, each with one origin that answers with the upstream's name.
struct Two {
    stable: Origin,
    canary: Origin,
}

impl Two {
    fn start() -> Two {
        Two { stable: Origin::saying("stable"), canary: Origin::saying("canary") }
    }

    /// A route with these sides after the rest, and further lines of `upstream`.
    fn setup(&self, side: &str, more: &str) -> Setup {
        with_access("public", side, more).with("stable", self.stable.address()).with("canary", self.canary.address())
    }
}

fn with_access(access: &str, side: &str, more: &str) -> Setup {
    let identities = format!(
        "{{ corp: {{ jwt: {{ issuer: \"{}\", audience: {}, keys: {{ jwks_file: \"<dir>/jwks.json\" }} }} }} }}",
        jwt::ISSUER,
        jwt::AUDIENCE
    );
    let setup = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", http2: true }}]
identities: {identities}
upstreams:
  stable: {{ endpoints: [\"<stable>\"] }}
  canary: {{ endpoints: [\"<canary>\"] }}
routes:
  - name: all
    access: {access}
    upstream:
      split: [{{ upstream: stable }}, {{ upstream: canary, {side} }}]
      {more}
"
    ));
    setup.file("jwks.json", jwt::jwks())
}

/// The upstreams that answer `n` requests on one connection.
fn answers(gateway: &Gateway, n: usize, headers: &[(&str, &str)]) -> Vec<String> {
    let mut client = gateway.connect();
    (0..n).map(|_| client.request("GET", "/", headers, b"").expect_status(200).text()).collect()
}

#[test]
fn a_share_of_the_requests_goes_to_the_other_side() {
    let two = Two::start();
    let gateway = two.setup("share: 25%", "").start();
    let canaries = answers(&gateway, 1000, &[]).iter().filter(|answer| *answer == "canary").count();
    // Six standard deviations: once in 500 million runs it is not so.
    assert!((168..332).contains(&canaries), "{canaries}");
    // The log and the metrics name the side that answered.
    let lines = gateway.logged(1000);
    assert_eq!(lines.iter().filter(|line| line["upstream"] == "canary").count(), canaries);
    let counted = gateway.metrics().sum("portcullis_upstream_requests_total", &[("upstream", "canary")]);
    assert_eq!(counted, canaries as f64);
}

#[test]
fn nothing_and_everything_are_shares() {
    let two = Two::start();
    assert_eq!(answers(&two.setup("share: 0%", "").start(), 50, &[]), vec!["stable"; 50]);
    assert_eq!(answers(&two.setup("share: 100%", "").start(), 50, &[]), vec!["canary"; 50]);
}

#[test]
fn a_header_or_a_cookie_decides_before_the_share() {
    let two = Two::start();
    let when = "share: 0%, when: [{ header: x-canary, value: \"1\" }, { cookie: canary, value: on }]";
    let gateway = two.setup(when, "").start();
    for (headers, expected) in [
        (&[("X-Canary", "1")][..], "canary"),
        (&[("x-canary", "2")], "stable"),
        (&[("Cookie", "a=b; canary=on")], "canary"),
        (&[("Cookie", "canary=off")], "stable"),
        (&[("Cookie", "canary=on; canary=on")], "stable"),
        (&[("X-Canary", "1"), ("X-Canary", "1")], "stable"),
        (&[], "stable"),
    ] {
        assert_eq!(gateway.get_with("/", headers).expect_status(200).text(), expected, "{headers:?}");
    }
    // A browser's cookies may come in crumbs.
    let mut h2 = H2::prior_knowledge(gateway.address());
    let answer = h2.request("GET", "http://gateway.test/", &[("cookie", "a=b"), ("cookie", "canary=on")], b"").unwrap();
    assert_eq!(answer.text(), "canary");
}

#[test]
fn a_condition_can_bring_requests_back_to_the_rest() {
    let two = Two::start();
    let gateway = Setup::new(
        "upstreams: { stable: { endpoints: [\"<stable>\"] }, canary: { endpoints: [\"<canary>\"] } }
routes:
  - name: all
    access: public
    upstream:
      split:
        - { upstream: stable, when: [{ header: x-stable }] }
        - { upstream: canary, share: 100% }
",
    )
    .with("stable", two.stable.address())
    .with("canary", two.canary.address())
    .start();
    assert_eq!(gateway.get("/").text(), "canary");
    assert_eq!(gateway.get_with("/", &[("X-Stable", "")]).text(), "stable");
}

#[test]
fn a_caller_stays_on_its_side() {
    let two = Two::start();
    for (sticky_by, header) in [
        ("{ header: x-user }", "X-User"),
        // The name of the cookie stands in the value.
        ("{ cookie: sid }", "Cookie"),
    ] {
        let gateway = two.setup("share: 50%", &format!("sticky_by: {sticky_by}")).start();
        let sides: Vec<String> = (0..30)
            .map(|user| {
                let value = if header == "Cookie" { format!("sid=user-{user}") } else { format!("user-{user}") };
                let all: HashSet<String> = answers(&gateway, 5, &[(header, &value)]).into_iter().collect();
                assert_eq!(all.len(), 1, "{sticky_by}: {value} changed sides");
                all.into_iter().next().unwrap()
            })
            .collect();
        // All thirty on one side: once in 500 million, and never the same ones differently.
        assert_eq!(sides.iter().collect::<HashSet<_>>().len(), 2, "{sticky_by}: {sides:?}");
        // Another gateway puts everybody on the same side.
        let other = two.setup("share: 50%", &format!("sticky_by: {sticky_by}")).start();
        let value = if header == "Cookie" { "sid=user-0" } else { "user-0" };
        assert_eq!(other.get_with("/", &[(header, value)]).text(), sides[0]);
    }
}

#[test]
fn an_address_and_a_principal_are_keys_too() {
    let two = Two::start();
    let gateway = two.setup("share: 50%", "sticky_by: client_address").start();
    let side = |last: u8| {
        let mut client = Client::connect_from([127, 0, 0, last].into(), gateway.address());
        let all: HashSet<String> = (0..5).map(|_| client.get("/").expect_status(200).text()).collect();
        assert_eq!(all.len(), 1, "127.0.0.{last}");
        all.into_iter().next().unwrap()
    };
    assert_eq!((2..32).map(side).collect::<HashSet<_>>().len(), 2);

    let gateway = with_access("{ identity: corp }", "share: 50%", "sticky_by: principal")
        .with("stable", two.stable.address())
        .with("canary", two.canary.address())
        .start();
    let side = |user: usize| {
        let all: HashSet<String> = (0..3)
            .map(|n| {
                // Another token and another address, and still the same caller.
                let token = jwt::bearer(&jwt::token(&format!("user-{user}"), &format!("scope-{n}")));
                let mut client = Client::connect_from([127, 0, 0, 2 + n].into(), gateway.address());
                client.request("GET", "/", &[("Authorization", &token)], b"").expect_status(200).text()
            })
            .collect();
        assert_eq!(all.len(), 1, "user-{user}");
        all.into_iter().next().unwrap()
    };
    assert_eq!((0..30).map(side).collect::<HashSet<_>>().len(), 2);
}

// A side that can't be used.

#[test]
fn a_dead_side_costs_no_request_whatever_the_method() {
    let stable = Origin::start(|request| Answer::ok([b"stable ".to_vec(), request.body.clone()].concat()));
    let gateway = with_access("public", "share: 100%", "")
        .with("stable", stable.address())
        .with("canary", free_address())
        .start();
    for n in 0..10 {
        let (method, body) = if n % 2 == 0 { ("GET", &b""[..]) } else { ("POST", &b"order"[..]) };
        let answer = gateway.request(method, "/", &[], body).expect_status(200);
        assert_eq!(answer.text(), format!("stable {}", String::from_utf8_lossy(body)));
    }
    assert!(gateway.logged(10).iter().all(|line| line["upstream"] == "stable" && line["attempts"] == 1));
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_upstream_fallbacks_total", &[("upstream", "canary")]), 10.0);
    assert_eq!(metrics.sum("portcullis_upstream_connect_failures_total", &[("upstream", "canary")]), 10.0);
}

#[test]
fn a_dead_side_is_an_error_where_the_owner_wants_no_fallback() {
    let two = Two::start();
    let gateway = with_access("public", "share: 0%, when: [{ header: x-canary }]", "when_unavailable: refuse")
        .with("stable", two.stable.address())
        .with("canary", free_address())
        .start();
    gateway.get_with("/", &[("X-Canary", "1")]).expect_status(502);
    assert_eq!(gateway.logged(1)[0]["upstream"], "canary");
    gateway.get("/").expect_status(200);
    assert!(!gateway.metrics().has("portcullis_upstream_fallbacks_total"));
}

#[test]
fn a_dead_rest_is_an_error_and_never_goes_to_the_canary() {
    let canary = Origin::saying("canary");
    let gateway =
        with_access("public", "share: 0%", "").with("stable", free_address()).with("canary", canary.address()).start();
    gateway.get("/").expect_status(502);
    assert_eq!(canary.count(), 0);
}

#[test]
fn a_side_whose_probes_fail_is_left_for_the_rest_before_it_is_asked() {
    let stable = Origin::saying("stable");
    let canary = Origin::start(|request| match request.target.as_str() {
        "/healthz" => Answer::status(500),
        _ => Answer::ok("canary"),
    });
    for all_unhealthy in ["use_all", "refuse"] {
        let gateway = Setup::new(&format!(
            "upstreams:
  stable: {{ endpoints: [\"<stable>\"] }}
  canary:
    endpoints: [\"<canary>\"]
    all_unhealthy: {all_unhealthy}
    health: {{ http: {{ path: /healthz, interval: 20ms, unhealthy_after: 1 }} }}
routes:
  - name: all
    access: public
    upstream: {{ split: [{{ upstream: stable }}, {{ upstream: canary, share: 100% }}] }}
"
        ))
        .with("stable", stable.address())
        .with("canary", canary.address())
        .start();
        crate::support::wait::until_true("the canary to be unhealthy", || gateway.get("/").text() == "stable");
        assert_eq!(answers(&gateway, 20, &[]), vec!["stable"; 20], "{all_unhealthy}");
    }
}

#[test]
fn an_answer_of_the_canary_is_an_answer_whatever_it_says() {
    let (stable, canary) = (Origin::saying("stable"), Origin::always(Answer::status(503)));
    let gateway = with_access("public", "share: 100%", "")
        .with("stable", stable.address())
        .with("canary", canary.address())
        .start();
    gateway.get("/").expect_status(503);
    assert_eq!(stable.count(), 0);
}

// What is said about it.

#[test]
fn nothing_is_added_to_the_answer() {
    let two = Two::start();
    let split = two.setup("share: 100%", "sticky_by: client_address").start().get("/");
    let plain = Gateway::before(&two.canary, "routes: [{ name: all, access: public, upstream: origin }]").get("/");
    let names = |answer: &crate::support::Response| {
        let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&split), names(&plain));
}

#[test]
fn explain_tells_the_side_and_why_or_the_shares() {
    let two = Two::start();
    let explained = |setup: &Setup, arguments: &[&str]| {
        let output = setup.output("explain", &[&["GET", "http://gateway.test/"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let by_chance = two.setup("share: 5%, when: [{ header: x-canary, value: \"1\" }]", "");
    let text = explained(&by_chance, &[]);
    assert!(text.contains("split      by chance: 95% stable, 5% canary"), "{text}");
    let text = explained(&by_chance, &["-H", "X-Canary: 1"]);
    assert!(text.contains("split      canary: the header x-canary fits"), "{text}");
    assert!(text.contains(&two.canary.address().to_string()) && !text.contains(&two.stable.address().to_string()));
    let json: serde_json::Value = serde_json::from_str(&explained(&by_chance, &["--format", "json"])).expect("JSON");
    assert_eq!(json["action"]["by_chance"][1]["share"], "5%");
    assert_eq!(json["action"]["by_chance"][1]["upstream"]["name"], "canary");

    // What explain settles is what the gateway does.
    let sticky = two.setup("share: 50%", "sticky_by: { header: x-user }");
    let settled: Vec<String> = (0..10)
        .map(|user| {
            let header = format!("X-User: user-{user}");
            let json = explained(&sticky, &["-H", &header, "--format", "json"]);
            let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            json["action"]["upstream"]["name"].as_str().expect("a settled side").to_owned()
        })
        .collect();
    let gateway = sticky.start();
    let taken: Vec<String> =
        (0..10).map(|user| gateway.get_with("/", &[("X-User", &format!("user-{user}"))]).text()).collect();
    assert_eq!(settled, taken);
}

#[test]
fn check_says_where_a_split_is_wrong_and_counts_its_upstreams_as_used() {
    let two = Two::start();
    let words = |setup: &Setup| {
        let output = setup.output("check", &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        (output.status.code(), words)
    };
    let (code, said) = words(&two.setup("share: 5%", ""));
    assert!(code == Some(0) && !said.contains("no route uses the upstream"), "{said}");
    let (code, said) = words(&two.setup("share: 101%", ""));
    assert!(code == Some(78) && said.contains("more than the whole"), "{said}");
    let (code, said) = words(&two.setup("when: []", ""));
    assert!(code == Some(78) && said.contains("split_rest_twice"), "{said}");
    let (code, said) = words(&two.setup("share: 5%", "sticky_by: principal"));
    assert!(code == Some(78) && said.contains("invalid_sticky_key"), "{said}");
}
