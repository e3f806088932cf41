//! Watched files are independent: one that does not answer delays no other.

use std::fs;
use std::path::PathBuf;

use super::{hang, pipe_at, release};
use crate::support::{Gateway, Origin, Setup, wait};

const LIST_STALE: &str = "portcullis_address_list_stale";
const SOURCE_STALE: &str = "portcullis_discovery_stale";

/// A gateway with two lists and two files of endpoints.
fn watching(one: &Origin, two: &Origin) -> Gateway {
    Setup::new(
        r#"
trusted_proxies: [127.0.0.1]
upstreams:
  one: { endpoints: { file: "<dir>/one.yaml" } }
  two: { endpoints: { file: "<dir>/two.yaml" } }
routes:
  - name: lists
    match: { path: /lists }
    access: public
    addresses: { deny: [{ file: "<dir>/one.txt" }, { file: "<dir>/two.txt" }] }
    respond: {}
  - { name: one, match: { path: /one }, access: public, upstream: one }
  - { name: two, match: { path: /two }, access: public, upstream: two }
"#,
    )
    .file("one.txt", "192.0.2.1\n")
    .file("two.txt", "192.0.2.2\n")
    .file("one.yaml", format!("- {}\n", one.address()))
    .file("two.yaml", format!("- {}\n", one.address()))
    .variable("PORTCULLIS_FAULTS", "1")
    .with("two", two.address())
    .start()
}

fn status_for(gateway: &Gateway, client: &str) -> u16 {
    gateway.get_with("/lists", &[("X-Forwarded-For", client)]).status
}

fn path(gateway: &Gateway, file: &str) -> PathBuf {
    gateway.dir().join(file)
}

fn stale(gateway: &Gateway, file: &str) -> f64 {
    let name = path(gateway, file).display().to_string();
    let metrics = gateway.metrics();
    metrics.sum(LIST_STALE, &[("file", &name)]) + metrics.sum(SOURCE_STALE, &[("name", &name)])
}

fn warnings(gateway: &Gateway, file: &str) -> usize {
    let name = path(gateway, file).display().to_string();
    gateway.stderr().lines().filter(|line| line.contains(&name) && line.contains("gives no answer")).count()
}

#[test]
fn a_list_that_hangs_is_told_and_delays_no_other() {
    let origin = Origin::saying("one");
    let gateway = watching(&origin, &origin);
    hang(&path(&gateway, "one.txt"));
    fs::write(path(&gateway, "two.txt"), "192.0.2.2\n198.51.100.2\n").unwrap();
    wait::until_true("the other list to take effect", || status_for(&gateway, "198.51.100.2") == 403);
    wait::until_true("the metric", || stale(&gateway, "one.txt") == 1.0);
    wait::until_true("the warning", || warnings(&gateway, "one.txt") == 1);
    assert_eq!((stale(&gateway, "two.txt"), status_for(&gateway, "192.0.2.1")), (0.0, 403));
    // Once more, while it still hangs.
    fs::write(path(&gateway, "one.txt"), "203.0.113.1\n").unwrap();
    fs::write(path(&gateway, "two.txt"), "192.0.2.2\n198.51.100.3\n").unwrap();
    wait::until_true("the other list to take effect", || status_for(&gateway, "198.51.100.3") == 403);
    assert_eq!((warnings(&gateway, "one.txt"), status_for(&gateway, "203.0.113.1")), (1, 200));
    release(&path(&gateway, "one.txt"));
    wait::until_true("the mended list to take effect", || status_for(&gateway, "203.0.113.1") == 403);
    assert_eq!(stale(&gateway, "one.txt"), 0.0);
}

#[test]
fn a_file_of_endpoints_that_hangs_is_told_and_delays_no_other() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = watching(&one, &two);
    let entry = format!("- {}\n", two.address());
    hang(&path(&gateway, "one.yaml"));
    fs::write(path(&gateway, "two.yaml"), &entry).unwrap();
    wait::until_true("the other file to take effect", || gateway.get("/two").text() == "two");
    wait::until_true("the metric", || stale(&gateway, "one.yaml") == 1.0);
    wait::until_true("the warning", || warnings(&gateway, "one.yaml") == 1);
    assert_eq!((stale(&gateway, "two.yaml"), gateway.get("/one").text().as_str()), (0.0, "one"));
    fs::write(path(&gateway, "one.yaml"), &entry).unwrap();
    release(&path(&gateway, "one.yaml"));
    wait::until_true("the mended file to take effect", || gateway.get("/one").text() == "two");
    assert_eq!(stale(&gateway, "one.yaml"), 0.0);
}

#[test]
fn a_pipe_in_the_place_of_a_watched_file_is_told_and_mended() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = watching(&one, &two);
    for file in ["one.txt", "one.yaml"] {
        pipe_at(&path(&gateway, file));
        wait::until_true("the metric", || stale(&gateway, file) == 1.0);
    }
    wait::until_true("the warnings", || gateway.stderr().matches("it is a pipe, not a file").count() == 2);
    assert_eq!((status_for(&gateway, "192.0.2.1"), gateway.get("/one").text().as_str()), (403, "one"));
    for (file, content) in [("one.txt", "203.0.113.1\n".to_owned()), ("one.yaml", format!("- {}\n", two.address()))] {
        fs::write(path(&gateway, "next"), content).unwrap();
        fs::rename(path(&gateway, "next"), path(&gateway, file)).unwrap();
    }
    wait::until_true("the mended list to take effect", || status_for(&gateway, "203.0.113.1") == 403);
    wait::until_true("the mended file to take effect", || gateway.get("/one").text() == "two");
    assert_eq!((stale(&gateway, "one.txt"), stale(&gateway, "one.yaml")), (0.0, 0.0));
}
