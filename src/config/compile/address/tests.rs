use std::collections::HashMap;
use std::io;

use crate::config::compile::compile;
use crate::config::environment::Environment;
use crate::config::load::load_text;
use crate::config::snapshot::Snapshot;

struct Files(HashMap<&'static str, &'static str>);

impl Environment for Files {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The snapshot, and what is said as `place code`.
fn compiled(listener: &str, route: &str) -> (Option<Snapshot>, Vec<String>) {
    let files = Files(HashMap::from([
        ("good.txt", "192.0.2.0/24\n2001:db8::/32\n"),
        ("bad.txt", "# partners\n192.0.2.0/24\n  ten\n10.0.0.0/40\n"),
        ("inexact.txt", "10.1.2.3/8\n"),
        ("empty.txt", "# nobody yet\n"),
    ]));
    let text = format!(
        "version: 1\nlisteners: [{{name: l, address: 127.0.0.1:8080{listener}}}]\nroutes: [{{name: r, access: public, \
         respond: {{}}{route}}}]\n"
    );
    let document = load_text("f", text.as_bytes(), &files).unwrap();
    let (snapshot, found) = compile(&document, &files);
    let said = found.into_iter().map(|found| match &*found.place.file {
        "f" => format!("{} {}", found.path, found.code),
        _ => format!("{} {} {}", found.place, found.path, found.code),
    });
    (snapshot, said.collect())
}

#[track_caller]
fn said(route: &str, expected: &[&str]) {
    assert_eq!(compiled("", &format!(", addresses: {route}")).1, expected, "{route}");
}

#[test]
fn a_list_file_is_loaded_once_for_all_that_name_it() {
    let (snapshot, said) = compiled(
        ", addresses: {deny: {file: good.txt}}",
        ", addresses: {allow: [10.0.0.0/8, {file: empty.txt}], deny: [{file: good.txt}, '::1'], mode: report}",
    );
    assert_eq!(said, [""; 0]);
    let snapshot = snapshot.unwrap();
    let files: Vec<&str> = snapshot.rules.address_lists.iter().map(|list| &*list.file).collect();
    assert_eq!(files, ["good.txt", "empty.txt"]);
    assert_eq!(snapshot.rules.address_lists[0].loaded.entries(), 2);

    let listener = snapshot.listeners[0].addresses.as_ref().unwrap();
    let route = snapshot.rules.routes[0].addresses.as_ref().unwrap();
    assert_eq!(listener.deny.lists, route.deny.lists);
    assert!(listener.allow.is_none() && !listener.report_only && route.report_only);
    assert!(route.deny.ranges.contains("::1".parse().unwrap()));
    assert_eq!(route.place.to_string(), "f:3:49");
}

#[test]
fn what_is_wrong_in_a_list_file_is_told_with_its_line_once() {
    let (snapshot, said) = compiled(", addresses: {deny: {file: bad.txt}}", ", addresses: {allow: {file: bad.txt}}");
    assert!(snapshot.is_none());
    let path = "listeners[0].addresses.deny[0].file";
    assert_eq!(said, [format!("bad.txt:3:3 {path} invalid_range"), format!("bad.txt:4:1 {path} invalid_range")]);
}

#[test]
fn rules_that_say_nothing_or_wrong_things_are_refused() {
    said("{}", &["routes[0].addresses addresses_missing"]);
    said("{deny: []}", &["routes[0].addresses addresses_missing"]);
    said("{allow: []}", &["routes[0].addresses.allow addresses_missing"]);
    said(
        "{deny: [ten, 10.0.0.0/8, 10.0.0.0/64]}",
        &["routes[0].addresses.deny[0] invalid_range", "routes[0].addresses.deny[2] invalid_range"],
    );
    said("{deny: {file: none.txt}}", &["routes[0].addresses.deny[0].file file_unreadable"]);
    let report = compiled(", addresses: {deny: [10.0.0.0/8], mode: report}", "").1;
    assert_eq!(report, ["listeners[0].addresses.mode report_without_request"]);
}

#[test]
fn what_may_be_meant_otherwise_is_a_warning() {
    said("{allow: 10.1.2.3/8}", &["routes[0].addresses.allow[0] range_not_exact"]);
    said("{deny: {file: inexact.txt}}", &["inexact.txt:1:1 routes[0].addresses.deny[0].file range_not_exact"]);
    said("{allow: {file: empty.txt}}", &["routes[0].addresses.allow address_list_empty"]);
    said("{deny: {file: empty.txt}}", &[]);
}
