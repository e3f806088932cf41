//! The control socket: commands from the command line, for the owner only.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::unistd::Uid;
use portcullis::admin::api::{self, AdminError, ConfigOrigin, ErrorCode, GatewayStatus, ReloadResult, Versioned};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::gateway::{output_in_time, portcullis};
use crate::support::{Gateway, Setup, wait};

const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: one } }]\n";

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn data(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let text = fs::read_to_string(gateway.file()).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(gateway.file(), text.replace(from, to)).unwrap();
}

#[test]
fn a_reload_by_command_ends_with_what_became_of_it() {
    let gateway = Gateway::start(FIXED);
    rewrite(&gateway, "body: one", "body: two");
    let output = gateway.order(&["reload"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(words(&output).contains("generation 2 serves"), "{}", words(&output));
    assert_eq!(gateway.get("/").text(), "two");

    rewrite(&gateway, "access: public", "acces: public");
    let output = gateway.order(&["reload"]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("`acces`") && words(&output).contains("not reloaded"), "{}", words(&output));
    let output = gateway.order(&["reload", "--json"]);
    assert_eq!(output.status.code(), Some(78));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["diagnostics"].as_array().is_some_and(|all| !all.is_empty()), "{answer}");
    assert_eq!(gateway.get("/").text(), "two");
}

#[test]
fn the_status_is_for_people_and_for_programs() {
    let gateway = Gateway::start(FIXED);
    let output = gateway.order(&["status"]);
    assert!(data(&output).contains(&format!("pid: {}\n", gateway.pid())), "{}", data(&output));
    let output = gateway.order(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["pid"], gateway.pid());
    assert_eq!(status["configuration"]["generation"], 1);
    assert_eq!(status["start"]["arguments"][0], "run");
}

#[test]
fn programs_read_answers_and_errors_by_their_types() {
    fn read<T: DeserializeOwned>(output: &Output) -> T {
        let answer: Versioned<T> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer.api, api::VERSION);
        answer.answer
    }
    let gateway = Gateway::start(FIXED);
    rewrite(&gateway, "body: one", "body: two");
    let reload: ReloadResult = read(&gateway.order(&["reload", "--json"]));
    assert_eq!((reload.generation, reload.changes.len(), reload.rollout), (2, 1, None));
    assert_eq!(gateway.order(&["reload", "--canary", "100%", "--for", "1h"]).status.code(), Some(0));
    let error: AdminError = read(&gateway.order(&["reload", "--json"]));
    assert_eq!(error.code, ErrorCode::RolloutRunning);
    assert_eq!(gateway.order(&["rollout", "keep"]).status.code(), Some(0));
    assert_eq!(gateway.order(&["rollback"]).status.code(), Some(0));

    let status: GatewayStatus = read(&gateway.order(&["status", "--json"]));
    let history = status.configuration.history.iter().map(|entry| (entry.generation, entry.origin, entry.from));
    assert_eq!(
        history.collect::<Vec<_>>(),
        [
            (1, Some(ConfigOrigin::Start), None),
            (2, Some(ConfigOrigin::Reload), None),
            (4, Some(ConfigOrigin::Canary), Some(3)),
            (5, Some(ConfigOrigin::Rollback), Some(2)),
        ]
    );
    rewrite(&gateway, "access: public", "acces: public");
    let error: AdminError = read(&gateway.order(&["reload", "--json"]));
    assert_eq!((error.code, error.generation), (ErrorCode::ConfigurationInvalid, Some(5)));
}

#[test]
fn where_no_gateway_answers_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = folder.path().to_str().unwrap();
    for command in [&["reload"][..], &["status"], &["upgrade"], &["endpoints"], &["endpoints", "a", "b:1", "drain"]] {
        let output = portcullis(&[command, &["--runtime", runtime]].concat());
        assert_eq!(output.status.code(), Some(69), "{command:?}: {}", words(&output));
        let said = format!("no gateway answers at `{runtime}/control.sock`");
        assert!(words(&output).contains(&said), "{command:?}: {}", words(&output));
    }
}

#[test]
fn the_runtime_folder_and_its_sockets_are_for_the_owner_alone() {
    let gateway = Gateway::start(FIXED);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&gateway.runtime()), 0o700);
    for socket in ["control.sock", "upgrade.sock"] {
        assert_eq!(mode(&gateway.runtime().join(socket)), 0o600);
    }
}

#[test]
fn a_folder_that_others_may_enter_or_that_is_too_deep_is_refused() {
    let setup = Setup::new(FIXED);
    let open = setup.dir().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let output = setup.output("run", &["--runtime", open.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
    assert!(words(&output).contains("open to others (mode 755): `chmod 700"), "{}", words(&output));

    let deep = setup.dir().join("d".repeat(100));
    let output = setup.output("run", &["--runtime", deep.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
    assert!(words(&output).contains("at most"), "{}", words(&output));
    assert!(!deep.exists());

    let file = setup.dir().join("file");
    fs::write(&file, "").unwrap();
    let output = setup.output("run", &["--runtime", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
}

#[test]
fn a_second_gateway_in_a_folder_that_was_named_does_not_start() {
    let first = Gateway::start(FIXED);
    let runtime = first.runtime();
    let output = Setup::new(FIXED).output("run", &["--runtime", runtime.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
    assert!(words(&output).contains("portcullis upgrade"), "{}", words(&output));
    assert_eq!(first.order(&["status"]).status.code(), Some(0));
}

#[test]
fn a_second_gateway_in_a_folder_that_nobody_named_serves_without_orders() {
    let first = Gateway::start(FIXED);
    let second = Setup::new(FIXED)
        .without_variable("PORTCULLIS_RUNTIME")
        .variable("RUNTIME_DIRECTORY", format!("{}:/elsewhere", first.runtime().display()))
        .start();
    assert_eq!(second.get("/").text(), "one");
    assert!(second.stderr().contains("there is no control socket"), "{}", second.stderr());
    let status: Value = serde_json::from_slice(&first.order(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["pid"], first.pid());
}

#[test]
fn what_a_killed_gateway_left_is_in_nobodys_way() {
    let mut gateway = Gateway::start(FIXED);
    let killed = gateway.pid();
    gateway.kill_and_restart();
    assert_eq!(gateway.order(&["status"]).status.code(), Some(0));
    assert_eq!(gateway.serving_pid(), Some(gateway.pid()));
    assert!(!gateway.pids().contains(&killed), "its sockets are removed");
}

#[test]
fn a_gateway_that_ends_leaves_nothing_in_the_folder() {
    let mut gateway = Gateway::start(FIXED);
    assert_eq!(gateway.terminate().code(), Some(0));
    let left: Vec<_> = fs::read_dir(gateway.runtime()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn other_users_are_refused_even_where_the_folder_lets_them_in() {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: other users are refused");
        return;
    }
    let gateway = Gateway::start(FIXED);
    fs::set_permissions(gateway.dir(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(gateway.runtime(), Permissions::from_mode(0o755)).unwrap();
    for name in ["control", "upgrade"] {
        let socket = gateway.runtime().join(format!("{name}.sock"));
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
        let ask = |setpriv: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(setpriv).args(["curl", "--silent", "--max-time", "10", "--unix-socket"]);
            command.arg(&socket).arg("http://gateway/status");
            output_in_time(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("setpriv and curl"))
        };
        let output = ask(&["--reuid=65534", "--regid=65534", "--clear-groups"]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{name}: {}", data(&output));
        if name == "control" {
            assert!(ask(&["--reuid=0"]).status.success(), "root is answered");
        }
    }
    wait::until_true("both refusals in the log", || {
        let said = gateway.stderr();
        said.contains("control socket: refused a process of user 65534") && said.contains("is of user 65534")
    });
    assert_eq!(gateway.get("/").text(), "one");
}
