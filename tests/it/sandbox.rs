//! The sandbox: after its start, the process opens only what it was given.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use landlock::{AccessFs, Ruleset, RulesetAttr};
use portcullis::admin::api::{GatewayStatus, SandboxStatus, Versioned};
use tempfile::TempDir;

use crate::support::gateway::output_in_time;
use crate::support::{Gateway, OwnChild, Setup, client, wait};

const FIXED: &str = "routes: [{ name: all, match: { path: / }, access: public, respond: { body: ok } }]\n";

/// [`FIXED`] with a page of its own for errors.
fn with_page(page: &Path) -> String {
    format!("{FIXED}error_pages: {{ default: {{ file: \"{}\" }} }}\n", page.display())
}

/// A folder that no configuration names at the start, with a page in it.
fn elsewhere() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("page.html"), "sorry").expect("a file of ours");
    folder
}

fn sandbox(gateway: &Gateway) -> SandboxStatus {
    let output = gateway.order(&["status", "--json"]);
    let status: Versioned<GatewayStatus> = serde_json::from_slice(&output.stdout).expect("a status");
    status.answer.sandbox.expect("a gateway that says what its sandbox is")
}

/// Whether files are kept from being opened here. If not, says on standard error that `claim` is not tested.
fn keeps_files(gateway: &Gateway, claim: &str) -> bool {
    let landlock = sandbox(gateway).landlock;
    let on = landlock.starts_with("on ");
    if !on {
        eprintln!("not tested, because of the kernel ({landlock}): {claim}");
    }
    on
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn a_reload_that_names_a_file_elsewhere_is_refused_and_an_upgrade_takes_it() {
    let (gateway, elsewhere) = (Gateway::start(FIXED), elsewhere());
    if !keeps_files(&gateway, "a file that was not given is not opened") {
        return;
    }
    gateway.rewrite(&with_page(&elsewhere.path().join("page.html")));
    let refused = gateway.order(&["reload"]);
    assert!(!refused.status.success(), "{}", words(&refused));
    assert!(words(&refused).contains("the sandbox keeps this process from opening it"), "{}", words(&refused));
    assert!(words(&refused).contains("`process.sandbox.readable`"), "{}", words(&refused));
    gateway.says("`portcullis upgrade` starts one that is given");
    gateway.get("/").expect_status(200);

    let upgraded = gateway.order(&["upgrade"]);
    assert!(upgraded.status.success(), "{}", words(&upgraded));
    gateway.get("/").expect_status(200);
    let reloaded = gateway.order(&["reload"]);
    assert!(reloaded.status.success(), "{}", words(&reloaded));
    let given = sandbox(&gateway).readable;
    let folder = fs::canonicalize(elsewhere.path()).expect("a folder");
    assert!(given.contains(&folder.display().to_string()), "{given:?}");
}

#[test]
fn what_is_named_as_readable_is_read_by_a_later_reload() {
    let elsewhere = elsewhere();
    for sandbox in ["{ readable: [\"<elsewhere>\"] }", "\"off\""] {
        let yaml = format!("process: {{ sandbox: {sandbox} }}\n");
        let gateway = Setup::new(&format!("{yaml}{FIXED}")).with("elsewhere", elsewhere.path().display()).start();
        gateway.rewrite(&format!("{yaml}{}", with_page(&elsewhere.path().join("page.html"))));
        let reloaded = gateway.order(&["reload"]);
        assert!(reloaded.status.success(), "{sandbox}: {}", words(&reloaded));
    }
}

#[test]
fn a_log_elsewhere_is_opened_by_no_reload() {
    let log = |folder: &Path| format!("access_log: {{ file: \"{}/access.log\" }}\n{FIXED}", folder.display());
    let (gateway, elsewhere) = (Setup::new(&log(Path::new("<dir>"))).start(), elsewhere());
    if !keeps_files(&gateway, "a log in a folder that was not given is not opened") {
        return;
    }
    gateway.rewrite(&log(elsewhere.path()));
    let refused = gateway.order(&["reload"]);
    assert!(!refused.status.success(), "{}", words(&refused));
    assert!(words(&refused).contains("the folder of another log"), "{}", words(&refused));
    assert!(!elsewhere.path().join("access.log").exists());
    // The log that is open goes on, and is made anew after a rotation.
    let open = gateway.dir().join("access.log");
    fs::rename(&open, gateway.dir().join("access.log.1")).expect("a rename");
    gateway.signal("USR1");
    wait::until_true("the new file", || open.exists());
    let upgraded = gateway.order(&["upgrade"]);
    assert!(upgraded.status.success(), "{}", words(&upgraded));
    assert!(elsewhere.path().join("access.log").exists());
}

#[test]
fn files_that_links_lead_to_are_replaced_as_certbot_and_deployments_do_it() {
    let setup = Setup::new(&with_page(Path::new("<dir>/live/page.html")));
    let archive = tempfile::tempdir().expect("a temporary folder");
    let live = setup.dir().join("live");
    fs::create_dir(&live).expect("a folder");
    let release = |number: u32| {
        let file = archive.path().join(format!("page{number}.html"));
        fs::write(&file, number.to_string()).expect("a file");
        let _ = fs::remove_file(live.join("page.html"));
        std::os::unix::fs::symlink(file, live.join("page.html")).expect("a link");
    };
    release(1);
    let gateway = setup.start();
    release(2);
    let reloaded = gateway.order(&["reload"]);
    assert!(reloaded.status.success(), "{}", words(&reloaded));
    assert_eq!(gateway.get("/nothing").text(), "2");
}

#[test]
fn every_thread_is_in_the_sandbox() {
    for (yaml, mode) in [("", "2"), ("process: { sandbox: \"off\" }\n", "0")] {
        let gateway = Gateway::start(&format!("{yaml}{FIXED}"));
        gateway.get("/").expect_status(200);
        let tasks: Vec<_> = fs::read_dir(format!("/proc/{}/task", gateway.pid())).expect("a process").collect();
        assert!(tasks.len() > 2, "{tasks:?}");
        if mode == "2" && sandbox(&gateway).seccomp != "on" {
            eprintln!("not tested, because of the kernel: every thread has its filter of system calls");
            continue;
        }
        for task in tasks {
            let status = fs::read_to_string(task.expect("a thread").path().join("status")).expect("a thread");
            let filtered = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).expect("a mode");
            assert_eq!(filtered.trim(), mode, "{status}");
        }
    }
}

#[test]
fn status_and_log_say_what_is_in_force() {
    let gateway = Gateway::start(FIXED);
    let status = sandbox(&gateway);
    assert_eq!(status.mode, "best_effort");
    let said = format!("sandbox: Landlock: {}; seccomp: {}", status.landlock, status.seccomp);
    gateway.says(&said);
    let here = fs::canonicalize(gateway.dir()).expect("a folder").display().to_string();
    assert!(status.readable.contains(&here) && status.writable.contains(&here), "{status:?}");
    let off = Gateway::start(&format!("process: {{ sandbox: \"off\" }}\n{FIXED}"));
    assert_eq!(sandbox(&off), SandboxStatus::off());
    assert!(off.stderr().contains("the sandbox is off"), "{}", off.stderr());
}

/// As many as the kernel lets one process have (landlock(7)): no further one can be added.
const LAYERS: usize = 16;

#[test]
fn a_sandbox_that_is_required_and_can_not_be_had_ends_the_start_with_nothing_changed() {
    let layered = |mode: &str| {
        let setup = Setup::new(&format!("process: {{ sandbox: {mode} }}\n{FIXED}"));
        let mut command = setup.command();
        command.arg("run").arg(setup.write()).stdout(Stdio::null()).stderr(Stdio::piped());
        thread::spawn(move || {
            for _ in 0..LAYERS {
                let layer = Ruleset::default().handle_access(AccessFs::MakeBlock).and_then(|rules| rules.create());
                layer.and_then(|rules| rules.restrict_self()).expect("a layer, or a kernel without Landlock");
            }
            let child = command.spawn().expect("the binary starts");
            (setup, child)
        })
        .join()
        .expect("a thread of ours")
    };
    let (setup, child) = layered("required");
    let output = output_in_time(child);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("process.sandbox is `required`, and can't be had"), "{}", words(&output));
    assert!(!setup.dir().join("run").exists());

    let (setup, child) = layered("best_effort");
    let mut child = OwnChild(child);
    wait::until_true("the gateway to serve", || {
        // The port is bound before the sandbox is entered, and accepts after it.
        let served = std::net::TcpStream::connect(setup.admin()).is_ok();
        served && client::get_by_address(setup.admin(), "/readyz").status == 200
    });
    child.0.kill().expect("a child of ours");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().expect("a pipe"), &mut said).expect("its messages");
    assert!(said.contains("the sandbox is not whole"), "{said}");
}

#[test]
fn check_names_what_makes_no_sense() {
    let said = |sandbox: &str| {
        let output = Setup::new(&format!("process: {{ sandbox: {sandbox} }}\n{FIXED}")).output("check", &[]);
        (output.status.code(), words(&output))
    };
    assert_eq!(said("required").0, Some(0));
    let (code, text) = said("{ readable: [/, /does/not/exist] }");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning[sandbox_open]") && text.contains("warning[sandbox_path_missing]"), "{text}");
    let (code, text) = said("{ mode: \"off\", readable: [/etc/letsencrypt] }");
    assert!(code == Some(78) && text.contains("error[sandbox_off]"), "{text}");
    assert!(said("on").1.contains("expected `best_effort`"));
}
