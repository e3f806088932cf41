use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct ParsedExplainArgs {
    #[command(flatten)]
    args: ExplainArgs,
}

fn parsed(url: &str, more: &[&str]) -> Result<ExplainedRequest, String> {
    let args = [&["explain", "gateway.yaml", "GET", url], more].concat();
    request(&ParsedExplainArgs::try_parse_from(args).unwrap().args)
}

#[test]
fn a_url_is_taken_apart_but_not_mended() {
    let cases = [
        ("https://api.example.com/v1/../x?q=1#top", Some(Scheme::Https), "/v1/../x?q=1", Some("api.example.com")),
        ("HTTP://api.example.com:8080", Some(Scheme::Http), "/", Some("api.example.com:8080")),
        ("http://api.example.com?q", Some(Scheme::Http), "/?q", Some("api.example.com")),
        ("/health", None, "/health", None),
    ];
    for (url, scheme, target, host) in cases {
        let request = parsed(url, &[]).unwrap();
        assert_eq!((request.scheme, request.target.as_str()), (scheme, target), "{url}");
        assert_eq!(request.headers.get(HOST).map(|host| host.to_str().unwrap()), host, "{url}");
    }
    assert!(parsed("ftp://example.com/", &[]).unwrap_err().contains("http://"));
}

#[test]
fn headers_are_added_and_a_given_host_wins() {
    let request = parsed("http://a.example/", &["-H", "X-A: 1", "-H", "x-a:2", "-H", "Host: b.example"]).unwrap();
    assert_eq!(request.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(request.headers[HOST], "b.example");
    assert!(parsed("/", &["-H", "nonsense"]).is_err());
    assert!(parsed("/", &["-H", "a b: c"]).is_err());
}

fn explained(args: &[&str]) -> (ExitStatus, String, String) {
    explained_by(CONFIGURATION, args)
}

fn explained_by(configuration: &str, args: &[&str]) -> (ExitStatus, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let folder_name = folder.path().to_str().unwrap();
    std::fs::write(&file, configuration.replace("FOLDER", folder_name)).unwrap();
    std::fs::write(folder.path().join("blocked.txt"), "192.0.2.0/24\n").unwrap();
    std::fs::write(folder.path().join("secret"), [b'x'; 32]).unwrap();
    std::fs::write(folder.path().join("claims.json"), r#"{"sub": "ann", "scope": "orders.read"}"#).unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("FOLDER", folder_name)).collect();
    let all = ["explain".to_owned(), file.to_str().unwrap().to_owned()].into_iter().chain(args);
    let (data, words) = (SharedOutput::default(), SharedOutput::default());
    let mut printer = Printer::new(data.clone(), words.clone());
    let status = explain(&ParsedExplainArgs::parse_from(all).args, &mut printer);
    let text = |shared: &SharedOutput| String::from_utf8(shared.0.borrow().clone()).unwrap().replace(folder_name, "");
    (status, text(&data), text(&words))
}

/// Keeps what a printer writes.
#[derive(Clone, Default)]
struct SharedOutput(Rc<RefCell<Vec<u8>>>);

impl Write for SharedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CONFIGURATION: &str = r#"
version: 1
listeners: [{name: public, address: "127.0.0.1:8080"}]
upstreams:
  orders: {endpoints: ["127.0.0.1:9001", {address: "127.0.0.1:9002", weight: 2}]}
identities:
  corp: {jwt: {issuer: i, audience: a, keys: {secret: {file: "FOLDER/secret"}}}}
response_headers:
  set: {X-Frame-Options: DENY}
routes:
  - name: orders
    match: {host: api.example.com, path: "/v1/orders/{id}"}
    access:
      identity: corp
      allow: {scope: orders.read}
    limits:
      - {name: per-caller, key: principal, rate: 50/s, burst: 100}
    upstream: orders
  - name: health
    match: {path: /health}
    access: public
    respond: {body: ok}
  - name: files
    match: {path: /files/*}
    access: public
    encoded_separators: decode
    upstream: orders
"#;

#[test]
fn a_refusal_is_explained_with_its_line() {
    let (status, text, words) = explained(&["GET", "https://api.example.com/v1/../v1/orders/7"]);
    assert_eq!(status, ExitStatus::Success, "{words}");
    insta::assert_snapshot!(text, @r#"
    host       api.example.com
    path       /v1/orders/7
    client     127.0.0.1
    scheme     https
    route      orders (/gateway.yaml:11:5)
      lane     fast
      not      health: another path (/gateway.yaml:19:5)
      not      files: another path (/gateway.yaml:23:5)
    verdict    refuse: 401 credentials_missing: no credential that this route accepts (/gateway.yaml:11:5)
    help       The request has no credential that an identity of the route knows, in the header where it looks.
    header     cache-control: no-store
    header     www-authenticate: Bearer realm="portcullis"
    header     x-frame-options: DENY
    "#);
}

#[test]
fn an_admitted_request_is_explained_to_the_origin() {
    let (status, text, words) = explained(&[
        "GET",
        "https://api.example.com/v1/orders/7?full",
        "--claims",
        "FOLDER/claims.json",
        "--client-ip",
        "192.0.2.7",
    ]);
    assert_eq!(status, ExitStatus::Success, "{words}");
    insta::assert_snapshot!(text, @r#"
    host       api.example.com
    path       /v1/orders/7
    query      full
    client     192.0.2.7
    scheme     https
    route      orders (/gateway.yaml:11:5)
      lane     fast
      not      health: another path (/gateway.yaml:19:5)
      not      files: another path (/gateway.yaml:23:5)
    principal  ann of corp
    verdict    allow
    limit      per-caller: 50 per second, burst 100, by principal ann of corp
    upstream   orders, round_robin
      endpoint 127.0.0.1:9001, weight 1
      endpoint 127.0.0.1:9002, weight 2
      target   /v1/orders/7?full
      host     api.example.com
      without  authorization
      with     x-forwarded-for: 192.0.2.7
      with     x-forwarded-proto: https
      with     x-forwarded-host: api.example.com
      with     x-portcullis-principal: ann
      with     x-portcullis-identity: corp
      with     x-portcullis-scopes: orders.read
      with     x-request-id: (made-for-each-request)
      with     via: 1.1 portcullis
    header     ratelimit-policy: "per-caller";q=100;w=2
    header     ratelimit: "per-caller";r=99;t=1
    header     x-frame-options: DENY
    "#);
}

const LISTENERS: &str = r#"
version: 1
listeners: [{name: plain, address: "127.0.0.1:8080"}, {name: inner, address: "127.0.0.1:8081"}]
trusted_proxies: [10.0.0.1]
routes:
  - {name: to-https, match: {listener: plain, scheme: http}, access: public, redirect: {scheme: https}}
  - {name: inside, match: {listener: inner, tls: false}, access: public, respond: {body: inside}}
  - {name: site, access: public, respond: {body: site}}
"#;

#[test]
fn a_request_comes_by_a_listener() {
    let said = |args: &[&str]| explained_by(LISTENERS, &[&["GET"], args].concat()).1;
    let plain = said(&["http://a.example/"]);
    for line in ["scheme     http, by listener plain", "route      to-https", "not      inside: another listener"] {
        assert!(plain.contains(line), "{plain}");
    }
    assert!(plain.contains("header     location: https://a.example/"), "{plain}");
    let inner = said(&["/x", "-H", "Host: a", "--listener", "inner"]);
    assert!(inner.contains("by listener inner") && inner.contains("route      inside"), "{inner}");
    let behind = said(&["/x", "-H", "Host: a", "-H", "X-Forwarded-Proto: https", "--client-ip", "10.0.0.1"]);
    for line in ["scheme     https, by listener plain", "route      site", "not      to-https: another scheme"] {
        assert!(behind.contains(line), "{behind}");
    }
    let fields = ["/x", "-H", "Host: a", "-H", "X-Forwarded-Proto: https", "-H", "Forwarded: for=1.2.3.4;proto=http"];
    let twice = said(&[&fields[..], &["--client-ip", "10.0.0.1"]].concat());
    assert!(twice.contains("conflict   X-Forwarded-Proto and Forwarded name different schemes"), "{twice}");
    let (status, _, words) = explained_by(LISTENERS, &["GET", "/", "--listener", "outer"]);
    assert!(status == ExitStatus::Failure && words.contains("the listeners are `plain`, `inner`"), "{words}");
    let (status, _, words) = explained_by(LISTENERS, &["GET", "https://a/", "--listener", "plain"]);
    assert!(status == ExitStatus::Failure && words.contains("X-Forwarded-Proto"), "{words}");
}

const ADDRESSES: &str = r#"
version: 1
listeners:
  - {name: public, address: "127.0.0.1:8080", addresses: {deny: [{file: "FOLDER/blocked.txt"}]}}
  - {name: other, address: "127.0.0.1:8081"}
routes:
  - {name: all, access: public, addresses: {allow: [198.51.100.0/24]}, respond: {body: ok}}
"#;

#[test]
fn address_rules_say_what_they_say_to_the_client() {
    let of = |client| explained_by(ADDRESSES, &["GET", "http://x.example/", "--client-ip", client]).1;
    insta::assert_snapshot!(of("198.51.100.7"), @r#"
    listener   public: may connect (/gateway.yaml:4:47)
    host       x.example
    path       /
    client     198.51.100.7
    scheme     http, by listener public
    route      all (/gateway.yaml:7:5)
      lane     fast
    addresses  may come in (/gateway.yaml:7:33)
    verdict    allow
    answer     200, 2 bytes
    header     content-type: text/plain; charset=utf-8
    "#);
    insta::assert_snapshot!(of("192.0.2.7"), @r#"
    listener   public: no connection: 192.0.2.7 is denied by `/blocked.txt` (/gateway.yaml:4:47)
    host       x.example
    path       /
    client     192.0.2.7
    scheme     http, by listener public
    route      all (/gateway.yaml:7:5)
      lane     fast
    addresses  192.0.2.7 is not among the allowed addresses (/gateway.yaml:7:33)
    verdict    refuse: 403 address_denied: 192.0.2.7 is not among the allowed addresses (/gateway.yaml:7:33)
    help       See `addresses` of the route. Behind a proxy, `trusted_proxies` decides whose address counts.
    header     cache-control: no-store
    "#);
    let args = ["GET", "http://x.example/", "--client-ip", "192.0.2.7", "--format", "json"];
    let report: Value = serde_json::from_str(&explained_by(ADDRESSES, &args).1).unwrap();
    assert_eq!(report["verdict"]["cause"], "address_denied");
    assert_eq!(report["addresses"]["may_come_in"], false);
    assert_eq!(
        (&report["listeners"][0]["name"], &report["listeners"][0]["may_connect"]),
        (&"public".into(), &false.into())
    );
}

#[test]
fn a_path_is_explained_as_the_route_reads_it() {
    let (_, decoded, _) = explained(&["GET", "http://x.example/files/a%2fb"]);
    for line in ["path       /files/a/b\n", "route      files (", "verdict    allow\n", "  target   /files/a/b\n"] {
        assert!(decoded.contains(line), "{decoded}");
    }
    let (_, refused, _) = explained(&["GET", "http://x.example/files%5ca"]);
    for line in ["path       /files%5Ca\n", "route      none\n", "refuse: 400 path_invalid", "`encoded_separators`"] {
        assert!(refused.contains(line), "{refused}");
    }
}

#[test]
fn a_declared_body_over_the_bound_is_explained_as_it_is_answered() {
    let configuration = CONFIGURATION.replace("    respond: {body: ok}\n", "    respond: {body: ok}\n    body: 1KiB\n");
    let of = |length: &str| {
        explained_by(&configuration, &["POST", "http://x.example/health", "-H", &format!("Content-Length: {length}")]).1
    };
    assert!(of("1024").contains("verdict    allow\n"), "{}", of("1024"));
    assert!(of("1025").contains("verdict    refuse: 413 body_too_large: the request body exceeds 1024 bytes"));
}

#[test]
fn scripts_read_json() {
    let (_, text, _) = explained(&["GET", "http://x.example/health", "--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["route"]["name"], "health");
    assert_eq!(report["verdict"]["decision"], "allow");
    assert_eq!(report["passed_over"][0]["name"], "orders");
    assert!(report["response_headers"].as_array().unwrap().contains(&serde_json::json!(["x-frame-options", "DENY"])));
}

#[test]
fn the_json_is_a_versioned_report_that_programs_read_back() {
    let urls =
        ["https://api.example.com/v1/orders/7", "http://x.example/health", "http://x.example/files/a", "http://x/"];
    for url in urls {
        let args = ["GET", url, "--claims", "FOLDER/claims.json"];
        let text = explained(&args).1;
        let json = explained(&[&args[..], &["--format", "json"]].concat()).1;
        let report: ExplainReport = serde_json::from_str(&json).expect("a report");
        assert_eq!(report.version, report::VERSION);
        // Each run has its own folder, which is part of the places; `explained_by` has removed it from both.
        assert_eq!(report.to_string(), text);
        assert_eq!(serde_json::to_string_pretty(&report).unwrap() + "\n", json);
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let (status, text, words) = explained(&["GET", "nonsense"]);
    assert_eq!((status, text.as_str()), (ExitStatus::Failure, ""));
    assert!(words.contains("http://"));
    assert_eq!(explained(&["GET", "/", "--claims", "FOLDER/none.json"]).0, ExitStatus::Failure);
}

#[test]
fn a_broken_configuration_is_reported_and_not_explained() {
    let args = ParsedExplainArgs::parse_from(["explain", "/nonexistent/gateway.yaml", "GET", "/"]).args;
    assert_eq!(explain(&args, &mut Printer::new(io::sink(), io::sink())), ExitStatus::Configuration);
}
