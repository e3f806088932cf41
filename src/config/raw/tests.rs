//! What is written loads to the same value, and what has no written form is refused.

pub(in crate::config) mod strategy;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::access::{Identity, Jwt, JwtKeys};
use super::shape::{OneOrMany, OrOff, SecretSource};
use super::units::Span;
use super::*;
use crate::config::environment::Environment;
use crate::config::load::load_text;

/// An environment in which every variable is set.
struct Variables;

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        Some(format!("value of ${{{name}}}"))
    }

    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn loaded(text: &str) -> Config {
    let document = load_text("f", text.as_bytes(), &Variables).unwrap_or_else(|why| panic!("{why:#?}\n{text}"));
    assert_eq!(document.diagnostics, [], "{text}");
    document.config
}

fn refusal(config: &Config) -> String {
    to_yaml(config).expect_err("no file says this").to_string()
}

proptest! {
    #[test]
    fn what_is_written_loads_to_the_same_value(config in strategy::configuration()) {
        let text = to_yaml(&config).expect("it was read, so it can be written");
        prop_assert_eq!(loaded(&text), config, "{}", text);
        let written: Value = serde_yaml::from_str(&text).expect("YAML");
        prop_assert!(!has_null(&written), "a field is written that equals its default: {}", text);
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        _ => false,
    }
}

/// What the property above rests on.
#[test]
fn random_configurations_have_every_field_of_the_schema() {
    fn keys<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(entries) => entries.iter().for_each(|(key, value)| {
                found.insert(key);
                keys(value, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }
    fn fields<'v>(schema: &'v Value, found: &mut BTreeSet<&'v str>) {
        match schema {
            Value::Object(entries) => entries.iter().for_each(|(key, value)| {
                if let ("properties", Some(fields)) = (key.as_str(), value.as_object()) {
                    found.extend(fields.keys().map(String::as_str));
                }
                fields(value, found);
            }),
            Value::Array(forms) => forms.iter().for_each(|form| fields(form, found)),
            _ => {}
        }
    }
    let (schema, strategy) = (strategy::schema(), strategy::document());
    let mut missing = BTreeSet::new();
    fields(&schema, &mut missing);
    assert!(missing.len() > 100);
    let mut runner = TestRunner::deterministic();
    for _ in 0..20_000 {
        let document = strategy.new_tree(&mut runner).expect("a value").current();
        let mut made = BTreeSet::new();
        keys(&document, &mut made);
        missing.retain(|field| !made.contains(field));
        if missing.is_empty() {
            return;
        }
    }
    panic!("{missing:?}");
}

#[test]
fn the_examples_are_written_and_read_again() {
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/conf");
    let examples = std::fs::read_dir(format!("{conf}/examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples = examples.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let files: Vec<_> = examples.chain([format!("{conf}/quickstart.yaml").into()]).collect();
    assert!(files.len() >= 8);
    for file in files {
        let config = loaded(&std::fs::read_to_string(&file).unwrap());
        assert_eq!(loaded(&to_yaml(&config).unwrap()), config, "{}", file.display());
    }
}

#[test]
fn what_equals_its_default_is_left_out() {
    assert_eq!(to_yaml(&Config::default()).unwrap(), "version: 1\n");
}

#[test]
fn values_are_written_in_their_short_form_with_units() {
    let text = "\
version: 1
listeners:
- name: public
  address: 127.0.0.1:8080
bounds:
  uri: 64KiB
  body_rate:
    off: uploads over satellite
  keepalive: 90s
upstreams:
  app:
    endpoints:
    - 127.0.0.1:9001
    - address: 127.0.0.1:9002
      weight: 2
    balance:
      consistent_hash: client_address
    retries: off
limits:
- name: all
  key:
    header: X-Tenant
  rate: 50/s
routes:
- name: all
  match:
    host: a.example
    path: /v1/{id}
  access: public
  upstream:
    split:
    - upstream: app
    - upstream: next
      share: 0.5%
";
    assert_eq!(to_yaml(&loaded(text)).unwrap(), text);
}

#[test]
fn a_literal_dollar_brace_is_no_variable() {
    let text = "version: 1\nresponse_headers:\n  set:\n    A: $${B} $$${C}\n";
    let config = loaded(text);
    assert_eq!(config.response_headers.set.0[0].1, "${B} $${C}");
    assert_eq!(to_yaml(&config).unwrap(), text);
}

#[test]
fn a_secret_is_written_as_the_place_where_it_is_kept() {
    let keys = JwtKeys::Secret(SecretSource::Env("JWT_SECRET".into()));
    let jwt = Jwt {
        issuer: "i".into(),
        audience: OneOrMany(vec!["a".into()]),
        client_id: OneOrMany::default(),
        keys,
        algorithms: None,
        leeway: None,
        header: None,
        principal_claim: None,
        scope_claim: None,
        roles_claim: None,
    };
    let identities = Entries(vec![("corp".into(), Identity::Jwt(jwt))]);
    let text = to_yaml(&Config { identities, ..Config::default() }).unwrap();
    assert!(text.ends_with("      secret:\n          env: JWT_SECRET\n"), "{text}");
    assert!(!text.contains(&Variables.variable("JWT_SECRET").unwrap()));
}

#[test]
fn what_no_file_can_say_is_refused_with_its_path() {
    let with_drain = |drain| {
        let process = listener::Process { drain: Some(Span(drain)), ..Default::default() };
        Config { process, ..Config::default() }
    };
    assert!(to_yaml(&with_drain(Duration::from_millis(1))).is_ok());
    assert_eq!(
        refusal(&with_drain(Duration::from_nanos(1))),
        "process.drain: Span(1ns) can't be written as a duration"
    );

    let twice = |key: &str| (key.to_owned(), String::new());
    let mut config = Config::default();
    config.response_headers.set = Entries(vec![twice("A"), twice("B"), twice("A")]);
    assert_eq!(refusal(&config), "response_headers.set: the key `A` stands twice in one mapping");

    let mut config = Config::default();
    config.bounds.body_rate = Some(OrOff::Off(Some(" ".into())));
    assert_eq!(refusal(&config), "bounds.body_rate: a protection is switched off with an empty reason");

    assert!(refusal(&Config { version: Version(2), ..Config::default() }).starts_with("version: "));
    let trusted_proxies = vec![String::new(); 2 << 20];
    assert!(refusal(&Config { trusted_proxies, ..Config::default() }).contains("at most 4194304 are read"));
}
