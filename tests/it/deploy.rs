//! The files in `deploy/`: configurations are valid, files are consistent, and what they name exists.

mod hardening;
mod metrics;
mod promql;
mod rotation;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::CommandFactory;
use portcullis::cli::args::Args;
use portcullis::config::raw::units::Span;
use serde_json::Value;

use crate::support::Setup;
use crate::support::certs::Authority;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[track_caller]
fn yaml(file: &str) -> Value {
    serde_yaml::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[track_caller]
fn seconds(value: &Value) -> Duration {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no length of time"));
    Span::parse(text).expect("a length of time").0
}

/// How long the gateway of a configuration may take to end: until traffic stays away, until its requests are done, and for
/// cutting and dropping what is left, a second each.
fn longest_end(configuration: &Value) -> Duration {
    let process = &configuration["process"];
    seconds(&process["drain"]) + process.get("drain_notice").map(seconds).unwrap_or_default() + Duration::from_secs(2)
}

#[test]
fn every_configuration_that_is_shipped_is_valid() {
    let authority = Authority::new("test");
    for file in
        ["deploy/debian/portcullis.yaml", "deploy/container/portcullis.yaml", "deploy/kubernetes/portcullis.yaml"]
    {
        let setup = Setup::new("").file("admin-token", "0123456789abcdef0123456789abcdef");
        let (cert, key) = authority.issue(&["gateway.test"]).write(setup.dir(), "tls");
        let here = |path: PathBuf| path.display().to_string();
        // Where the machine, the container or the pod has them.
        let text = read(file)
            .replace("/etc/portcullis-tls/tls.crt", &here(cert))
            .replace("/etc/portcullis-tls/tls.key", &here(key))
            .replace("/etc/portcullis-secrets/admin-token", &here(setup.dir().join("admin-token")))
            .replace("/var/log/portcullis", &here(setup.dir().to_owned()));
        let configuration = setup.dir().join("portcullis.yaml");
        fs::write(&configuration, text).expect("a writable temporary folder");
        let output = crate::support::gateway::portcullis(&["check", &here(configuration)]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{file}:\n{words}");
        assert!(!words.contains("warning["), "{file}:\n{words}");
    }
}

#[test]
fn whoever_stops_the_gateway_waits_longer_than_it_may_drain() {
    let unit = read("deploy/systemd/portcullis.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("TimeoutStopSec");
    assert!(Span::parse(stop).expect("a time").0 > longest_end(&yaml("deploy/debian/portcullis.yaml")));

    let compose = yaml("deploy/container/compose.yaml");
    let grace = seconds(&compose["services"]["gateway"]["stop_grace_period"]);
    assert!(grace > longest_end(&yaml("deploy/container/portcullis.yaml")), "{grace:?}");

    let deployment = yaml("deploy/kubernetes/deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().expect("a number"));
    let before = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let before = Duration::from_secs(before.as_u64().expect("a number"));
    assert!(grace > before + longest_end(&yaml("deploy/kubernetes/portcullis.yaml")), "{grace:?}");
}

#[test]
fn the_pod_offers_what_its_probes_and_its_service_ask_for() {
    let configuration = yaml("deploy/kubernetes/portcullis.yaml");
    let container = yaml("deploy/kubernetes/deployment.yaml")["spec"]["template"]["spec"]["containers"][0].clone();
    let port = |name: &str| {
        let ports = container["ports"].as_array().expect("ports").iter();
        let port = ports.clone().find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_u64());
        port.unwrap_or_else(|| panic!("no port {name}"))
    };
    let listens = |address: &Value, port: u64| address.as_str().is_some_and(|a| a.ends_with(&format!(":{port}")));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let name = container[probe]["httpGet"]["port"].as_str().expect("a named port");
        assert!(listens(&configuration["admin"]["address"], port(name)), "{probe}");
    }
    for service in yaml("deploy/kubernetes/service.yaml")["spec"]["ports"].as_array().expect("ports") {
        let name = service["targetPort"].as_str().expect("a named port");
        assert!(listens(&configuration["listeners"][0]["address"], port(name)), "{service}");
    }
}

#[test]
fn what_the_package_and_the_image_take_exists() {
    let manifest = read("Cargo.toml");
    let assets: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"")?.split_once("\", \"").map(|(source, _)| source))
        .filter(|source| !source.starts_with("target/"))
        .collect();
    assert!(assets.len() > 5, "{assets:?}");
    let ignore = read("deploy/container/Dockerfile.dockerignore");
    let copied = ignore.lines().filter_map(|line| line.strip_prefix('!'));
    for path in assets.into_iter().chain(copied) {
        assert!(root().join(path.trim_end_matches("/*")).exists(), "{path}");
    }
}

#[test]
fn the_manual_page_names_every_command() {
    let page = read("deploy/debian/portcullis.8");
    for command in Args::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        assert!(page.lines().any(|line| line.split(' ').take(3).eq([".It", "Cm", name])), "no {name} in portcullis.8");
    }
}

#[test]
fn promtool_agrees_with_the_rules() {
    let folder = root().join("deploy/prometheus");
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]] {
        let Ok(output) = Command::new("promtool").args(arguments).current_dir(&folder).output() else {
            eprintln!("not tested, because promtool is not installed: what the alerts fire on");
            return;
        };
        let words = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&words));
    }
}
