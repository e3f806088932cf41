//! Accept: HTTP/1.1, HTTPS with certificates by name, HTTP/2, IPv6; a start that can't succeed fails at once.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;

use crate::support::certs::Authority;
use crate::support::client::{self, Client, Tls};
use crate::support::h2_client::H2;
use crate::support::ports::{free_address, free_port};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

const ROUTES: &str = "routes: [{ name: all, access: public, respond: { body: hello } }]\n";

/// A gateway whose only listener speaks TLS with these certificates, in order.
fn tls_gateway(authority: &Authority, names: &[&[&str]], tls: &str) -> Gateway {
    let certificates: Vec<_> =
        (0..names.len()).map(|n| format!("{{ cert: \"<dir>/{n}.pem\", key: \"<dir>/{n}.key\" }}")).collect();
    let listener = format!(
        "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{}]{tls} }} }}]\n{ROUTES}",
        certificates.join(", ")
    );
    let setup = Setup::new(&listener);
    for (n, names) in names.iter().enumerate() {
        authority.issue(names).write(setup.dir(), &n.to_string());
    }
    setup.start()
}

#[test]
fn http1_serves_many_requests_on_one_connection() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    for _ in 0..3 {
        let response = client.get("/").expect_status(200);
        assert_eq!((response.version.as_str(), response.text().as_str()), ("HTTP/1.1", "hello"));
    }
}

#[test]
fn https_speaks_tls_1_2_and_1_3() {
    let authority = Authority::new("test");
    let gateway = tls_gateway(&authority, &[&["gateway.test"]], "");
    static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    static TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    for (versions, expected) in [(TLS12, ProtocolVersion::TLSv1_2), (TLS13, ProtocolVersion::TLSv1_3)] {
        let tls = Tls::new("gateway.test", &authority.certificate()).versions(versions);
        let (mut client, agreed) = Client::tls(gateway.address(), &tls).expect("a handshake");
        assert_eq!(agreed.version, expected);
        assert_eq!(client.get("/").expect_status(200).text(), "hello");
    }
    let lines = gateway.logged(2);
    let mut versions: Vec<_> = lines.iter().map(|line| line["tls"].as_str().unwrap_or_default()).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["TLSv1.2", "TLSv1.3"]);
}

#[test]
fn the_server_name_picks_the_certificate() {
    let authority = Authority::new("test");
    let names: &[&[&str]] = &[&["first.test"], &["*.wild.test"], &["exact.wild.test", "also.test"]];
    let gateway = tls_gateway(&authority, names, "");
    // A client accepts only a certificate with the name that it asked for.
    for name in ["first.test", "a.wild.test", "exact.wild.test", "also.test"] {
        let tls = Tls::new(name, &authority.certificate());
        let (mut client, _) = Client::tls(gateway.address(), &tls).unwrap_or_else(|error| panic!("{name}: {error}"));
        client.get("/").expect_status(200);
    }
}

#[test]
fn an_exact_name_comes_before_a_wildcard() {
    let authority = Authority::new("test");
    let gateway = tls_gateway(&authority, &[&["*.wild.test"], &["exact.wild.test"]], "");
    let certificate = |name: &str| {
        Client::tls(gateway.address(), &Tls::new(name, &authority.certificate())).expect("a handshake").1.certificate
    };
    assert_ne!(certificate("exact.wild.test"), certificate("other.wild.test"));
}

#[test]
fn a_wildcard_stands_for_one_label() {
    let authority = Authority::new("test");
    let gateway = tls_gateway(&authority, &[&["first.test"], &["*.wild.test"]], ", unknown_name: refuse");
    let tls = Tls::new("a.b.wild.test", &authority.certificate());
    assert!(Client::tls(gateway.address(), &tls).is_err());
}

#[test]
fn an_unknown_name_gets_the_first_certificate_or_is_refused() {
    let authority = Authority::new("test");
    let unknown = Tls::new("unknown.test", &authority.certificate());
    let names: &[&[&str]] = &[&["first.test"], &["second.test"]];

    let first = tls_gateway(&authority, names, "");
    let error = Client::tls(first.address(), &unknown).err().expect("a certificate for another name").to_string();
    assert!(error.contains("NotValidForName") || error.contains("not valid for name"), "{error}");

    let refuse = tls_gateway(&authority, names, ", unknown_name: refuse");
    let error = Client::tls(refuse.address(), &unknown).err().expect("a refusal").to_string();
    assert!(error.contains("AccessDenied"), "{error}");
}

#[test]
fn http2_is_offered_by_alpn() {
    let authority = Authority::new("test");
    let gateway = tls_gateway(&authority, &[&["gateway.test"]], "");
    let mut client = H2::tls(gateway.address(), "gateway.test", &authority.certificate());
    assert_eq!(client.get("https://gateway.test/").expect_status(200).text(), "hello");
    assert_eq!(client.get_together("https://gateway.test/", &[], 20).len(), 20);
}

#[test]
fn http1_is_picked_by_clients_that_know_nothing_else() {
    let authority = Authority::new("test");
    let gateway = tls_gateway(&authority, &[&["gateway.test"]], "");
    let tls = Tls::new("gateway.test", &authority.certificate()).alpn("http/1.1");
    let (mut client, agreed) = Client::tls(gateway.address(), &tls).expect("a handshake");
    assert_eq!(agreed.alpn.as_deref(), Some(&b"http/1.1"[..]));
    client.get("/").expect_status(200);
}

#[test]
fn http2_can_be_switched_off() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let gateway = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\", http2: false, tls: {{ certificates: [{{ cert: \
         \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    ))
    .file("edge.pem", &identity.cert_pem)
    .file("edge.key", &identity.key_pem)
    .start();
    let tls = Tls::new("gateway.test", &authority.certificate()).alpn("h2").alpn("http/1.1");
    let (_, agreed) = Client::tls(gateway.address(), &tls).expect("a handshake");
    assert_eq!(agreed.alpn.as_deref(), Some(&b"http/1.1"[..]));
}

#[test]
fn prior_knowledge_works_where_it_is_allowed_beside_http1() {
    let gateway =
        Gateway::start(&format!("listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{ROUTES}"));
    assert_eq!(H2::prior_knowledge(gateway.address()).get("http://gateway.test/").expect_status(200).text(), "hello");
    gateway.get("/").expect_status(200);
}

#[test]
fn prior_knowledge_is_refused_where_it_is_not_allowed() {
    let gateway = Gateway::start(ROUTES);
    let mut client = gateway.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let response = client.read_response().expect_status(505).expect_no_header("Server");
    assert_eq!(response.json()["code"], "version_unsupported");
    let line = gateway.eventually_logged(|line| line["status"] == 505);
    assert_eq!((&line["cause"], &line["method"]), (&"version_unsupported".into(), &"PRI".into()));
}

#[test]
fn http2_to_http1_keeps_the_request_whole() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = Gateway::before(
        &origin,
        "listeners: [{ name: main, address: \"<listen>\", http2: true }]\nroutes: [{ name: all, access: public, \
         upstream: origin }]",
    );
    let mut client = H2::prior_knowledge(gateway.address());
    let body = vec![b'x'; 100_000];
    let response = client.request("POST", "http://shop.example/cart?id=1", &[("x-a", "1")], &body).expect("an answer");
    assert_eq!(response.expect_status(200).body, body);
    let request = origin.only_request();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/cart?id=1"));
    assert_eq!(request.header("Host"), Some("shop.example"));
    assert_eq!(request.header("X-A"), Some("1"));
}

#[test]
fn ipv6_is_served() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
    let gateway =
        Setup::new(&format!("listeners: [{{ name: six, address: \"<six>\" }}]\n{ROUTES}")).with("six", address).start();
    client::get(address, "/").expect_status(200);
    assert_eq!(gateway.logged(1)[0]["client"], "::1");
}

#[test]
fn several_listeners_serve_together() {
    let second = free_address();
    let gateway = Setup::new(&format!(
        "listeners: [{{ name: one, address: \"<listen>\" }}, {{ name: two, address: \"<second>\" }}]\n{ROUTES}"
    ))
    .with("second", second)
    .start();
    gateway.get("/").expect_status(200);
    client::get(second, "/").expect_status(200);
    let lines = gateway.logged(2);
    // Lines are written once an answer has left, so that those of two connections may come in either order.
    let mut names: Vec<_> = lines.iter().map(|line| line["listener"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_taken_port_ends_the_process_at_once_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("a port").to_string();
    let start = Instant::now();
    let output = Setup::new(&format!("listeners: [{{ name: main, address: \"<taken>\" }}]\n{ROUTES}"))
        .with("taken", &address)
        .output("run", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_taken_admin_port_ends_the_process_at_once_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("a port").to_string();
    let output =
        Setup::new(&format!("admin: {{ address: \"<taken>\" }}\n{ROUTES}")).with("taken", &address).output("run", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_certificate_that_does_not_load_ends_the_process_at_once_and_is_named() {
    let authority = Authority::new("test");
    let (one, other) = (authority.issue(&["a.test"]), authority.issue(&["a.test"]));
    let yaml = format!(
        "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: \"<dir>/edge.pem\", key: \
         \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    );
    let missing = Setup::new(&yaml);
    let garbled = Setup::new(&yaml).file("edge.pem", "not a certificate").file("edge.key", &one.key_pem);
    let foreign_key = Setup::new(&yaml).file("edge.pem", &one.cert_pem).file("edge.key", &other.key_pem);
    for (what, setup) in [("missing", missing), ("garbled", garbled), ("foreign key", foreign_key)] {
        for command in ["check", "run"] {
            let output = setup.output(command, &[]);
            let words = [&output.stdout[..], &output.stderr[..]].concat();
            let words = String::from_utf8_lossy(&words);
            assert_eq!(output.status.code(), Some(78), "{what}: {words}");
            assert!(words.contains("edge."), "{what}: {words}");
        }
    }
}

#[test]
fn an_encrypted_key_is_called_encrypted() {
    let one = Authority::new("root").issue(&["a.test"]);
    let yaml = format!(
        "listeners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ cert: \"<dir>/edge.pem\", key: \
         \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    );
    for (label, headers) in [
        ("ENCRYPTED PRIVATE KEY", ""),
        // PKCS#1 and SEC1 as OpenSSL encrypts them: RFC 1421 §4.6.1.1.
        ("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"),
        ("EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\r\n\r\n"),
    ] {
        let key = format!("-----BEGIN {label}-----\n{headers}MIIBVAIBADANBgkqhkiG\n-----END {label}-----\n");
        let output = Setup::new(&yaml).file("edge.pem", &one.cert_pem).file("edge.key", key).output("check", &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{label}: {words}");
        assert!(words.contains("edge.key` is encrypted") && words.contains("openssl pkey"), "{label}: {words}");
    }
}

#[test]
fn an_idle_connection_is_closed_after_the_keepalive() {
    let gateway = Gateway::start(&format!("bounds: {{ keepalive: 200ms }}\n{ROUTES}"));
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    assert!(client.is_closed());
}

#[test]
fn a_handshake_that_never_comes_is_cut_off() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let gateway = Setup::new(&format!(
        "bounds: {{ handshake: 200ms }}\nlisteners: [{{ name: main, address: \"<listen>\", tls: {{ certificates: [{{ \
         cert: \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }}] }} }}]\n{ROUTES}"
    ))
    .file("edge.pem", &identity.cert_pem)
    .file("edge.key", &identity.key_pem)
    .start();
    assert!(gateway.connect().is_closed());
}

#[test]
fn termination_finishes_what_is_in_flight_and_ends_well() {
    let origin = Origin::always(Answer::ok("finished").after(Duration::from_millis(500)));
    let mut gateway = Gateway::before(&origin, "routes: [{ name: all, access: public, upstream: origin }]");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    gateway.signal("TERM");
    assert_eq!(client.read_response().expect_status(200).text(), "finished");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn termination_of_an_idle_gateway_is_quick() {
    let mut gateway = Gateway::start(ROUTES);
    gateway.get("/").expect_status(200);
    let start = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
