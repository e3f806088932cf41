//! The files in `conf/`: each compiles, starts and does what its comments say.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::certs::Authority;
use crate::support::client::{Client, Tls, open_from};
use crate::support::ports::free_address;
use crate::support::proxy_protocol::v1;
use crate::support::{Answer, Gateway, Origin, Response, Setup, jwt, wait};

/// The files may name ports of their own beside `LISTEN`, so only one of them runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

/// Every configuration in `conf/`: the quick start and the scenarios.
fn files() -> Vec<PathBuf> {
    let mut files = vec![conf().join("quickstart.yaml")];
    for entry in std::fs::read_dir(conf().join("examples")).expect("conf/examples") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file of API keys with one entry, whose key is unknown.
const KEYS: &str =
    "keys: [{ id: nobody, hash: \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }]\n";

/// Another address of this machine than the one that the tests' own requests come from.
const BALANCER: &str = "127.0.0.9";

struct World {
    origins: [Origin; 2],
    authority: Authority,
}

impl World {
    fn new() -> World {
        let origin = |name: &'static str| {
            Origin::start(move |_| {
                Answer::ok(name).header("X-Frame-Options", "ALLOWALL").header("Server", "Scripted/1")
            })
        };
        World { origins: [origin("one"), origin("two")], authority: Authority::new("test") }
    }

    /// `file` with everything that it may take from its surroundings.
    fn setup(&self, file: PathBuf) -> Setup {
        let identity = self.authority.issue(&["localhost", "gateway.test"]);
        let setup = Setup::existing(file)
            .variable("ORIGIN", self.origins[0].address())
            .variable("ORIGIN_2", self.origins[1].address())
            .variable("BALANCERS", BALANCER)
            .variable("ISSUER", jwt::ISSUER)
            .variable("AUDIENCE", jwt::AUDIENCE)
            .variable("JWT_SECRET", jwt::SECRET)
            .file("jwks.json", jwt::jwks())
            .file("jwt.pem", jwt::RSA.public_pem())
            .file("keys.yaml", KEYS);
        let (cert, key) = identity.write(setup.dir(), "edge");
        let [jwks, jwt_key, api_keys] = ["jwks.json", "jwt.pem", "keys.yaml"].map(|name| setup.dir().join(name));
        setup
            .variable("JWKS_FILE", jwks.display())
            .variable("JWT_KEY_FILE", jwt_key.display())
            .variable("API_KEYS_FILE", api_keys.display())
            .variable("CERT", cert.display())
            .variable("KEY", key.display())
            .variable("LISTEN_TLS", free_address())
    }

    fn start(&self, example: &str) -> Gateway {
        self.setup(conf().join("examples").join(example)).start()
    }
}

#[test]
fn the_promised_scenarios_exist() {
    let names: Vec<_> =
        files().iter().map(|file| file.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    for name in [
        "quickstart.yaml",
        "headers.yaml",
        "https.yaml",
        "jwt.yaml",
        "api-keys.yaml",
        "limits.yaml",
        "tls.yaml",
        "load-balancing.yaml",
        "routing.yaml",
        "hardened.yaml",
        "proxy-protocol.yaml",
        "addresses.yaml",
        "resilience.yaml",
        "canary.yaml",
    ] {
        assert!(names.iter().any(|found| found == name), "conf has no {name}");
    }
}

#[test]
fn no_file_differs_from_itself() {
    let world = World::new();
    for file in files() {
        let same = file.display().to_string();
        let output = world.setup(file).output("diff", &[&same, "--exit-code"]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b""[..]), "{same}");
    }
}

#[test]
fn every_file_compiles() {
    let world = World::new();
    for file in files() {
        let output = world.setup(file.clone()).output("check", &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}:\n{words}", file.display());
        // `check` names every protection that is switched off, and an example may show how that is written.
        let warnings = words.lines().filter(|line| line.contains("warning[") && !line.contains("_switched_off]"));
        assert_eq!(warnings.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", file.display());
    }
}

#[test]
fn every_file_starts_and_answers() {
    let _alone = alone();
    let world = World::new();
    for file in files() {
        let gateway = world.setup(file.clone()).start();
        let response = if file.ends_with("tls.yaml") { over_tls(&world, &gateway, "/") } else { gateway.get("/") };
        assert!(response.status < 500, "{}: {response:?}", file.display());
    }
}

#[track_caller]
fn over_tls(world: &World, gateway: &Gateway, path: &str) -> Response {
    let tls = Tls::new("gateway.test", &world.authority.certificate());
    match Client::tls(gateway.address(), &tls) {
        Ok((mut client, _)) => client.get(path),
        // The listener on `LISTEN` may be the plain one that sends clients to HTTPS.
        Err(_) => gateway.get(path),
    }
}

#[test]
fn headers_replaces_framing_and_lets_a_part_be_framed_by_itself() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("headers.yaml");
    for path in ["/", "/a/b", "/samething", "/missing"] {
        gateway.get(path).expect_header("X-Frame-Options", "DENY");
    }
    for path in ["/same/", "/same/page"] {
        gateway.get(path).expect_header("X-Frame-Options", "SAMEORIGIN");
    }
}

#[test]
fn jwt_lets_good_tokens_in_and_nobody_else() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("jwt.yaml");
    let with = |token: &str| gateway.get_with("/v1/orders/7", &[("Authorization", &jwt::bearer(token))]);
    let refused = gateway.get("/v1/orders/7").expect_status(401);
    assert!(refused.header("WWW-Authenticate").is_some_and(|value| value.starts_with("Bearer")), "{refused:?}");
    with(&jwt::FORGED.sign(&jwt::claims("ann", serde_json::json!({ "scope": "orders.read" })))).expect_status(401);
    with(&jwt::token("ann", "orders.write")).expect_status(403);
    assert_eq!(with(&jwt::token("ann", "orders.read")).expect_status(200).text(), "one");
}

#[test]
fn load_balancing_uses_both_origins_and_outlives_one() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("load-balancing.yaml");
    for _ in 0..20 {
        gateway.get("/").expect_status(200);
    }
    // The probes ask for another path.
    let asked = |origin: &Origin| origin.requests().iter().any(|request| request.target == "/");
    assert!(world.origins.iter().all(asked));
    world.origins[0].stop();
    for _ in 0..20 {
        gateway.get("/").expect_status(200);
    }
}

#[test]
fn resilience_fails_over_and_shares() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("resilience.yaml");
    for _ in 0..10 {
        assert_eq!(gateway.get("/reports/1").expect_status(200).text(), "one");
        gateway.get("/").expect_status(200);
    }
    assert!(world.origins[1].requests().iter().any(|request| request.target == "/"));
    world.origins[0].stop();
    for _ in 0..20 {
        assert_eq!(gateway.get("/reports/1").expect_status(200).text(), "two");
        assert_eq!(gateway.get("/").expect_status(200).text(), "two");
    }
}

#[test]
fn canary_shares_out_claims_and_copies() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("canary.yaml");
    // By header and by cookie, always; without them, the same side each time.
    for headers in [("X-Canary", "1"), ("Cookie", "theme=dark; canary=on")] {
        assert_eq!(gateway.get_with("/v1/orders/7", &[headers]).expect_status(200).text(), "two");
    }
    let mut client = gateway.connect();
    let mine = client.get("/v1/orders/7").expect_status(200).text();
    for _ in 0..10 {
        assert_eq!(client.get("/v1/orders/7").text(), mine);
    }
    // A search is answered by the one, and the other sees a copy.
    assert_eq!(gateway.get("/v1/search?q=a").expect_status(200).text(), "one");
    let copied = || world.origins[1].requests().into_iter().find(|request| request.target == "/v1/search?q=a");
    assert_eq!(wait::until("a copy", copied).header("X-Portcullis-Mirror"), Some("1"));
    // A dead canary costs no request.
    world.origins[1].stop();
    assert_eq!(gateway.get_with("/v1/orders/7", &[("X-Canary", "1")]).expect_status(200).text(), "one");
}

#[test]
fn proxy_protocol_believes_the_load_balancers_and_nobody_else() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("proxy-protocol.yaml");
    let header = v1("203.0.113.7:1".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
    let mut balanced = Client::over(open_from(BALANCER.parse().unwrap(), gateway.address())).unwrap();
    balanced.send(&header);
    balanced.get("/balanced").expect_status(200);
    assert_eq!(gateway.logged_path("/balanced")["client"], "203.0.113.7");
    let mut spoofed = gateway.connect();
    spoofed.send(&header);
    spoofed.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    spoofed.read_response().expect_status(400);
}

#[test]
fn addresses_lets_in_whom_it_names() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("addresses.yaml");
    let from = |last: [u8; 4]| Client::connect_from(IpAddr::from(last), gateway.address());
    assert_eq!(from([127, 0, 0, 1]).get("/admin/").expect_status(200).text(), "one");
    for path in ["/admin/", "/admin", "/admin?x"] {
        from([127, 0, 0, 9]).get(path).expect_status(403).expect_header("X-Frame-Options", "DENY");
    }
    from([127, 0, 0, 9]).get("/").expect_status(200);
    assert!(from([127, 66, 6, 6]).is_closed());
}

#[test]
fn https_sends_everyone_there_and_ends() {
    let _alone = alone();
    let world = World::new();
    let public = free_address();
    let file = conf().join("examples").join("https.yaml");
    let gateway = world.setup(file).variable("LISTEN_TLS", public).start();
    let moved = gateway.get("/page?a=b").expect_status(308).expect_no_header("Strict-Transport-Security");
    assert_eq!(moved.header("Location"), Some("https://gateway.test/page?a=b"));
    assert_eq!(gateway.get("/.well-known/acme-challenge/token").expect_status(200).text(), "one");
    let tls = Tls::new("gateway.test", &world.authority.certificate());
    let mut client = Client::tls(public, &tls).expect("a handshake").0;
    let page = client.get("/page?a=b").expect_status(200).expect_header("X-Frame-Options", "DENY");
    assert_eq!(page.header("Strict-Transport-Security"), Some("max-age=31536000"));
}

#[test]
fn limits_refuses_at_some_point() {
    let _alone = alone();
    let world = World::new();
    let gateway = world.start("limits.yaml");
    let mut client = gateway.connect();
    let refused = (0..2000).map(|_| client.get("/")).find(|response| response.status == 429).expect("a 429");
    assert!(refused.header("Retry-After").is_some(), "{refused:?}");
}

#[test]
fn hardened_refuses_what_is_over_its_bounds_and_says_so_with_its_headers() {
    let _alone = alone();
    let world = World::new();
    let public = free_address();
    let file = conf().join("examples").join("hardened.yaml");
    let gateway = world.setup(file).variable("LISTEN_TLS", public).start();
    let tls = Tls::new("gateway.test", &world.authority.certificate());
    let connect = || Client::tls(public, &tls).expect("a handshake").0;
    let sealed = |response: Response| {
        response
            .expect_header("X-Frame-Options", "DENY")
            .expect_header("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
            .expect_no_header("Server")
    };

    sealed(connect().get("/").expect_status(200));
    sealed(connect().get(&format!("/?{}", "a".repeat(5000))).expect_status(414));
    sealed(connect().request("GET", "/", &[("X-A", &"a".repeat(20_000))], b"").expect_status(431));
    sealed(connect().request("GET", "/", &vec![("X-A", "1"); 80], b"").expect_status(431));
    let mut uploader = connect();
    uploader.send("POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 2097152\r\n\r\n");
    sealed(uploader.read_response().expect_status(413));
    sealed(connect().request("DELETE", "/", &[], b"").expect_status(405));
    for path in ["/a%2Fb", "/a|b"] {
        assert_eq!(sealed(connect().get(path).expect_status(400)).json()["code"], "path_invalid", "{path}");
    }
    for path in ["/internal/x", "/internal"] {
        assert_eq!(sealed(connect().get(path).expect_status(403)).json()["code"], "address_denied");
    }
    sealed(connect().get("/").expect_status(200)).expect_no_header("Via");
    sealed(connect().request("PUT", "/upload/a", &[], &vec![b'x'; 2 << 20]).expect_status(200));
    let tries = || connect().request("POST", "/login", &[], b"user=a");
    sealed((0..10).map(|_| tries()).find(|response| response.status == 429).expect("a 429"));

    // Who asks for another name sees no certificate.
    let stranger = Tls::new("localhost.example", &world.authority.certificate());
    assert!(Client::tls(public, &stranger).is_err());
    gateway.get("/").expect_status(200);
}
