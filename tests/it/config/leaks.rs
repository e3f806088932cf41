//! No secret that is in use, and no credential of a client, is in any output of the process, whatever it is asked to log.

use std::process::Output;

use crate::support::certs::Authority;
use crate::support::client::{Tls, get_by_address};
use crate::support::gateway::portcullis;
use crate::support::h2_client::H2;
use crate::support::ports::free_address;
use crate::support::{Answer, Client, Gateway, Origin, Setup};

/// What is planted in every field that holds a secret, and in every header field that carries a credential.
const MARK: &str = "s3cr3t-Mark";

/// Long enough for every field.
fn secret(of: &str) -> String {
    format!("{MARK}-of-{of}-{}", "x".repeat(32))
}

const FIELDS: &str = r#"
process: { fast_lane: "<lane>" }
admin: { address: "<admin>", token: <token> }
listeners:
  - { name: main, address: "<listen>", http2: true }
  - { name: tls, address: "<tls>", http2: true, tls: { certificates: [{ cert: "<dir>/edge.pem", key: "<dir>/edge.key" }] } }
identities:
  corp: { jwt: { issuer: i, audience: a, keys: { secret: <shared> } } }
  partners: { api_key: { keys: { file: "<dir>/keys.yaml" } } }
upstreams:
  app: { endpoints: "<origin>", sticky: { cookie: c, key: <sticky> } }
routes:
  - { name: open, access: public, upstream: app }
  - { name: closed, match: { path: /closed }, access: { identity: [corp, partners] }, upstream: app }
"#;

/// Its secrets are kept in `sources`: of the admin listener, of the issuer and of the sticky cookie. `lane` switches the fast one.
fn setup(sources: [&str; 3], lane: &str) -> Setup {
    let yaml = FIELDS.replace("<token>", sources[0]).replace("<shared>", sources[1]).replace("<sticky>", sources[2]);
    Setup::new(&yaml)
        .with("lane", lane)
        .file("keys.yaml", format!("keys: [{{ id: partner, hash: \"sha256:{}\" }}]\n", "0".repeat(64)))
        .variable("PORTCULLIS_LOG", "trace")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[track_caller]
fn silent(what: &str, words: &str) {
    let line = words.lines().find(|line| line.contains("s3cr3t"));
    assert_eq!(line, None, "{what} prints a secret");
}

const IN_VARIABLES: [&str; 3] = ["{ env: APP_TOKEN }", "{ env: APP_SHARED }", "{ env: APP_STICKY }"];
const IN_FILES: [&str; 3] = ["{ file: <dir>/token }", "{ file: <dir>/shared }", "{ file: <dir>/sticky }"];

#[test]
fn secrets_in_use_and_credentials_of_clients_are_in_no_output() {
    let log = output_of_traffic("off");
    // What is masked is there: the test would prove nothing on a log without requests.
    assert!(log.contains("\"authorization\": [masked]") && log.contains("\"cookie\": [masked]"), "{log}");
    output_of_traffic("on");
}

/// The program log of a gateway that was asked everything, which has no secret in any output. `lane` switches the fast one.
fn output_of_traffic(lane: &str) -> String {
    let mark = secret("client");
    let answer = Answer::ok("ok").header("Set-Cookie", &format!("session={mark}; Path=/"));
    let origin = Origin::always(answer.header("X-Session-Token", &mark));
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let tls_address = free_address();
    let setup = setup(IN_FILES, lane)
        .with("origin", origin.address())
        .with("tls", tls_address)
        .file("edge.pem", &identity.cert_pem)
        .file("edge.key", &identity.key_pem)
        .file("token", secret("token"))
        .file("shared", secret("shared"))
        .file("sticky", secret("sticky"));
    silent("check", &words(&setup.output("check", &[])));
    silent("explain", &words(&setup.output("explain", &["GET", "http://a.example/closed"])));
    let other = Setup::new("routes: [{ name: all, access: public, respond: {} }]").write().display().to_string();
    let own = setup.write().display().to_string();
    silent("diff", &words(&portcullis(&["diff", &other, &own])));
    let gateway = setup.start();

    let (bearer, cookie) = (format!("Bearer {mark}"), format!("a=b; session={mark}"));
    let fields = [
        ("Authorization", bearer.as_str()),
        ("Cookie", &cookie),
        ("X-Api-Key", &mark),
        ("Proxy-Authorization", &bearer),
        ("X-Session-Token", &mark),
    ];
    for path in ["/", "/closed"] {
        let target = format!("{path}?access_token={mark}");
        let tls = Tls::new("gateway.test", &authority.certificate());
        let mut client = Client::tls(tls_address, &tls).expect("a TLS handshake").0;
        client.request("POST", &target, &fields, mark.as_bytes());
        gateway.connect().request("POST", &target, &fields, mark.as_bytes());
        let url = |scheme: &str| format!("{scheme}://gateway.test{target}");
        let mut plain = H2::prior_knowledge(gateway.address());
        let mut encrypted = H2::tls(tls_address, "gateway.test", &authority.certificate());
        plain.request("POST", &url("http"), &fields, mark.as_bytes()).expect("an answer");
        encrypted.request("POST", &url("https"), &fields, mark.as_bytes()).expect("an answer");
    }
    gateway.logged(8);
    // What is refused is quoted by who refuses it.
    for broken in ["GET / HTTP/1.1\r\nCookie <mark>\r\n\r\n", "<mark>\r\n\r\n", "GET /?key=<mark>\x01 HTTP/1.1\r\n\r\n"]
    {
        let mut client = gateway.connect();
        client.send(broken.replace("<mark>", &mark));
        client.is_closed();
    }

    let admin = format!("Bearer {}", secret("token"));
    for (method, path) in
        [("GET", "/status"), ("GET", "/upstreams"), ("GET", "/metrics"), ("GET", "/readyz"), ("POST", "/reload")]
    {
        let answer = Client::connect(gateway.admin()).request(method, path, &[("Authorization", &admin)], b"");
        silent(path, &answer.expect_status(200).text());
    }
    for command in ["status", "reload", "endpoints"] {
        silent(command, &words(&gateway.order(&[command])));
    }
    let log = gateway.stderr();
    silent("the program log", &log);
    silent("the access log", &gateway.stdout());
    log
}

#[test]
fn a_secret_that_does_not_do_is_not_repeated_wherever_it_is_kept() {
    let long = secret("any");
    for value in ["s3cr3t", "s3cr3t s3cr3t s3cr3t s3cr3t s3cr3t\u{e9}", "\ns3cr3t\n", ""] {
        for sources in [IN_VARIABLES, IN_FILES] {
            // Each of them alone, so that none hides behind another.
            for wrong in 0..3 {
                let values: Vec<&str> = (0..3).map(|of| if of == wrong { value } else { &long }).collect();
                let identity = Authority::new("test").issue(&["gateway.test"]);
                let setup = setup(sources, "on")
                    .with("origin", "127.0.0.1:9")
                    .with("tls", "127.0.0.1:1")
                    .file("edge.pem", &identity.cert_pem)
                    .file("edge.key", &identity.key_pem)
                    .file("token", values[0])
                    .file("shared", values[1])
                    .file("sticky", values[2])
                    .variable("APP_TOKEN", values[0])
                    .variable("APP_SHARED", values[1])
                    .variable("APP_STICKY", values[2]);
                let checked = setup.output("check", &[]);
                silent("check", &words(&checked));
                silent("check --format json", &words(&setup.output("check", &["--format", "json"])));
                let may_do = value.len() > 32 && wrong != 0;
                assert_eq!(checked.status.code(), Some(if may_do { 0 } else { 78 }), "{wrong} {}", words(&checked));
            }
        }
    }
}

#[test]
fn what_a_key_file_holds_instead_of_a_key_is_not_repeated() {
    let identity = Authority::new("test").issue(&["gateway.test"]);
    let inside = identity.key_pem.replacen("\n", "\ns3cr3t!", 1);
    for content in ["s3cr3t", "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----\n", &inside, ""] {
        let setup = setup(IN_FILES, "on")
            .with("origin", "127.0.0.1:9")
            .with("tls", "127.0.0.1:1")
            .file("edge.pem", &identity.cert_pem)
            .file("edge.key", content)
            .file("token", secret("token"))
            .file("shared", secret("shared"))
            .file("sticky", secret("sticky"));
        for command in ["check", "run"] {
            let output = setup.output(command, &[]);
            assert_eq!(output.status.code(), Some(78), "{}", words(&output));
            silent(command, &words(&output));
        }
    }
}

#[test]
fn a_stranger_is_told_whether_it_is_ready_and_a_code() {
    let ask = |gateway: &Gateway| get_by_address(gateway.admin(), "/readyz").expect_status(200).text();
    let gateway = Setup::new("routes: [{ name: all, access: public, respond: {} }]").start();
    gateway.rewrite("routes: [{ name: all, acess: public, respond: {} }]");
    assert_eq!(gateway.hang_up(), "refused");
    assert_eq!(ask(&gateway), "{\"ready\":true}\n");
    assert!(words(&gateway.order(&["status"])).contains("acess"));
}

#[test]
fn the_reason_is_the_first_error_and_not_the_first_warning() {
    let gateway = Setup::new("routes: [{ name: all, access: public, respond: {} }]").start();
    // The warning comes first in the file: the user is unknown to this machine.
    gateway.rewrite(
        "process: { user: no-such-user }\nroutes: [{ name: all, acess: public, respond: {} }, { name: b, bccess: public, respond: {} }]",
    );
    assert_eq!(gateway.hang_up(), "refused");
    let status: serde_json::Value =
        serde_json::from_slice(&gateway.order(&["status", "--json"]).stdout).expect("a status in JSON");
    let note = status["notes"]["configuration"].as_str().expect("a note");
    assert!(note.contains("unknown field `acess`") && !note.contains("no-such-user"), "{note}");
    gateway.says("unknown field `acess`");
}
