//! What a reload may read: files of root's alone, and credentials of the service manager.

use std::fs;
use std::path::Path;

use nix::unistd::Uid;

use super::{set_mode, words};
use crate::support::certs::{Authority, Identity};
use crate::support::ports::free_address;
use crate::support::{Gateway, Setup, wait};

const ROUTES: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

fn is_root(claim: &str) -> bool {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: {claim}");
    }
    Uid::effective().is_root()
}

/// A configuration that root starts and `nobody` serves, with a certificate whose key is in the folder `keys`.
fn served_by_nobody(identity: &Identity) -> Setup {
    let setup = Setup::new(&format!(
        "process: {{ user: nobody }}\nlisteners: [{{ name: main, address: \"<listen>\" }}, {{ name: tls, address: \
         \"<tls>\", tls: {{ certificates: [{{ cert: \"<dir>/edge.pem\", key: \"<dir>/keys/edge.key\" }}] }} }}]\n{ROUTES}"
    ))
    .with("tls", free_address());
    let keys = setup.dir().join("keys");
    fs::create_dir(&keys).expect("a writable temporary folder");
    fs::write(setup.dir().join("edge.pem"), &identity.cert_pem).expect("a writable temporary folder");
    fs::write(keys.join("edge.key"), &identity.key_pem).expect("a writable temporary folder");
    set_mode(&keys.join("edge.key"), 0o600);
    set_mode(setup.dir(), 0o755);
    setup
}

fn reload(gateway: &Gateway) -> (Option<i32>, String) {
    let output = gateway.order(&["reload"]);
    (output.status.code(), words(&output))
}

#[test]
fn a_reload_keeps_the_key_that_root_alone_reads_until_it_changes() {
    if !is_root("a reload works as the start did") {
        return;
    }
    let authority = Authority::new("test");
    let gateway = served_by_nobody(&authority.issue(&["gateway.test"])).start();
    let key = gateway.dir().join("keys/edge.key");
    let told = format!("a reload can't read `{}` as this user", key.display());
    gateway.says(&told);
    let (code, told) = reload(&gateway);
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("warning"), "{told}");

    fs::write(&key, &authority.issue(&["gateway.test"]).key_pem).expect("a file of ours");
    let (code, told) = reload(&gateway);
    assert_ne!(code, Some(0), "{told}");
    assert!(told.contains("it has changed, and this process may not read it any more"), "{told}");
    gateway.get("/").expect_status(200);
}

#[test]
fn a_reload_tells_of_a_key_in_a_folder_that_it_may_not_search() {
    if !is_root("a reload works as the start did") {
        return;
    }
    let setup = served_by_nobody(&Authority::new("test").issue(&["gateway.test"]));
    set_mode(&setup.dir().join("keys"), 0o700);
    let gateway = setup.start();
    let (code, told) = reload(&gateway);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("warning[file_held]") && told.contains("keys/edge.key"), "{told}");
}

#[test]
fn a_configuration_that_no_reload_can_read_is_told_at_the_start() {
    if !is_root("what a reload can't read is told at the start") {
        return;
    }
    let setup = served_by_nobody(&Authority::new("test").issue(&["gateway.test"]));
    set_mode(setup.dir(), 0o700);
    let gateway = setup.start();
    let told = format!("a reload can't read `{}` as this user, and will be refused", gateway.file().display());
    gateway.says(&told);
}

#[test]
fn what_is_watched_is_not_reloaded_for_a_key_that_can_not_be_read() {
    if !is_root("a key that is held is no change") {
        return;
    }
    let setup = served_by_nobody(&Authority::new("test").issue(&["gateway.test"])).arguments(&["--watch"]);
    let gateway = setup.start();
    wait::until_true("the watch to begin", || gateway.stderr().contains("and the files that it names"));
    gateway.rewrite(&fs::read_to_string(gateway.file()).expect("a file of ours").replace("body: ok", "body: new"));
    wait::until_true("the reload", || gateway.get("/").text() == "new");
    assert_eq!(gateway.metrics().sum("portcullis_config_generation", &[]), 2.0, "{}", gateway.stderr());
}

/// Every field that may name a credential; `<key>`, `<secret>` are what stands there.
const FIELDS: &str = r#"
admin: { address: "<admin>", token: <secret> }
listeners:
  - { name: main, address: "<listen>" }
  - { name: tls, address: "<tls>", tls: { certificates: [{ cert: "<dir>/edge.pem", key: <key> }] } }
identities: { corp: { jwt: { issuer: i, audience: a, keys: { secret: <secret> } } } }
upstreams:
  app:
    endpoints: "127.0.0.1:9"
    sticky: { cookie: c, key: <secret> }
    tls: { sni: a.example, client_certificate: { cert: "<dir>/edge.pem", key: <key> } }
routes: [{ name: all, access: public, respond: {} }]
"#;

fn with_credentials(key: &str, secret: &str) -> Setup {
    let identity = Authority::new("test").issue(&["gateway.test"]);
    let yaml = FIELDS.replace("<key>", key).replace("<secret>", secret);
    let setup = Setup::new(&yaml).with("tls", free_address()).file("edge.pem", &identity.cert_pem);
    let folder = setup.dir().join("credentials");
    fs::create_dir(&folder).expect("a writable temporary folder");
    write(&folder, "edge.key", &identity.key_pem);
    write(&folder, "shared", "0123456789abcdef0123456789abcdef\n");
    setup
}

fn write(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).expect("a writable temporary folder");
    set_mode(&folder.join(name), 0o400);
}

#[test]
fn every_secret_may_be_a_credential_of_the_service_manager() {
    let setup = with_credentials("{ credential: edge.key }", "{ credential: shared }");
    let folder = setup.dir().join("credentials").display().to_string();
    let without = setup.output("check", &[]);
    assert_eq!(without.status.code(), Some(78));
    assert_eq!(words(&without).matches("error[credential_unreadable]").count(), 5, "{}", words(&without));
    assert!(words(&without).contains("`CREDENTIALS_DIRECTORY` is not set"), "{}", words(&without));
    let setup = setup.variable("CREDENTIALS_DIRECTORY", &folder);
    let checked = setup.output("check", &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    let gateway = setup.start();
    let token = [("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];
    let mut admin = crate::support::Client::connect(gateway.admin());
    admin.request("POST", "/reload", &token, b"").expect_status(200);
    gateway.get("/").expect_status(200);
}

#[test]
fn a_credential_is_a_name_in_its_folder_and_never_shown() {
    for name in ["s3cr3t-Mark", "../shared", "/etc/s3cr3t-Mark", "..", "\"\"", "\"s3cr3t-Mark\\n\"", "[s3cr3t-Mark]"] {
        let source = format!("{{ credential: {name} }}");
        let setup = with_credentials(&source, &source);
        let folder = setup.dir().join("credentials").display().to_string();
        let checked = setup.variable("CREDENTIALS_DIRECTORY", folder).output("check", &[]);
        let told = words(&checked);
        assert_eq!(checked.status.code(), Some(78), "{name}: {told}");
        assert!(!told.contains("s3cr3t") && !told.contains("/shared"), "{name}: {told}");
    }
}
