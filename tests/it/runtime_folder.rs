//! The runtime folder: whose it is, who starts with it, and what becomes of it while the gateway serves.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::unistd::{Uid, User};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::support::gateway::portcullis;
use crate::support::{Gateway, OwnChild, Setup, wait};

const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: one } }]\n";

/// The user that owns nothing; `None`, with the reason on standard error, where the tests can't become it.
fn nobody(claim: &str) -> Option<User> {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: {claim}");
        return None;
    }
    Some(User::from_name("nobody").expect("a list of users").expect("the user nobody"))
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn private_folder(path: &Path) {
    fs::create_dir(path).expect("a folder");
    fs::set_permissions(path, Permissions::from_mode(0o700)).expect("a folder of ours");
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").uid()
}

#[test]
fn a_start_that_is_refused_has_changed_nothing() {
    if nobody("a refused start gives no folder away").is_none() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("a bound socket");
    for broken in [
        format!("listeners: [{{ name: main, address: \"{taken}\" }}]\n"),
        "access_log: { file: \"<dir>/log\" }\n".to_owned(),
    ] {
        let setup = Setup::new(&format!("process: {{ user: nobody }}\n{broken}{FIXED}"));
        let runtime = setup.dir().join("run");
        let output = setup.output("run", &[]);
        assert_eq!(output.status.code(), Some(69), "{}", words(&output));
        assert!(!runtime.exists(), "what was made is removed: {broken}");
        private_folder(&runtime);
        let output = setup.output("run", &[]);
        assert_eq!(output.status.code(), Some(69), "{}", words(&output));
        assert_eq!((owner(&runtime), fs::read_dir(&runtime).expect("a folder").count()), (0, 0), "{broken}");
        assert!(!setup.dir().join("log").exists());
    }
}

#[test]
fn a_folder_with_other_files_is_given_to_nobody() {
    let Some(nobody) = nobody("a folder with other files stays root's") else { return };
    let setup = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}"));
    let runtime = setup.dir().join("run");
    private_folder(&runtime);
    fs::write(runtime.join("secret"), "").expect("a file");
    let output = setup.output("run", &[]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("holds other files"), "{}", words(&output));
    assert_eq!(owner(&runtime), 0);
    // One that is that user's already, it uses as it is.
    chown(&runtime, Some(nobody.uid.as_raw()), None).expect("a folder of ours");
    let gateway = setup.start();
    assert_eq!(gateway.order(&["status"]).status.code(), Some(0));
    assert!(runtime.join("secret").exists());
}

#[test]
fn the_folder_of_another_user_before_is_taken_over_once_no_gateway_is_in_it() {
    if nobody("a restart as another user finds its folder").is_none() {
        return;
    }
    let mut gateway = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}")).start();
    gateway.rewrite(&format!("process: {{ user: \"4711:4711\" }}\n{FIXED}"));
    gateway.kill_and_restart();
    assert_eq!(gateway.order(&["status"]).status.code(), Some(0));
    assert_eq!((owner(&gateway.runtime()), gateway.pids()), (4711, vec![gateway.pid()]));
}

#[test]
fn of_two_gateways_that_start_together_on_one_folder_one_wins() {
    let above = tempfile::tempdir().expect("a temporary folder");
    for round in 0..5 {
        let runtime = above.path().join(format!("run{round}"));
        let setups =
            [Setup::new(FIXED), Setup::new(FIXED)].map(|setup| setup.variable("PORTCULLIS_RUNTIME", runtime.display()));
        let mut children = [0, 1].map(|number| {
            let mut command = setups[number].command();
            let command = command.arg("run").arg(setups[number].write()).stdout(Stdio::null()).stderr(Stdio::null());
            OwnChild(command.spawn().expect("the binary starts"))
        });
        let (loser, status) = wait::until("one of them to end", || {
            children
                .iter_mut()
                .enumerate()
                .find_map(|(number, child)| child.0.try_wait().expect("a child of ours").map(|status| (number, status)))
        });
        assert_eq!(status.code(), Some(69));
        let winner = children[1 - loser].0.id();
        let runtime = runtime.to_str().expect("a path in UTF-8");
        let serving = wait::until("the other one to serve", || {
            let output = portcullis(&["status", "--json", "--runtime", runtime]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            status["pid"].as_u64()
        });
        assert_eq!(serving, u64::from(winner));
    }
}

#[test]
fn a_folder_that_another_process_has_locked_is_left_alone() {
    let setup = Setup::new(FIXED);
    let runtime = setup.dir().join("run");
    private_folder(&runtime);
    let held = File::open(&runtime).expect("a folder");
    flock(&held, FlockOperation::NonBlockingLockExclusive).expect("a lock");
    let output = setup.output("run", &[]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("another gateway starts with the runtime folder"), "{}", words(&output));
    drop(held);
    setup.start().get("/").expect_status(200);
}

#[test]
fn what_is_deleted_of_the_folder_is_made_again() {
    let gateway = Gateway::start(FIXED);
    let runtime = gateway.runtime();
    let answers = || gateway.order(&["status"]).status.code() == Some(0);
    let delete: [&dyn Fn(); 3] = [
        &|| fs::remove_dir_all(&runtime).expect("a folder of ours"),
        &|| fs::remove_file(runtime.join("control.sock")).expect("a link"),
        &|| fs::remove_file(runtime.join(format!("upgrade.{}.sock", gateway.pid()))).expect("a socket"),
    ];
    for (number, delete) in delete.iter().enumerate() {
        delete();
        wait::until_true("the folder to be made again", || {
            answers() && UnixStream::connect(runtime.join("upgrade.sock")).is_ok()
        });
        assert_eq!(fs::metadata(&runtime).expect("a folder").mode() & 0o777, 0o700);
        // Messages are written by a thread of their own.
        wait::until_true("the message", || gateway.stderr().matches("is made again").count() > number);
    }
    gateway.upgrade();
    // The next one looks after it too.
    fs::remove_dir_all(&runtime).expect("a folder of ours");
    wait::until_true("the folder to be made again", answers);
    assert!(gateway.serving_pid().is_some_and(|pid| pid != gateway.pid()));
}

#[test]
fn a_folder_that_the_gateway_may_not_make_again_is_asked_for() {
    let Some(nobody) = nobody("a gateway that may not make a folder says so") else { return };
    let admin = "admin: { address: \"<admin>\", token: { file: \"<dir>/token\" } }";
    let setup = Setup::new(&format!("{admin}\nprocess: {{ user: nobody }}\n{FIXED}"));
    fs::set_permissions(setup.dir(), Permissions::from_mode(0o755)).expect("a folder of ours");
    let gateway = setup.file("token", "operator-operator-operator").start();
    // Strangers are told no more than whether it is ready.
    let note = || {
        let mut client = crate::support::client::Client::connect(gateway.admin());
        client
            .request("GET", "/readyz", &[("Authorization", "Bearer operator-operator-operator")], b"")
            .expect_status(200)
            .text()
    };
    let runtime = gateway.runtime();
    fs::remove_dir_all(&runtime).expect("a folder of ours");
    let advice = format!("make it again for user {}, with the mode 700", nobody.uid);
    wait::until_true("it to be said", || gateway.stderr().contains(&advice));
    assert!(note().contains("runtime_folder"), "{}", note());
    assert_eq!(gateway.stderr().matches(&advice).count(), 1);

    private_folder(&runtime);
    chown(&runtime, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("a folder of ours");
    wait::until_true("orders to be taken again", || gateway.order(&["reload"]).status.code() == Some(0));
    wait::until_true("the note to be gone", || !note().contains("runtime_folder"));
    gateway.upgrade();
}

#[test]
fn whoever_asks_the_upgrade_socket_for_nothing_holds_up_no_order() {
    let gateway = Gateway::start(FIXED);
    let connect = || UnixStream::connect(gateway.runtime().join("upgrade.sock")).expect("a socket");
    let mut silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    for stream in &mut silent[..10] {
        // It may have been closed already: there are too many.
        let _ = stream.write_all(b"\0\0");
    }
    for order in [&["reload"][..], &["rollback"], &["upgrade"]] {
        let output = gateway.order(order);
        assert_eq!(output.status.code(), Some(0), "{order:?}: {}", words(&output));
    }
    drop(silent);

    // One that asks to take over and never gets ready.
    let mut pending = connect();
    let request = br#"{"protocol":1,"pid":1,"version":"1","patience":3600000}"#;
    let length = u32::try_from(request.len()).expect("a short message").to_be_bytes();
    pending.write_all(&[&length[..], request].concat()).expect("a socket that is read");
    pending.read_exact(&mut [0]).expect("an offer");
    for order in [&["reload"][..], &["rollback"]] {
        let output = gateway.order(order);
        assert_eq!(output.status.code(), Some(0), "{order:?}: {}", words(&output));
    }
    drop(pending);
    wait::until_true("another upgrade", || gateway.order(&["upgrade"]).status.success());
}
