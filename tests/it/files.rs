//! Files that do not answer, whatever stands at their paths, and files that others may write.

mod rights;
mod watched;

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::certs::Authority;
use crate::support::gateway::{kill, output_in_time};
use crate::support::ports::free_address;
use crate::support::{Gateway, OwnChild, Setup, client, jwt, wait};

/// Every kind of file that a configuration names, each by the name that it is written under in the folder.
const NAMED: &str = r#"
listeners:
  - { name: main, address: "<listen>", addresses: { deny: [{ file: "<dir>/list.txt" }] } }
  - { name: tls, address: "<tls>", tls: { certificates: [{ cert: "<dir>/edge.pem", key: "<dir>/edge.key" }] } }
identities:
  a: { jwt: { issuer: i, audience: a, keys: { jwks_file: "<dir>/set.json" } } }
  b: { jwt: { issuer: j, audience: a, keys: { pem_file: "<dir>/public.pem" } } }
  c: { jwt: { issuer: k, audience: a, keys: { secret: { file: "<dir>/shared.secret" } } } }
  d: { api_key: { keys: { file: "<dir>/keys.yaml" } } }
upstreams:
  app:
    endpoints: { file: "<dir>/endpoints.yaml" }
    tls: { sni: a.example, ca: "<dir>/ca.pem", client_certificate: { cert: "<dir>/edge.pem", key: "<dir>/edge.key" } }
error_pages: { default: { file: "<dir>/page.html" } }
routes: [{ name: all, access: { identity: [a, b, c, d] }, upstream: app }]
"#;

const FILES: &[&str] = &[
    "list.txt",
    "edge.pem",
    "edge.key",
    "set.json",
    "public.pem",
    "shared.secret",
    "keys.yaml",
    "endpoints.yaml",
    "ca.pem",
    "page.html",
];

const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

/// [`NAMED`] with all of its files.
fn named() -> Setup {
    let authority = Authority::new("test");
    let edge = authority.issue(&["gateway.test"]);
    let setup = Setup::new(NAMED)
        .with("tls", free_address())
        .file("list.txt", "192.0.2.1\n")
        .file("edge.pem", &edge.cert_pem)
        .file("edge.key", &edge.key_pem)
        .file("set.json", jwt::jwks())
        .file("public.pem", jwt::RSA.public_pem())
        .file("shared.secret", jwt::SECRET)
        .file("keys.yaml", "keys: []\n")
        .file("endpoints.yaml", "- 127.0.0.1:9\n")
        .file("ca.pem", authority.pem())
        .file("page.html", "sorry");
    let checked = setup.output("check", &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    setup
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn pipe_at(path: &Path) {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a writable temporary folder");
}

/// The file that asks for `file` to hang.
fn asked(file: &Path) -> String {
    format!("{}.hang", file.display())
}

/// Makes every question about `file` hang until [`release`], in a gateway that is armed.
fn hang(file: &Path) {
    fs::write(asked(file), "").expect("a writable temporary folder");
}

fn release(file: &Path) {
    fs::remove_file(asked(file)).expect("a file of ours");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file of ours");
}

#[test]
fn a_pipe_in_the_place_of_any_file_is_an_error_at_once() {
    let setup = named();
    for file in FILES {
        let (path, aside) = (setup.dir().join(file), setup.dir().join("aside"));
        fs::rename(&path, &aside).expect("a file of ours");
        pipe_at(&path);
        let checked = setup.output("check", &[]);
        assert_eq!(checked.status.code(), Some(78), "{file}");
        let told = words(&checked);
        assert!(told.contains("it is a pipe, not a file") && told.contains(file), "{file}: {told}");
        fs::rename(&aside, &path).expect("a file of ours");
    }
}

#[test]
fn a_file_that_hangs_is_an_error_soon_and_the_others_of_its_mount_are_not_waited_for() {
    let setup = named().variable("PORTCULLIS_FAULTS", "1");
    FILES.iter().for_each(|file| hang(&setup.dir().join(file)));
    let checked = setup.output("check", &[]);
    let told = words(&checked);
    assert_eq!(checked.status.code(), Some(78), "{told}");
    assert_eq!(told.matches("the file system gives no answer").count(), 2, "{told}");
    assert!(told.contains("other files gave no answer"), "{told}");
}

#[test]
fn a_part_of_a_folder_that_is_a_pipe_is_an_error_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("10.yaml"), "version: 1\nlisteners: [{ name: main, address: \"${LISTEN}\" }]\n")
        .expect("a writable temporary folder");
    pipe_at(&folder.path().join("20.yaml"));
    let checked = Setup::existing(folder.path().to_owned()).output("check", &[]);
    assert_eq!(checked.status.code(), Some(78));
    assert!(words(&checked).contains("20.yaml") && words(&checked).contains("it is a pipe"), "{}", words(&checked));
}

/// A gateway with an error page, which faults can be asked of.
fn with_page() -> Gateway {
    Setup::new(&format!("error_pages: {{ default: {{ file: \"<dir>/page.html\" }} }}\n{FIXED}"))
        .file("page.html", "sorry")
        .variable("PORTCULLIS_FAULTS", "1")
        .start()
}

#[test]
fn a_reload_that_meets_a_pipe_is_refused_at_once() {
    let gateway = with_page();
    pipe_at(&gateway.dir().join("page.html"));
    let reloaded = gateway.order(&["reload"]);
    assert_ne!(reloaded.status.code(), Some(0));
    assert!(words(&reloaded).contains("it is a pipe, not a file"), "{}", words(&reloaded));
    let status = gateway.order(&["status"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(words(&status).contains("it is a pipe, not a file"), "{}", words(&status));
}

#[test]
fn a_reload_that_meets_a_file_that_hangs_holds_up_nobody() {
    let gateway = with_page();
    let page = gateway.dir().join("page.html");
    hang(&page);
    thread::scope(|scope| {
        let reload = scope.spawn(|| gateway.order(&["reload"]));
        let mut told_meanwhile = 0;
        while !reload.is_finished() {
            assert_eq!(gateway.order(&["status"]).status.code(), Some(0));
            gateway.get("/").expect_status(200);
            told_meanwhile += usize::from(!reload.is_finished());
        }
        assert_ne!(told_meanwhile, 0);
        let reloaded = reload.join().expect("a reload");
        assert_ne!(reloaded.status.code(), Some(0));
        assert!(words(&reloaded).contains("the file system gives no answer"), "{}", words(&reloaded));
    });
    release(&page);
    wait::until_true("a reload to work again", || gateway.order(&["reload"]).status.code() == Some(0));
}

#[test]
fn a_configuration_is_read_from_a_pipe_at_the_start_and_not_again() {
    let setup = Setup::new(FIXED);
    let text = fs::read_to_string(setup.write()).expect("a file of ours");
    let mut command = setup.command();
    let command = command.args(["check", "/dev/stdin"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    let checked = output_in_time(child);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));

    let pipe = setup.dir().join("pipe");
    pipe_at(&pipe);
    let messages = setup.dir().join("messages");
    let mut command = setup.command();
    let command = command.arg("run").arg(&pipe).stdout(Stdio::null()).stderr(File::create(&messages).expect("a file"));
    let gateway = OwnChild(command.spawn().expect("the binary starts"));
    fs::write(&pipe, text).expect("a reader");
    let told = || fs::read_to_string(&messages).unwrap_or_default();
    wait::until_true("the gateway to say so", || told().contains("the configuration was read from a pipe"));
    wait::until_true("the gateway to listen", || TcpStream::connect(setup.address()).is_ok());
    assert!(kill(gateway.0.id(), "HUP"));
    wait::until_true("the refusal", || told().contains("cannot be read: it is a pipe, not a file"));
    client::get(setup.address(), "/").expect_status(200);
}

#[test]
fn check_tells_of_every_file_that_everyone_can_write() {
    let setup = named();
    for file in FILES {
        set_mode(&setup.dir().join(file), 0o602);
    }
    let configuration = setup.write();
    set_mode(&configuration, 0o646);
    let checked = setup.output("check", &[]);
    let told = words(&checked);
    assert_eq!(checked.status.code(), Some(0), "{told}");
    for file in FILES {
        let path = setup.dir().join(file);
        let help = ["o-w", "600"].map(|mode| format!("help: `chmod {mode} {}`", path.display()));
        assert!(help.iter().any(|help| told.contains(help)), "nothing is said of {file}:\n{told}");
    }
    let warning = format!("{}: warning[file_writable]", configuration.display());
    assert!(told.contains(&warning), "{told}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(
        folder.path().join("all.yaml"),
        format!("version: 1\nlisteners: [{{ name: main, address: \"127.0.0.1:1\" }}]\n{FIXED}"),
    )
    .expect("a writable temporary folder");
    set_mode(folder.path(), 0o777);
    let checked = Setup::existing(folder.path().to_owned()).output("check", &[]);
    let told = words(&checked);
    assert!(told.contains(&format!("{}: warning[file_writable]", folder.path().display())), "{told}");
}
