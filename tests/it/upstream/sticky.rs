//! Sticky sessions: a signed cookie assigns a client to an endpoint.

use super::{PASS, before_all};
use crate::support::certs::Authority;
use crate::support::client::Tls;
use crate::support::{Answer, Client, Gateway, Origin, Response, Setup};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Two origins behind a sticky upstream, `text` being further settings of `sticky`.
fn sticky(origins: [&Origin; 2], text: &str) -> Gateway {
    before_all(&origins, &format!("endpoints: [\"<0>\", \"<1>\"], sticky: {{ cookie: route{text} }}"))
}

fn named() -> [Origin; 2] {
    ["one", "two"].map(|name| Origin::start(move |_| Answer::ok(name).header("Set-Cookie", "own=1; Path=/")))
}

/// What the gateway gave beside the origin's own cookie.
fn given(response: &Response) -> Option<&str> {
    let cookies = response.values("Set-Cookie");
    assert!(cookies.contains(&"own=1; Path=/"), "{cookies:?}");
    assert!(cookies.len() <= 2, "{cookies:?}");
    cookies.into_iter().find(|cookie| cookie.starts_with("route="))
}

/// `route=…` of what the gateway gave.
#[track_caller]
fn pair(response: &Response) -> String {
    given(response).expect("a cookie").split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn a_client_comes_back_to_its_endpoint() {
    let [one, two] = named();
    let gateway = sticky([&one, &two], "");
    for _ in 0..3 {
        let first = gateway.get("/").expect_status(200);
        let attributes = given(&first).expect("a cookie").split_once(';').expect("attributes").1;
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
        let cookie = pair(&first);
        for _ in 0..6 {
            let again = gateway.get_with("/", &[("Cookie", &format!("a=1; {cookie}; b=2"))]).expect_status(200);
            assert_eq!(again.text(), first.text());
            assert_eq!(given(&again), None);
        }
    }
}

#[test]
fn the_cookie_is_not_for_the_endpoint() {
    let [one, two] = named();
    let gateway = sticky([&one, &two], ", lifetime: 1h");
    let first = gateway.get("/");
    assert!(given(&first).expect("a cookie").contains("; Max-Age=3600;"));
    let cookie = pair(&first);
    let origin = if first.text() == "one" { &one } else { &two };
    gateway.get_with("/", &[("Cookie", &format!("a=1; {cookie}; b=2"))]);
    assert_eq!(origin.last_request().header("cookie"), Some("a=1; b=2"));
    gateway.get_with("/", &[("Cookie", &cookie)]);
    assert_eq!(origin.last_request().header("cookie"), None);
    // It says nothing of the address.
    assert!(!cookie.contains(&origin.address().port().to_string()));
}

#[test]
fn what_is_forged_is_ignored_and_replaced() {
    let [one, two] = named();
    let gateway = sticky([&one, &two], "");
    let cookie = pair(&gateway.get("/"));
    let last = if cookie.ends_with('A') { "B" } else { "A" };
    let other =
        if cookie.contains('x') { cookie.replace('x', "y") } else { format!("{}{last}", &cookie[..cookie.len() - 1]) };
    for forged in [other.as_str(), "route=", "route=one"] {
        let mut seen = Vec::new();
        for _ in 0..4 {
            let response = gateway.get_with("/", &[("Cookie", forged)]).expect_status(200);
            assert_ne!(pair(&response), forged);
            seen.push(response.text());
        }
        assert!(seen.contains(&"one".to_owned()) && seen.contains(&"two".to_owned()), "{seen:?}");
    }
}

#[test]
fn a_client_moves_when_its_endpoint_is_gone() {
    let [one, two] = named();
    let gateway = sticky([&one, &two], "");
    let first = gateway.get("/");
    let cookie = pair(&first);
    let (gone, left) = if first.text() == "one" { (&one, "two") } else { (&two, "one") };
    gone.stop();
    let moved = gateway.get_with("/", &[("Cookie", &cookie)]).expect_status(200);
    assert_eq!(moved.text(), left);
    let cookie = pair(&moved);
    for _ in 0..4 {
        assert_eq!(given(&gateway.get_with("/", &[("Cookie", &cookie)]).expect_status(200)), None);
    }
}

#[test]
fn with_a_key_of_its_own_a_session_outlives_the_gateway() {
    let [one, two] = named();
    let start = || {
        let upstream = "endpoints: [\"<0>\", \"<1>\"], sticky: { cookie: route, key: { env: STICKY_KEY } }";
        Setup::new(&format!("upstreams: {{ origin: {{ {upstream} }} }}\n{PASS}"))
            .with("0", one.address())
            .with("1", two.address())
            .variable("STICKY_KEY", KEY)
            .start()
    };
    let first = start().get("/");
    let another = start();
    for _ in 0..4 {
        let again = another.get_with("/", &[("Cookie", &pair(&first))]);
        assert_eq!((again.text(), given(&again)), (first.text(), None));
    }
}

#[test]
fn over_tls_the_cookie_is_secure() {
    let [one, two] = named();
    let authority = Authority::new("test");
    let setup = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: \"<cert>\", key: \"<key>\" }}] }} }}]\n\
         upstreams: {{ origin: {{ endpoints: [\"<0>\", \"<1>\"], sticky: {{ cookie: route }} }} }}\n{PASS}"
    ));
    let (cert, key) = authority.issue(&["gateway.test"]).write(setup.dir(), "edge");
    let gateway = setup
        .with("cert", cert.display())
        .with("key", key.display())
        .with("0", one.address())
        .with("1", two.address())
        .start();
    let (mut client, _) =
        Client::tls(gateway.address(), &Tls::new("gateway.test", &authority.certificate())).expect("a handshake");
    let response = client.get("/").expect_status(200);
    assert!(given(&response).expect("a cookie").ends_with("; Secure"));
}

#[test]
fn a_failure_is_no_place_to_stay() {
    let one = Origin::always(Answer::status(500).header("Set-Cookie", "own=1; Path=/"));
    let gateway = before_all(&[&one], "endpoints: [\"<0>\"], sticky: { cookie: route }");
    assert_eq!(given(&gateway.get("/").expect_status(500)), None);
}

#[test]
fn without_a_key_check_warns() {
    let setup = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"127.0.0.1:9\"], sticky: {{ cookie: route }} }} }}\n{PASS}"
    ));
    let output = setup.output("check", &[]);
    let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("warning[sticky_key_missing]"), "{words}");
}
