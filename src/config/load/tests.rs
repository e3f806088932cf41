//! What an owner reads when something is wrong; that the examples are right.

mod properties;
mod reach;

use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::config::compile::compile;
use crate::config::raw::MAX_FILE_BYTES;
use crate::config::raw::shape::OneOrMany;
use crate::config::raw::upstream::{Balance, HashKey};

/// Files and variables that exist only in the test.
#[derive(Default)]
struct Fake {
    files: BTreeMap<&'static str, Vec<u8>>,
    variables: BTreeMap<&'static str, &'static str>,
}

impl Fake {
    fn with(files: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let files = files.into_iter().map(|(name, text)| (name, text.as_bytes().to_vec())).collect();
        Fake { files, ..Fake::default() }
    }
}

impl Environment for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|&value| value.to_owned())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let path = path.trim_end_matches('/');
        if self.files.contains_key(path) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let inside = self.files.keys().filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        let names: Vec<String> = inside.map(str::to_owned).collect();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }
}

/// Every diagnostic as a person reads it, without the name of the file.
fn said(text: &str) -> Vec<String> {
    said_by(text, &Fake::default())
}

fn said_by(text: &str, environment: &Fake) -> Vec<String> {
    let diagnostics = match load_text("f", text.as_bytes(), environment) {
        Ok(document) => compile(&document, environment).1,
        Err(diagnostics) => diagnostics,
    };
    diagnostics.iter().map(|d| d.to_string().trim_start_matches("f:").to_owned()).collect()
}

/// A file in which nothing is wrong.
const GOOD: &str = "\
version: 1
listeners:
  - name: public
    address: 127.0.0.1:8080
upstreams:
  app: { endpoints: [127.0.0.1:9001] }
routes:
  - name: all
    access: public
    upstream: app
";

#[test]
fn a_good_file_is_silent() {
    assert_eq!(said(GOOD), [""; 0]);
}

#[test]
fn an_unknown_field_suggests_what_was_meant() {
    assert_eq!(
        said(&GOOD.replace("    address:", "    adress:")),
        ["4:5: error[unknown_field]: listeners[0].adress: unknown field `adress`\n  help: did you mean `address`?"]
    );
    assert_eq!(
        said(&format!("{GOOD}retries: 3\n"))[0].lines().next(),
        Some("11:1: error[unknown_field]: retries: unknown field `retries`")
    );
}

#[test]
fn what_no_route_uses_is_a_warning() {
    let text = GOOD.replace("routes:", "  spare: { endpoints: [127.0.0.1:9003] }\nroutes:");
    assert_eq!(
        said(&text),
        [
            "7:3: warning[unused]: upstreams.spare: no route uses the upstream `spare`\n  help: remove it, or use it in a route"
        ]
    );
}

#[test]
fn a_bad_port_is_shown_where_it_stands() {
    assert_eq!(
        said(&GOOD.replace("1:8080", "1:80800")),
        [
            "4:14: error[invalid_address]: listeners[0].address: `80800` is not a port\n  help: a port is a number from 1 to 65535"
        ]
    );
}

#[test]
fn every_mistake_is_reported_in_one_run() {
    let text = "\
version: 1
listeners:
  - name: public
    address: localhost:8080
  - address: 127.0.0.1:8081
    http2: maybe
bounds:
  header_time: 30
  uri: 8KB
upstreams:
  app:
    endpoints: [127.0.0.1:9001]
    timeout: { connect: 1s }
  other:
    endpoints: 127.0.0.1:9002
routes:
  - name: broken
    access: public
    upstream: app
    limits: [{ rate: 5/s }]
    match: { path: /a }
  - name: open
    upstream: nowhere
    match: { path: /b }
  - name: open
    access: public
    upstream: other
";
    let said = said(text);
    let first_lines: Vec<&str> = said.iter().filter_map(|said| said.lines().next()).collect();
    assert_eq!(
        first_lines,
        [
            "4:14: error[invalid_address]: listeners[0].address: `localhost` is a name, and a listener needs an IP address",
            "5:5: error[missing_field]: listeners[1]: the field `name` is missing",
            "6:12: error[invalid_value]: listeners[1].http2: expected `true` or `false`, found the text `maybe`",
            "8:16: error[invalid_value]: bounds.header_time: `30` has no unit; write for example `30s` or `30ms`",
            "9:8: error[invalid_value]: bounds.uri: `8KB` is not a size; the units are B, KiB, MiB and GiB",
            "13:5: error[unknown_field]: upstreams.app.timeout: unknown field `timeout`",
            "20:14: error[missing_field]: routes[0].limits[0]: the field `name` is missing",
            "22:5: error[access_missing]: routes[1]: the route does not say who may use it",
            "23:15: error[unknown_upstream]: routes[1].upstream: there is no upstream `nowhere`",
            "25:11: error[duplicate_name]: routes[2].name: the name `open` was already given at f:22:11",
        ]
    );
}

#[test]
fn items_after_a_broken_one_keep_their_index() {
    let text = GOOD.replace("  - name: all\n", "  - access: public\n  - name: ''\n");
    assert_eq!(
        said(&text),
        [
            "8:5: error[missing_field]: routes[0]: the field `name` is missing",
            "9:11: error[invalid_name]: routes[1].name: a name has 1 to 100 printable characters",
        ]
    );
}

#[test]
fn enums_are_mappings_with_one_key() {
    let text = format!(
        "{GOOD}identities:
  corp: {{ jwt: {{ issuer: i, audience: [a, b], keys: {{ secret: {{ env: KEY }} }} }} }}
access_log: {{ output: off, format: {{ template: '{{status}}' }} }}
framing: {{ off: because }}
"
    );
    let text = text.replace("9001] }", "9001], balance: { consistent_hash: client_address }, health: { tcp: {} } }");
    let document = load_text("f", text.as_bytes(), &Fake::default()).unwrap();
    assert_eq!(document.diagnostics, []);
    assert_eq!(document.config.upstreams.0[0].1.balance, Balance::ConsistentHash(HashKey::ClientAddress));
    let crate::config::raw::access::Identity::Jwt(jwt) = &document.config.identities.0[0].1 else { panic!("jwt") };
    assert_eq!(jwt.audience, OneOrMany(vec!["a".into(), "b".into()]));

    let wrong = text.replace("{ secret: { env: KEY } }", "{ jwks: f }").replace("client_address", "{ heder: X }");
    let said = said(&wrong);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("upstreams.app.balance.consistent_hash: `heder` is not known here"), "{}", said[0]);
    assert!(said[1].contains("`jwks` is not known here\n  help: did you mean `jwks_file`?"), "{}", said[1]);
}

#[test]
fn entries_keep_the_order_of_the_file() {
    let text = format!(
        "{GOOD}response_headers: {{ set: {{ Z: z, A: a, M: 1, B: b }} }}\nerror_pages: {{ 404: {{ body: x }} }}\n"
    );
    let document = load_text("f", text.as_bytes(), &Fake::default()).unwrap();
    let names: Vec<&str> = document.config.response_headers.set.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Z", "A", "B"]);
    assert_eq!(document.config.error_pages.0[0].0, "404");
    let said: Vec<String> = document.diagnostics.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        said,
        [
            "f:11:43: error[invalid_value]: response_headers.set.M: expected text, found the number `1`\n  help: put it in quotes: `\"1\"`"
        ]
    );
}

#[test]
fn yaml_that_is_none_is_shown_where_it_breaks() {
    let code = |text: &str| said(text)[0].split(']').next().unwrap().to_owned();
    assert_eq!(code("version: 1\nroutes: [a\n"), "3:1: error[yaml_syntax");
    assert_eq!(code("version: 1\n  x: y\n"), "2:4: error[yaml_syntax");
    assert_eq!(code("a: 1\n---\nb: 2\n"), "2:1: error[yaml_syntax");
    assert_eq!(code("[1, 2]"), "1:1: error[invalid_value");
    assert_eq!(code(""), "1:1: error[missing_field");
    assert_eq!(code("a: *unknown\n"), "1:4: error[yaml_syntax");
    assert_eq!(code("a: !header X\n"), "1:12: error[yaml_tag");
    assert_eq!(code("? [a]\n: b\n"), "1:3: error[invalid_key");
    assert_eq!(code(&"[".repeat(100)), "1:65: error[too_deep");
    assert!(code(&"[".repeat(100_000)).ends_with("yaml_syntax"));
    assert!(code(&"- ".repeat(100_000)).ends_with("too_deep"));
    let twice = said(&GOOD.replace("    upstream:", "    name: again\n    upstream:"));
    assert_eq!(twice, ["10:5: error[duplicate_key]: routes[0].name: the key `name` was already given at f:8:5"]);

    // The parsers count a line behind the last one where that has no line feed.
    for text in ["a:\n  b: c\n  d", "a:\r  b: c\r  d", "a:\r\n  b: c\r\n  d"] {
        assert_eq!(code(text), "3:4: error[yaml_syntax", "{text:?}");
    }
    assert_eq!(code("a: !x"), "1:6: error[yaml_tag");

    let broken = load_text("f", b"a: \xc3\xa4\nb: \xc3\xa4\xff", &Fake::default()).unwrap_err();
    assert_eq!(broken[0].to_string(), "f:2:5: error[invalid_utf8]: the file is not UTF-8 text from here on");
    let large = load_text("f", &vec![b' '; MAX_FILE_BYTES + 1], &Fake::default()).unwrap_err();
    assert_eq!(large[0].code, "file_too_large");
}

#[test]
fn aliases_can_not_make_a_small_file_large() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(said(&text)[0].contains("yaml_syntax"));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
    assert!(said(&long)[0].contains("aliases make this file too large"));
}

#[test]
fn variables_are_put_in_and_never_read_as_yaml() {
    let text = GOOD.replace("127.0.0.1:8080", "\"${LISTEN:-127.0.0.1:8080}\"").replace("app\n", "${APP}\n");
    let mut environment = Fake::default();
    assert_eq!(
        said_by(&text, &environment),
        [
            "10:15: error[variable_unset]: routes[0].upstream: the environment variable `APP` is not set\n  help: set it, or give a default: `${APP:-…}`"
        ]
    );
    environment.variables.extend([("APP", "app"), ("LISTEN", "127.0.0.1:1\n- x: {")]);
    assert_eq!(said_by(&text, &environment).len(), 1);
    environment.variables.insert("LISTEN", "[::1]:9");
    assert_eq!(said_by(&text, &environment), [""; 0]);
}

#[test]
fn a_folder_is_one_document() {
    let parts = [
        (
            "conf/a.yaml",
            "version: 1\nlisteners: [{name: a, address: 127.0.0.1:1}]\nupstreams: {x: {endpoints: [a:1]}}\n",
        ),
        (
            "conf/b.yml",
            "version: 1\nlisteners: [{name: b, address: 127.0.0.1:2}]\nupstreams: {y: {endpoints: [b:1]}}\nbounds: {uri: 1KiB}\n",
        ),
        ("conf/ignored.txt", "{"),
        ("conf/.hidden.yaml", "{"),
    ];
    let document = load("conf/", &Fake::with(parts)).unwrap();
    assert_eq!(document.diagnostics, []);
    assert_eq!(document.config.listeners.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(document.config.upstreams.0.len(), 2);
    assert_eq!(document.places.find("listeners[1].address").to_string(), "conf/b.yml:2:32");

    let twice =
        Fake::with(parts.into_iter().chain([("conf/c.yaml", "bounds: {uri: 2KiB, body: 1MiB}\nupstreams: {x: {}}\n")]));
    let said: Vec<String> = load("conf", &twice).unwrap().diagnostics.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        said,
        [
            "conf/c.yaml:1:10: error[set_twice]: bounds.uri: already set at conf/b.yml:4:10\n  help: keep it in one of the two files",
            "conf/c.yaml:2:13: error[set_twice]: upstreams.x: already set at conf/a.yaml:3:13\n  help: keep it in one of the two files",
        ]
    );
    assert_eq!(load("nowhere", &twice).unwrap_err()[0].code, "file_unreadable");
}

#[test]
fn many_mistakes_end_in_a_last_word() {
    let many: String = (0..1000).map(|n| format!("unknown_{n}: 1\n")).collect();
    let said = said(&format!("version: 1\n{many}"));
    assert_eq!(said.len(), 201);
    assert!(said.iter().any(|said| said.contains("too_many_mistakes")));
}

#[test]
fn the_examples_have_the_right_shape() {
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/conf");
    let mut environment = Fake::default();
    let names = ["JWT_KEY_FILE", "API_KEYS_FILE", "JWKS_FILE", "ISSUER", "AUDIENCE", "CERT", "KEY"];
    environment.variables.extend(names.map(|name| (name, name)));
    let examples = std::fs::read_dir(format!("{conf}/examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples = examples.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let files: Vec<_> = examples.chain([format!("{conf}/quickstart.yaml").into()]).collect();
    assert!(files.len() >= 8);
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let document = load_text(&file.to_string_lossy(), &text, &environment).unwrap();
        let said: Vec<String> = document.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(said, [""; 0]);
    }
}
