//! Root's upgrade: it never does what another user's process says.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use nix::unistd::{Uid, User};
use portcullis::admin::api::{ConfigurationStatus, GatewayStatus, StartInfo, Versioned};

use super::{FIXED, words};
use crate::support::gateway::portcullis;
use crate::support::ports::free_address;
use crate::support::{Gateway, Setup, wait};

/// The user that owns nothing; `None`, with the reason on standard error, where the tests can't become it.
fn nobody(claim: &str) -> Option<User> {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: {claim}");
        return None;
    }
    Some(User::from_name("nobody").expect("a list of users").expect("the user nobody"))
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").uid()
}

fn effective_user(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
    ids.split_whitespace().nth(1).expect("an effective user").to_owned()
}

/// Answers every order at a control socket with a status of its choosing, as a gateway in somebody's hands can.
struct Liar {
    folder: tempfile::TempDir,
    runtime: PathBuf,
}

impl Liar {
    fn saying(arguments: &[&str], folder: &Path) -> Liar {
        Liar::calling_itself(std::process::id(), arguments, folder)
    }

    fn calling_itself(pid: u32, arguments: &[&str], folder: &Path) -> Liar {
        let status = GatewayStatus {
            version: "1".to_owned(),
            pid,
            ready: true,
            not_ready: vec![],
            notes: Default::default(),
            in_flight: 0,
            configuration: ConfigurationStatus { path: "x".to_owned(), generation: 1, history: vec![], rollout: None },
            drain: None,
            start: StartInfo {
                arguments: Some(arguments.iter().map(|&argument| argument.to_owned()).collect()),
                folder: Some(folder.to_str().expect("a path in UTF-8").to_owned()),
                user: 0,
                supervised: false,
            },
            sandbox: None,
        };
        let body = serde_json::to_string(&Versioned::new(status)).expect("JSON");
        let above = tempfile::tempdir().expect("a temporary folder");
        let runtime = above.path().join("run");
        fs::create_dir(&runtime).expect("a folder");
        fs::set_permissions(&runtime, Permissions::from_mode(0o700)).expect("a folder of ours");
        let socket = UnixListener::bind(runtime.join("control.sock")).expect("a socket");
        thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let length = body.len();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            }
        });
        Liar { folder: above, runtime }
    }

    fn upgrade(&self, arguments: &[&str]) -> Output {
        let runtime = self.runtime.to_str().expect("a path in UTF-8");
        portcullis(&[&["upgrade", "--runtime", runtime], arguments].concat())
    }
}

#[test]
fn what_another_user_could_have_written_is_not_started() {
    let Some(nobody) = nobody("root starts nothing that another user wrote") else { return };
    let work = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(work.path(), Permissions::from_mode(0o755)).expect("a folder of ours");
    let marker = work.path().join("marker");
    let yaml = format!(
        "version: 1\nlisteners: [{{ name: main, address: \"{}\" }}]\naccess_log: {{ file: \"{}\" }}\n{FIXED}",
        free_address(),
        marker.display()
    );
    let place = |folder: &str, owner: Option<u32>, file_owner: Option<u32>| {
        let folder = work.path().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("evil.yaml");
        fs::write(&file, &yaml).expect("a file");
        chown(&file, file_owner, None).expect("a file of ours");
        chown(&folder, owner, None).expect("a folder of ours");
        (folder, file.to_str().expect("a path in UTF-8").to_owned())
    };
    let uid = Some(nobody.uid.as_raw());
    let (clean, good) = place("clean", None, None);
    let (_, by_file) = place("file", None, uid);
    let (theirs, by_folder) = place("folder", uid, None);
    let link = theirs.join("link.yaml");
    std::os::unix::fs::symlink(&good, &link).expect("a link");
    let link = link.to_str().expect("a path in UTF-8");
    for (arguments, folder, why) in [
        (&["run", &by_file][..], clean.as_path(), "belongs to user"),
        (&["run", &by_folder], &clean, "belongs to user"),
        (&["run", link], &clean, "belongs to user"),
        (&["run", "evil.yaml"], &theirs, "belongs to user"),
        (&["run", "--watch", "--", &by_file], &clean, "belongs to user"),
        (&["keys", "new"], &clean, "no `portcullis run`"),
        (&["demo"], &clean, "no `portcullis run`"),
        (&["run", "--take-over=/", &good], &clean, "no `portcullis run`"),
    ] {
        let output = Liar::saying(arguments, folder).upgrade(&[]);
        assert_eq!(output.status.code(), Some(69), "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains(why), "{arguments:?}: {}", words(&output));
        assert!(!marker.exists(), "{arguments:?}");
    }
    // What is root's alone, and what is named, is tried; there is no process to take over from.
    let liar = Liar::saying(&["run", &good], &clean);
    let output = liar.upgrade(&[]);
    assert!(words(&output).contains("cannot take over"), "{}", words(&output));
    assert_eq!(owner(liar.folder.path()), 0);
    let output = Liar::saying(&["run", &good], &clean).upgrade(&[&by_file]);
    assert!(words(&output).contains("cannot take over"), "{}", words(&output));
    let said = format!("says that it was started with `{good}`");
    assert!(words(&output).contains(&said), "{}", words(&output));
}

#[test]
fn a_process_that_calls_itself_another_one_is_not_followed() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let output = Liar::calling_itself(1 << 22, &["run", "/etc/x"], work.path()).upgrade(&[]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    let said = format!("says that it is process {}, and is process {}", 1 << 22, std::process::id());
    assert!(words(&output).contains(&said), "{}", words(&output));
}

#[test]
fn a_configuration_of_the_gateways_user_must_be_named() {
    let Some(nobody) = nobody("root reads what is named") else { return };
    let setup = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}"));
    chown(setup.write(), Some(nobody.uid.as_raw()), None).expect("a file of ours");
    let gateway = setup.start();
    chown(gateway.file(), Some(nobody.uid.as_raw()), None).expect("a file of ours");
    let output = gateway.order(&["upgrade"]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("`portcullis upgrade FILE`"), "{}", words(&output));
    assert_eq!(gateway.serving_pid(), Some(gateway.pid()));
    let output = gateway.order(&["upgrade", gateway.file().to_str().expect("a path in UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_ne!(gateway.serving_pid(), Some(gateway.pid()));
}

#[test]
fn a_gateway_that_is_no_root_is_followed_by_no_root_unless_that_is_named() {
    if nobody("no gateway becomes root by itself").is_none() {
        return;
    }
    let gateway = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}")).start();
    gateway.rewrite(FIXED);
    let output = gateway.order(&["upgrade"]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("would run as root"), "{}", words(&output));
    let output = gateway.order(&["upgrade", gateway.file().to_str().expect("a path in UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let serving = gateway.serving_pid().expect("a gateway that is found");
    assert_eq!(effective_user(serving), "0");
    assert_eq!(owner(&gateway.runtime()), 0, "the folder of a gateway of root is root's");
}

#[test]
fn another_user_is_a_matter_of_an_upgrade() {
    if nobody("a gateway is followed by one of another user").is_none() {
        return;
    }
    let yaml = |user: &str| format!("process: {{ user: \"{user}\" }}\n{FIXED}");
    let mut gateway = Gateway::start(FIXED);
    for user in ["nobody", "4711:4712", "4713:4713"] {
        gateway.rewrite(&yaml(user));
        let pid = gateway.upgrade();
        let uid =
            User::from_name(user).expect("a list of users").map_or(user[..4].to_owned(), |user| user.uid.to_string());
        assert_eq!(effective_user(pid), uid);
        for file in ["", "control.sock", "upgrade.sock"] {
            assert_eq!(owner(&gateway.runtime().join(file)).to_string(), uid, "{user} {file}");
        }
        gateway.get("/").expect_status(200);
        assert_eq!(gateway.order(&["reload"]).status.code(), Some(0));
    }
    assert_eq!(gateway.wait().code(), Some(0));
    let last = gateway.serving_pid().expect("a gateway that is found");
    wait::until_true("the sockets of the processes before to be removed", || gateway.pids() == [last]);
}

#[test]
fn an_upgrade_to_another_user_that_fails_changes_nothing() {
    let Some(nobody) = nobody("a failed upgrade leaves the folder to the old user") else { return };
    let gateway = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}")).start();
    let log = gateway.dir().join("log");
    for broken in [
        format!("process: {{ user: \"4711:4711\" }}\naccess_log: {{ file: \"{}\" }}\n{FIXED}", log.display()),
        format!("process: {{ user: \"4711:4711\" }}\nadmin: {{ address: \"<listen>\" }}\n{FIXED}"),
    ] {
        gateway.rewrite(&broken);
        let output = gateway.order(&["upgrade"]);
        assert_ne!(output.status.code(), Some(0), "{}", words(&output));
        assert_eq!(owner(&gateway.runtime()), nobody.uid.as_raw());
        assert_eq!(gateway.order(&["status"]).status.code(), Some(0));
        assert_eq!(gateway.pids(), [gateway.pid()], "the sockets of the new process are removed");
    }
    gateway.rewrite(&format!("process: {{ user: \"4711:4711\" }}\n{FIXED}"));
    gateway.upgrade();
    assert_eq!(owner(&gateway.runtime()), 4711);
}
