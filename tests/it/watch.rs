//! `run --watch`: reloads when the configuration, or a file that it names, changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::certs::Authority;
use crate::support::{Gateway, Setup, wait};

/// A configuration that answers with `body`.
fn saying(body: &str) -> String {
    format!(
        "version: 1
listeners: [{{ name: main, address: \"${{LISTEN}}\" }}]
admin: {{ address: \"${{ADMIN}}\" }}
routes: [{{ name: all, access: public, respond: {{ body: {body} }} }}]
"
    )
}

/// A gateway on the file or folder `path` that watches it.
fn watching(path: &Path) -> Gateway {
    Setup::existing(path.to_owned()).arguments(&["--watch"]).start()
}

fn wait_for(gateway: &Gateway, body: &str) {
    wait::until_true(&format!("the answer {body}"), || gateway.get("/").text() == body);
}

fn generation(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_config_generation", &[])
}

/// Puts `content` into the place of `file` at once, as careful editors do.
fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, file).unwrap();
}

fn has_watch_thread(gateway: &Gateway) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim() == "watch")
}

#[test]
fn an_edit_in_place_and_one_by_rename_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, saying("first")).unwrap();
    let gateway = watching(&file);
    wait_for(&gateway, "first");
    fs::write(&file, saying("second")).unwrap();
    wait_for(&gateway, "second");
    // The file that is watched now is another one.
    for body in ["third", "fourth"] {
        replace(&file, &saying(body));
        wait_for(&gateway, body);
    }
    fs::write(&file, saying("fifth")).unwrap();
    wait_for(&gateway, "fifth");
}

#[test]
fn a_volume_of_kubernetes_that_is_swapped_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let version = |name: &str, body: &str| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("gateway.yaml"), saying(body)).unwrap();
    };
    version("..1", "first");
    symlink("..1", at("..data")).unwrap();
    symlink("..data/gateway.yaml", at("gateway.yaml")).unwrap();
    let gateway = watching(&at("gateway.yaml"));
    wait_for(&gateway, "first");
    for (old, new, body) in [("..1", "..2", "second"), ("..2", "..3", "third")] {
        version(new, body);
        symlink(new, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at(old)).unwrap();
        wait_for(&gateway, body);
    }
}

#[test]
fn a_touch_and_a_list_that_takes_effect_by_itself_reload_nothing() {
    let gateway = Setup::new(
        "routes: [{ name: all, access: public, addresses: { deny: [{ file: \"<dir>/denied\" }] }, respond: { body: first } }]",
    )
    .file("denied", "192.0.2.1\n")
    .arguments(&["--watch"])
    .start();
    let file = gateway.dir().join("portcullis.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text).unwrap();
    replace(&file, &text);
    fs::write(gateway.dir().join("other.yaml"), "nothing of ours").unwrap();
    fs::write(gateway.dir().join("denied"), "127.0.0.1\n").unwrap();
    wait::until_true("the list to be in force", || gateway.get("/").status == 403);
    fs::write(gateway.dir().join("denied"), "").unwrap();
    wait::until_true("the list to be in force", || gateway.get("/").status == 200);
    assert_eq!(generation(&gateway), 1.0, "{}", gateway.stderr());
    fs::write(&file, text.replace("first", "second")).unwrap();
    wait_for(&gateway, "second");
    assert_eq!(generation(&gateway), 2.0, "{}", gateway.stderr());
}

#[test]
fn files_that_the_configuration_names_are_watched_too() {
    let authority = Authority::new("test");
    let gateway = Setup::new(
        r#"
listeners:
  - { name: main, address: "<listen>" }
  - { name: tls, address: "<tls>", tls: { certificates: [{ cert: "<dir>/tls/edge.pem", key: "<dir>/tls/edge.key" }] } }
error_pages: { 404: { file: "<dir>/404.html" } }
routes: [{ name: one, match: { path: /one }, access: public, respond: {} }]
"#,
    )
    .with("tls", crate::support::ports::free_address())
    .file("404.html", "first");
    fs::create_dir(gateway.dir().join("tls")).unwrap();
    let write = |folder: &Path| authority.issue(&["localhost"]).write(&folder.join("tls"), "edge");
    write(gateway.dir());
    let gateway = gateway.arguments(&["--watch"]).start();
    wait_for(&gateway, "first");

    replace(&gateway.dir().join("404.html"), "second");
    wait_for(&gateway, "second");
    let before = generation(&gateway);
    write(gateway.dir());
    wait::until_true("the certificate to be read", || generation(&gateway) > before);
}

#[test]
fn a_broken_edit_changes_nothing_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, saying("first")).unwrap();
    let gateway = watching(&file);
    fs::write(&file, "version: 1\nroutes: [").unwrap();
    wait::until_true("the mistake to be told", || gateway.stderr().contains("yaml_syntax"));
    assert_eq!(gateway.get("/").text(), "first");
    replace(&file, &saying("second"));
    wait_for(&gateway, "second");
}

#[test]
fn a_file_that_lacks_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (file, page) = (folder.path().join("gateway.yaml"), folder.path().join("pages/later.html"));
    fs::write(&file, saying("first")).unwrap();
    let gateway = watching(&file);
    let with_page = format!("{}error_pages: {{ 404: {{ file: {} }} }}\n", saying("second"), page.display());
    fs::write(&file, with_page).unwrap();
    wait::until_true("the mistake to be told", || gateway.stderr().contains("later.html"));
    fs::create_dir(folder.path().join("pages")).unwrap();
    fs::write(&page, "page").unwrap();
    wait_for(&gateway, "second");
    assert_eq!(generation(&gateway), 2.0);
}

#[test]
fn a_file_that_is_added_to_a_folder_is_served() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("10.yaml"), saying("first")).unwrap();
    let gateway = watching(folder.path());
    wait_for(&gateway, "first");
    let added = folder.path().join("20.yaml");
    fs::write(&added, "routes: [{ name: root, match: { path: / }, access: public, respond: { body: added } }]\n")
        .unwrap();
    wait_for(&gateway, "added");
    fs::remove_file(&added).unwrap();
    wait_for(&gateway, "first");
}

#[test]
fn nothing_is_watched_unless_it_is_asked_for() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: {} }]");
    assert!(!has_watch_thread(&gateway));
    let gateway = Setup::new("routes: [{ name: all, access: public, respond: {} }]").arguments(&["--watch"]).start();
    wait::until_true("the thread that watches", || has_watch_thread(&gateway));
}
