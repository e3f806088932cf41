//! Files that list endpoints.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{ENTRIES, FAILURES, STALE, body, until_body};
use crate::support::ports::free_address;
use crate::support::{Gateway, Origin, Setup, wait};

const ROUTES: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

/// A gateway whose upstream `origin` has the endpoints of a file with this content.
fn listed(content: &str) -> Setup {
    Setup::new(&format!("upstreams: {{ origin: {{ endpoints: {{ file: \"<dir>/orders.yaml\" }} }} }}\n{ROUTES}"))
        .file("orders.yaml", content)
}

fn list(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("orders.yaml")
}

fn stale(gateway: &Gateway) -> f64 {
    gateway.metrics().sum(STALE, &[("kind", "file")])
}

fn warnings(gateway: &Gateway) -> usize {
    gateway.stderr().matches("its last good content stays in use").count()
}

#[test]
fn a_changed_file_moves_the_traffic() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = listed(&format!("# for now\n- {}\n", one.address())).start();
    assert_eq!(body(&gateway), "one");
    // What a program writes.
    fs::write(list(&gateway), format!("[{{\"address\": \"{}\", \"weight\": 2}}]", two.address())).unwrap();
    until_body(&gateway, "two");
    let next = gateway.dir().join("next.yaml");
    fs::write(&next, format!("- {}\n- {}\n", one.address(), free_address())).unwrap();
    fs::rename(&next, list(&gateway)).unwrap();
    until_body(&gateway, "one");
    wait::until_true("words about it", || gateway.stderr().contains("orders.yaml: 2 endpoints are listed"));
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum(ENTRIES, &[("kind", "file")]), 2.0);
    assert!(metrics.has(STALE) && metrics.sum(STALE, &[]) == 0.0 && !metrics.has(FAILURES));
}

#[test]
fn what_is_wrong_with_a_file_changes_nothing_and_is_told() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let good = format!("- {}\n", one.address());
    let gateway = listed(&good).start();
    let at = |place: &str| format!("{}:{place}", list(&gateway).display());

    fs::write(list(&gateway), format!("- {}\n- nowhere\n- {{ address: \"b:1\", weight: 0 }}\n", two.address()))
        .unwrap();
    wait::until_true("the mistakes to show", || stale(&gateway) == 1.0);
    wait::until_true("a warning", || warnings(&gateway) == 1);
    for expected in [at("2:3: error[invalid_address]"), at("3:29: error[out_of_range]")] {
        assert_eq!(gateway.stderr().matches(&expected).count(), 1, "{expected} in\n{}", gateway.stderr());
    }
    assert_eq!(body(&gateway), "one");

    fs::write(list(&gateway), "[]\n").unwrap();
    wait::until_true("a warning", || warnings(&gateway) == 2);
    assert!(gateway.stderr().contains("the file lists no endpoint"));
    assert_eq!((body(&gateway), stale(&gateway)), ("one".to_owned(), 1.0));

    fs::remove_file(list(&gateway)).unwrap();
    wait::until_true("a warning", || warnings(&gateway) == 3);
    assert_eq!((body(&gateway), stale(&gateway)), ("one".to_owned(), 1.0));
    assert_eq!(gateway.metrics().sum(FAILURES, &[("kind", "file")]), 3.0);

    fs::write(list(&gateway), format!("- {}\n", two.address())).unwrap();
    until_body(&gateway, "two");
    assert_eq!(stale(&gateway), 0.0);
}

#[test]
fn a_link_that_is_swapped_is_noticed() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let setup = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [{{ file: \"<dir>/mounted/orders.yaml\" }}] }} }}\n{ROUTES}"
    ));
    // As Kubernetes mounts a ConfigMap: files are links into a folder behind a link, which is replaced at once.
    let mounted = setup.dir().join("mounted");
    for (version, origin) in [("v1", &one), ("v2", &two)] {
        fs::create_dir_all(mounted.join(version)).unwrap();
        fs::write(mounted.join(version).join("orders.yaml"), format!("- {}\n", origin.address())).unwrap();
    }
    symlink("v1", mounted.join("..data")).unwrap();
    symlink("..data/orders.yaml", mounted.join("orders.yaml")).unwrap();
    let gateway = setup.start();
    assert_eq!(body(&gateway), "one");
    symlink("v2", mounted.join("..data_tmp")).unwrap();
    fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
    until_body(&gateway, "two");
}

#[test]
fn check_names_every_mistake_of_a_file_at_its_place() {
    let setup = listed("- 10.0.0.1:80\n- nowhere\n- { address: \"b:1\", weigth: 2 }\n- { srv: _http._tcp.b }\n");
    for command in ["check", "run"] {
        let output = setup.output(command, &[]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        let list = setup.dir().join("orders.yaml");
        for place in ["2:3: error[invalid_address]", "3:21: error[unknown_field]", "4:5: error[unknown_field]"] {
            let expected = format!("{}:{place}", list.display());
            assert!(words.contains(&expected), "no {expected} in\n{words}");
        }
    }
    let empty = listed("[]").output("check", &[]);
    assert!(String::from_utf8_lossy(&empty.stderr).contains("error[endpoints_empty]"));
}
