//! The process: its user, and warnings about keys that others can read.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::unistd::{Uid, User};

use crate::support::certs::Authority;
use crate::support::client::{self, Client, Tls};
use crate::support::gateway::{BINARY, kill, output_in_time};
use crate::support::ports::free_address;
use crate::support::{Gateway, OwnChild, Setup, wait};

const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

/// The user that owns nothing; `None`, with the reason on standard error, where the tests can't become it.
fn nobody(claim: &str) -> Option<User> {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: {claim}");
        return None;
    }
    Some(User::from_name("nobody").expect("a list of users").expect("the user nobody"))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file of ours");
}

/// A folder `logs` of `owner`'s in the folder of `setup`, which others may pass through.
fn logs_of(setup: &Setup, owner: &User) {
    let logs = setup.dir().join("logs");
    fs::create_dir(&logs).expect("a writable temporary folder");
    chown(&logs, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).expect("a folder of ours");
    set_mode(setup.dir(), 0o755);
}

/// The fields of a thread's or a process's status.
fn status(file: impl AsRef<Path>) -> impl Fn(&str) -> String {
    let text = fs::read_to_string(file).expect("a running process");
    move |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    }
}

/// Real, effective, saved and that of the file system, as a status shows them.
fn four(id: impl ToString) -> String {
    vec![id.to_string(); 4].join("\t")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn root_is_given_up_by_every_thread_once_sockets_and_keys_are_held() {
    let Some(nobody) = nobody("a gateway gives up root") else { return };
    let authority = Authority::new("test");
    let setup = Setup::new(&format!(
        r#"
listeners:
  - {{ name: main, address: "<listen>", tls: {{ certificates: [{{ cert: "<dir>/edge.pem", key: "<dir>/edge.key" }}] }} }}
process: {{ user: nobody }}
access_log: {{ output: {{ file: "<dir>/logs/access.log" }} }}
{FIXED}"#
    ));
    authority.issue(&["gateway.test"]).write(setup.dir(), "edge");
    logs_of(&setup, &nobody);
    let gateway = setup.start();

    let get = |path: &str| {
        let tls = Tls::new("gateway.test", &authority.certificate());
        Client::tls(gateway.address(), &tls).expect("a handshake").0.get(path)
    };
    get("/before").expect_status(200);
    let tasks: Vec<_> = fs::read_dir(format!("/proc/{}/task", gateway.pid())).expect("a process").collect();
    assert!(tasks.len() > 2, "{tasks:?}");
    for task in tasks {
        let status = status(task.expect("a thread").path().join("status"));
        assert_eq!(status("Uid"), four(nobody.uid));
        assert_eq!(status("Gid"), four(nobody.gid));
        assert_eq!(status("Groups"), "");
        assert_eq!(status("CapEff"), "0000000000000000");
        assert_eq!(status("NoNewPrivs"), "1");
    }

    let (log, rotated) = (gateway.dir().join("logs/access.log"), gateway.dir().join("logs/access.log.1"));
    wait::until_true("the first line", || fs::read_to_string(&log).is_ok_and(|text| text.contains("/before")));
    fs::rename(&log, &rotated).expect("a rename");
    gateway.signal("USR1");
    wait::until_true("the new file", || log.exists());
    assert_eq!(fs::metadata(&log).expect("the new file").uid(), nobody.uid.as_raw());
    get("/after").expect_status(200);
    wait::until_true("the second line", || fs::read_to_string(&log).is_ok_and(|text| text.contains("/after")));
    assert!(!gateway.stderr().contains("running as root"), "{}", gateway.stderr());
}

#[test]
fn a_group_may_be_named_and_numbers_do_too() {
    let Some(nobody) = nobody("a gateway takes the group that it is given") else { return };
    let gateway =
        Setup::new(&format!("process: {{ user: \"<user>:4711\" }}\n{FIXED}")).with("user", nobody.uid).start();
    let status = status(format!("/proc/{}/status", gateway.pid()));
    assert_eq!(status("Uid"), four(nobody.uid));
    assert_eq!(status("Gid"), four(4711));
    gateway.get("/").expect_status(200);
}

#[test]
fn a_log_that_the_user_can_not_open_ends_the_start() {
    if nobody("a log file is opened by the user").is_none() {
        return;
    }
    let setup = Setup::new(&format!(
        "process: {{ user: nobody }}\naccess_log: {{ output: {{ file: \"<dir>/log\" }} }}\n{FIXED}"
    ));
    let output = setup.output("run", &[]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("as `nobody` (process.user): cannot open the access log"), "{}", words(&output));
    assert!(!setup.dir().join("log").exists());
}

#[test]
fn a_log_that_can_not_be_made_anew_is_said() {
    let Some(nobody) = nobody("a folder that the user can't write to is said") else { return };
    let setup = Setup::new(&format!(
        "process: {{ user: nobody }}\naccess_log: {{ output: {{ file: \"<dir>/log\" }} }}\n{FIXED}"
    ))
    .file("log", "");
    chown(setup.dir().join("log"), Some(nobody.uid.as_raw()), None).expect("a file of ours");
    set_mode(setup.dir(), 0o755);
    let gateway = setup.start();
    gateway.get("/").expect_status(200);
    gateway.says("WARN portcullis::app: `nobody` can't write to");
}

#[test]
fn whoever_is_not_root_can_not_become_somebody_else() {
    let setup = Setup::new(&format!("process: {{ user: \"4711:4711\" }}\n{FIXED}"));
    let output = if Uid::effective().is_root() {
        // As root without what makes root: the program itself may stand where no other user can start it.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid", BINARY, "run"]);
        let child = command.arg(setup.write()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        output_in_time(child.expect("setpriv(1), of util-linux"))
    } else {
        setup.output("run", &[])
    };
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("only root can become user 4711 with group 4711"), "{}", words(&output));
}

#[test]
fn the_user_that_it_is_already_needs_no_root() {
    let (uid, gid) = (Uid::current(), nix::unistd::Gid::current());
    let gateway =
        Setup::new(&format!("process: {{ user: \"<uid>:<gid>\" }}\n{FIXED}")).with("uid", uid).with("gid", gid).start();
    gateway.get("/").expect_status(200);
}

#[test]
fn a_user_that_is_missing_is_a_warning_for_check_and_an_error_for_run() {
    let setup = Setup::new(&format!("process: {{ user: no-such-user }}\n{FIXED}"));
    let checked = setup.output("check", &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    assert!(words(&checked).contains("warning[unknown_user]"), "{}", words(&checked));
    let run = setup.output("run", &[]);
    assert_eq!(run.status.code(), Some(78), "{}", words(&run));
    assert!(words(&run).contains("this machine has no user `no-such-user`"), "{}", words(&run));
}

#[test]
fn running_as_root_is_said() {
    let gateway = Gateway::start(FIXED);
    let said = gateway.stderr().contains("WARN portcullis::app: running as root");
    assert_eq!(said, Uid::effective().is_root(), "{}", gateway.stderr());
}

#[test]
fn a_key_that_others_can_read_is_named_with_what_to_do() {
    let tls = "tls: { certificates: [{ cert: \"<dir>/edge.pem\", key: \"<dir>/link.key\" }] }";
    let setup = Setup::new(&format!("listeners: [{{ name: main, address: \"<listen>\", {tls} }}]\n{FIXED}"));
    let (_, key) = Authority::new("test").issue(&["gateway.test"]).write(setup.dir(), "edge");
    // As Kubernetes mounts secrets: what is named is a link.
    std::os::unix::fs::symlink("edge.key", setup.dir().join("link.key")).expect("a writable temporary folder");
    assert!(!words(&setup.output("check", &[])).contains("warning"));
    set_mode(&key, 0o644);
    let output = setup.output("check", &[]);
    assert_eq!(output.status.code(), Some(0));
    let help = format!("help: `chmod 600 {}`", setup.dir().join("link.key").display());
    assert!(words(&output).contains("warning[key_readable]") && words(&output).contains(&help), "{}", words(&output));
}

#[test]
fn a_reader_of_messages_that_stands_still_holds_up_nothing() {
    let (address, admin) = (free_address(), free_address());
    let setup = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"{address}\" }}]\nadmin: {{ address: \"{admin}\" }}\n{FIXED}"
    ))
    .variable("PORTCULLIS_LOG", "trace");
    let mut command = setup.command();
    let command = command.arg("run").arg(setup.write()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = OwnChild(command.spawn().expect("the binary starts"));
    wait::until_true("the gateway to listen", || TcpStream::connect(admin).is_ok());
    wait::until_true("messages to find no room", || {
        for _ in 0..50 {
            client::get(address, "/").expect_status(200);
        }
        let metrics = client::get_by_address(admin, "/metrics").expect_status(200).text();
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("portcullis_program_log_dropped_total "));
        dropped.is_some_and(|count| count != "0")
    });
    client::get(address, "/").expect_status(200);
    client::get_by_address(admin, "/livez").expect_status(200);
    assert!(kill(child.0.id(), "TERM"));
    wait::until("the process to end", || child.0.try_wait().expect("a child of ours"));
}

#[test]
fn a_thread_that_stands_still_is_no_life() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let _manager = UnixDatagram::bind(&path).expect("a socket");
    let gateway = Setup::new(&format!("process: {{ threads: 1 }}\n{FIXED}"))
        .variable("NOTIFY_SOCKET", path.display())
        .variable("WATCHDOG_USEC", 400_000)
        .variable("PORTCULLIS_FAULTS", "1")
        .start();
    client::get_by_address(gateway.admin(), "/livez").expect_status(200);
    let mut stalled = gateway.connect();
    stalled.send("GET / HTTP/1.1\r\nHost: a\r\nX-Portcullis-Fault: stall\r\n\r\n");
    wait::until_true("/livez to fail", || client::get_by_address(gateway.admin(), "/livez").status == 503);
    stalled.read_response().expect_status(200);
    wait::until_true("/livez to succeed", || client::get_by_address(gateway.admin(), "/livez").status == 200);
}

#[test]
fn no_signal_that_is_none_of_its_ends_ends_a_process_that_starts() {
    let address = free_address();
    let setup = Setup::new(&format!("listeners: [{{ name: main, address: \"{address}\" }}]\n{FIXED}"));
    let mut command = setup.command();
    let command = command.arg("run").arg(setup.write()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = OwnChild(command.spawn().expect("the binary starts"));
    let pid = child.0.id();
    // SIGHUP is 1, SIGUSR1 10, SIGUSR2 12. Before that there is nothing of the gateway's own yet.
    let all = 1 << 0 | 1 << 9 | 1 << 11;
    wait::until_true("the first instruction", || {
        let blocked = u64::from_str_radix(&status(format!("/proc/{pid}/status"))("SigBlk"), 16).expect("a mask");
        blocked & all == all
    });
    wait::until_true("the gateway to listen", || {
        for signal in ["HUP", "USR1", "USR2"] {
            assert!(kill(pid, signal), "{signal}: {:?}", child.0.try_wait());
        }
        TcpStream::connect(address).is_ok()
    });
    client::get(address, "/").expect_status(200);
    assert!(kill(pid, "USR2"));
    client::get(address, "/").expect_status(200);
    assert_eq!(child.0.try_wait().expect("a child of ours"), None);
}

#[test]
fn its_memory_is_no_ones_to_read_unless_that_is_asked_for() {
    let Some(nobody) = nobody("a process of nobody's is not dumpable") else { return };
    // The files of a process that is not dumpable belong to root (proc(5)).
    for (setting, owner) in [("", 0), ("core_dumps: true, ", nobody.uid.as_raw())] {
        let gateway = Gateway::start(&format!("process: {{ {setting}user: nobody }}\n{FIXED}"));
        gateway.get("/").expect_status(200);
        let seen = fs::metadata(format!("/proc/{}/mem", gateway.pid())).expect("a process").uid();
        assert_eq!(seen, owner, "{setting}");
    }
}
