use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::config::compile::compile;
use crate::config::environment::Environment;
use crate::config::load::load_text;

struct Fake {
    files: HashMap<&'static str, String>,
    now: SystemTime,
}

impl Environment for Fake {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn now(&self) -> SystemTime {
        self.now
    }
}

/// Certificate and key of `a` and of `b`, good from 2025 to 2035, at 2030.
fn fake() -> Fake {
    let pair = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2035, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (a, a_key) = pair(&["A.example.com", "*.example.org"]);
    let (b, b_key) = pair(&["192.0.2.1"]);
    let (nameless, nameless_key) = pair(&[]);
    let files = [
        ("a.pem", a),
        ("a.key", a_key),
        ("b.pem", b),
        ("b.key", b_key),
        ("nameless.pem", nameless),
        ("nameless.key", nameless_key),
        ("text.pem", "hello".to_owned()),
    ];
    Fake { files: files.into(), now: at(2030) }
}

fn at(year: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((year - 1970) * 365 * 86_400 + 86_400 * 30)
}

/// Codes and paths of what is wrong with `text`.
fn wrong(text: &str, environment: &dyn Environment) -> Vec<String> {
    let rest = "version: 1\nroutes: [{name: r, access: public, respond: {}}]\n";
    let rest = if text.contains("listeners") {
        rest.to_owned()
    } else {
        format!("{rest}listeners: [{{name: l, address: 127.0.0.1:8080}}]\n")
    };
    let document = load_text("f", format!("{rest}{text}").as_bytes(), environment).unwrap();
    compile(&document, environment).1.into_iter().map(|d| format!("{} {}", d.path, d.code)).collect()
}

fn with_certificate(cert: &str, key: &str) -> String {
    format!("listeners: [{{name: l, address: '[::]:443', tls: {{certificates: [{{cert: {cert}, key: {key}}}]}}}}]")
}

#[test]
fn certificates_bring_their_names() {
    let text = format!(
        "version: 1\nroutes: [{{name: r, access: public, respond: {{}}}}]\n{}",
        with_certificate("a.pem", "a.key")
    );
    let document = load_text("f", text.as_bytes(), &fake()).unwrap();
    let (snapshot, diagnostics) = compile(&document, &fake());
    assert_eq!(diagnostics, []);
    let listener = snapshot.unwrap().listeners.remove(0);
    let tls = listener.tls.unwrap();
    assert_eq!(tls.certificates[0].names, ["a.example.com", "*.example.org"]);
    assert!(listener.http2 && tls.first_for_unknown);
}

#[test]
fn what_does_not_serve_is_refused() {
    let below = |code| vec![format!("listeners[0].tls.certificates[0].{code}")];
    let check = |cert, key| wrong(&with_certificate(cert, key), &fake());
    assert_eq!(check("a.pem", "b.key"), below("key key_mismatch"));
    assert_eq!(check("a.pem", "none.key"), below("key file_unreadable"));
    assert_eq!(check("text.pem", "a.key"), below("cert invalid_certificate"));
    assert_eq!(check("a.pem", "a.pem"), below("key invalid_key"));
    assert_eq!(check("nameless.pem", "nameless.key"), below("cert certificate_nameless"));
    assert_eq!(check("b.pem", "b.key"), [""; 0]);
}

#[test]
fn the_time_of_a_certificate_is_a_warning() {
    for (year, expected) in [(2024, "certificate_early"), (2036, "certificate_expired")] {
        let environment = Fake { now: at(year), ..fake() };
        let said = wrong(&with_certificate("a.pem", "a.key"), &environment);
        assert_eq!(said, [format!("listeners[0].tls.certificates[0].cert {expected}")]);
    }
}

#[test]
fn addresses_that_overlap_are_refused() {
    let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (a, b, expected) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("[::]:80", "127.0.0.1:80", true),
        ("[::]:80", "0.0.0.0:80", true),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("127.0.0.1:80", "127.0.0.1:81", false),
    ] {
        assert_eq!(overlap(parse(a), parse(b)), expected, "{a} {b}");
        assert_eq!(overlap(parse(b), parse(a)), expected, "{b} {a}");
    }
    let two =
        "listeners: [{name: a, address: 0.0.0.0:80}, {name: b, address: 127.0.0.1:80}]\nadmin: {address: 127.0.0.1:80}";
    assert_eq!(wrong(two, &fake()), ["listeners[1].address duplicate_address", "admin.address duplicate_address"]);
}

#[test]
fn a_wrong_address_says_what_to_write() {
    for (text, help) in [
        ("localhost:80", "write `127.0.0.1:80` or `[::1]:80`"),
        (":80", "for every address write `0.0.0.0:80`"),
        ("127.0.0.1", "write for example `127.0.0.1:8080`"),
        ("::1", "write for example `[::1]:8080`"),
        ("127.0.0.1:http", "a port is a number from 1 to 65535"),
        ("nonsense", "write an IP address and a port, such as `127.0.0.1:8080` or `[::]:443`"),
    ] {
        assert_eq!(wrong_address(text).1, help, "{text}");
    }
}

#[test]
fn bounds_have_bounds() {
    for (text, expected) in [
        ("bounds: {uri: 0B}", "bounds.uri out_of_range"),
        ("bounds: {header_bytes: 2MiB}", "bounds.header_bytes out_of_range"),
        ("bounds: {header_count: 257}", "bounds.header_count out_of_range"),
        ("bounds: {keepalive: 0s}", "bounds.keepalive out_of_range"),
        ("bounds: {body_idle: 2d}", "bounds.body_idle out_of_range"),
        ("bounds: {connections: 0}", "bounds.connections out_of_range"),
        ("bounds: {connections_per_address: 10000001}", "bounds.connections_per_address out_of_range"),
        ("bounds: {requests_per_connection: 0}", "bounds.requests_per_connection out_of_range"),
        ("bounds: {connections: 1, connections_per_address: 1, requests_per_connection: 1}", ""),
        ("bounds: {http2_streams: 0}", "bounds.http2_streams out_of_range"),
        ("bounds: {http2_resets: 0}", "bounds.http2_resets out_of_range"),
        ("bounds: {http2_control_frames: 20000000}", "bounds.http2_control_frames out_of_range"),
        ("bounds: {limit_keys: 999}", "bounds.limit_keys out_of_range"),
        ("bounds: {http2_connection_window: 63KiB}", "bounds.http2_connection_window out_of_range"),
        ("bounds: {lingering_time: 0s, lingering_bytes: 0B}", ""),
        ("process: {threads: 0}", "process.threads out_of_range"),
        ("process: {drain: 10s, drain_streams: 11s}", "process.drain_streams out_of_range"),
        ("process: {drain_streams: 31s}", "process.drain_streams out_of_range"),
        ("process: {drain_notice: 25h}", "process.drain_notice out_of_range"),
        ("process: {drain: 1m, drain_streams: 31s, drain_notice: 0s, drain_idle: 0s}", ""),
        ("trusted_proxies: [ten]", "trusted_proxies[0] invalid_range"),
        ("trusted_proxies: [0.0.0.0/0]", "trusted_proxies[0] everyone_trusted"),
        ("trusted_proxies: [10.1.2.3/8]", "trusted_proxies[0] range_not_exact"),
        ("admin: {address: 0.0.0.0:9900}", "admin.address admin_not_loopback"),
        ("access_log: {queue: 0}", "access_log.queue out_of_range"),
        ("access_log: {format: {template: '{staus}'}}", "access_log.format.template invalid_template"),
        ("access_log: {format: {template: '{{status'}}", ""),
        ("access_log: {format: {template: '{status'}}", "access_log.format.template invalid_template"),
        ("process: {drain: 0s, threads: \"4\"}", ""),
        ("trusted_proxies: [10.0.0.0/8, '::1', 192.0.2.1]", ""),
    ] {
        assert_eq!(wrong(text, &fake()).join("; "), expected, "{text}");
    }
}

#[test]
fn load_balancers_that_announce_clients_are_named() {
    for (from, expected) in [
        ("[]", "ranges_missing"),
        ("[balancer.example]", "invalid_range"),
        ("[0.0.0.0/0]", "everyone_trusted"),
        ("['::/0']", "everyone_trusted"),
        ("[10.1.2.3/8]", "range_not_exact"),
        ("[10.0.0.0/8, '2001:db8::1']", ""),
    ] {
        let text = format!("listeners: [{{name: a, address: 127.0.0.1:80, proxy_protocol: {{from: {from}}}}}]");
        let said = wrong(&text, &fake()).join("; ");
        let at = if expected == "ranges_missing" { "" } else { "[0]" };
        let expected = match expected {
            "" => String::new(),
            code => format!("listeners[0].proxy_protocol.from{at} {code}"),
        };
        assert_eq!(said, expected, "{from}");
    }
}
