//! `portcullis diff`: what a reload would change, before it does.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::support::gateway::portcullis;

const OLD: &str = "
version: 1
listeners: [{ name: main, address: \"127.0.0.1:8080\" }]
upstreams: { app: { endpoints: [\"127.0.0.1:9001\"] } }
response_headers: { set: { X-Frame-Options: DENY } }
identities: { corp: { jwt: { issuer: a, audience: b, keys: { secret: { file: secret } } } } }
routes: [{ name: orders, access: { identity: corp, allow: { scope: read } }, upstream: app }]
";

/// A folder with the configuration before and after, and a secret.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(new: &str) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
        for (name, text) in [("old.yaml", OLD), ("new.yaml", new)] {
            let text = text.replace("file: secret", &format!("file: {}", secret.display()));
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Files { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn diff(&self, arguments: &[&str]) -> Output {
        let [old, new] = ["old.yaml", "new.yaml"].map(|name| self.path(name).display().to_string());
        portcullis(&[&["diff", &old, &new], arguments].concat())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nothing_to_tell_is_said() {
    let output = Files::new(OLD).diff(&["--exit-code"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    assert_eq!(text(&output.stderr), "nothing changes\n");
    assert_eq!(text(&Files::new(OLD).diff(&["--json"]).stdout), "[]\n");
}

#[test]
fn changes_are_told_by_subject_with_what_weakens_first() {
    let new = OLD
        .replace("{ identity: corp, allow: { scope: read } }", "{ identity: corp }")
        .replace("X-Frame-Options: DENY", "X-Frame-Options: SAMEORIGIN")
        .replace("127.0.0.1:9001", "127.0.0.1:9002")
        .replace("8080", "8443");
    let files = Files::new(&new);
    let output = files.diff(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "\
route orders
  weaker    access: corp, with scope read -> corp
every answer
  weaker    header x-frame-options: DENY -> SAMEORIGIN
upstream app
            endpoint 127.0.0.1:9001: weight 1 -> none
            endpoint 127.0.0.1:9002: none -> weight 1
listener main
            address: 127.0.0.1:8080 -> 127.0.0.1:8443  [upgrade]
"
    );
    let summary = "5 changes; 2 weaken protection; 1 needs `portcullis upgrade` instead of a reload\n";
    assert_eq!(text(&output.stderr), summary);
    assert_eq!(files.diff(&["--exit-code"]).status.code(), Some(1));

    let output = files.diff(&["--json", "--exit-code"]);
    assert_eq!(output.status.code(), Some(1));
    let changes: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(changes.as_array().map(Vec::len), Some(5));
    assert_eq!(changes[0]["subject"]["names"][0], "orders");
    assert_eq!((&changes[0]["effect"], &changes[0]["weight"]), (&"access".into(), &"weaker".into()));
    assert_eq!(changes[4]["apply"], "upgrade");
}

#[test]
fn what_does_not_compile_is_told_of_both_files() {
    let files = Files::new("version: 1\nroutes: [{ name: a, upstream: none }]\n");
    std::fs::write(files.path("old.yaml"), "version: 1\nrotues: []\n").unwrap();
    let output = files.diff(&["--json"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(78), String::new()));
    let words = text(&output.stderr);
    for expected in ["old.yaml:2:", "new.yaml:2:", "unknown_field", "access_missing", "old.yaml: does not compile"] {
        assert!(words.contains(expected), "{expected} in\n{words}");
    }
}
