//! The manual (`src/manual/`): what it cites exists, and its pages have the form that they promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of a page, in their order.
const PARTS: [&str; 5] = ["The attack", "Known cases", "How this code avoids it", "Left to the operator", "Tests"];

/// The page that lists the others.
const FIRST: &str = "src/manual.rs";

/// The page of promises, and its parts.
const GUARANTEES: &str = "src/manual/guarantees.rs";
const PROMISED: [&str; 3] = ["Who may do what", "What survives what", "Which failure is told where"];

/// Where a citation of a file begins.
const FOLDERS: [&str; 5] = ["src/", "tests/", "benches/", "conf/", "deploy/"];

#[test]
fn every_test_that_the_manual_cites_exists() {
    let mut cited = 0;
    let mut offences = Vec::new();
    for page in pages() {
        for citation in citations(&page.text) {
            cited += 1;
            if let Some(wrong) = citation.wrong(|file| fs::read_to_string(root().join(file)).ok()) {
                offences.push(format!("{}:{}: `{}` {wrong}", page.name, citation.line, citation.written));
            }
        }
    }
    refuse(offences.into_iter());
    assert!(cited > 50, "only {cited} citations were found; has their form changed?");
}

#[test]
fn every_page_has_the_same_parts_and_ends_with_its_tests() {
    refuse(pages().filter(|page| page.is_topic()).filter_map(|page| {
        let headings: Vec<&str> = page.text.lines().filter_map(|line| line.strip_prefix("//! # ")).collect();
        if headings != PARTS {
            return Some(format!("{}:1: its parts are {headings:?}, not {PARTS:?}", page.name));
        }
        let (_, kept) = page.text.split_once("//! # Tests").expect("the last part");
        let named = citations(kept).iter().filter(|citation| citation.function.is_some()).count();
        (named < 2).then(|| format!("{}:1: it cites less than two tests", page.name))
    }));
}

#[test]
fn every_promise_is_one_sentence_with_its_test() {
    let text = fs::read_to_string(root().join(GUARANTEES)).expect("the page of promises");
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//! # ")).collect();
    assert_eq!(headings, PROMISED);
    let promises = promises(&text).unwrap_or_else(|wrong| panic!("{GUARANTEES}: {wrong}"));
    assert!(promises > 50, "only {promises} promises were found; has their form changed?");
}

#[test]
fn a_promise_without_a_test_is_named() {
    let wrong = |lines: &str| promises(&format!("//! Words. More words.\n//!\n//! # Part\n//!\n{lines}")).unwrap_err();
    let kept = "//! * A `a.b` goes\n//!   on.\n//!   `tests/it/a.rs::b`,\n//!   `src/a.rs::c`\n";
    assert_eq!(promises(&format!("//! # Part\n{kept}{kept}")), Ok(2));
    assert!(wrong("//! * It goes on.\n").contains("names no test"));
    assert!(wrong("//! * It goes on.\n//!   `tests/it/a.rs`\n").contains("names no test"));
    assert!(wrong("//! * It goes on. It ends.\n//!   `tests/it/a.rs::b`\n").contains("not one sentence"));
    assert!(wrong("//! * It goes on\n//!   `tests/it/a.rs::b`\n").contains("not one sentence"));
    assert!(wrong("//! * It goes on.\n//!   `tests/it/a.rs::b`, always\n").contains("not one sentence"));
    assert!(wrong("//! It never ends.\n").contains("no part of a promise"));
}

#[test]
fn every_flaw_is_linked_to_its_record() {
    refuse(pages().flat_map(|page| {
        let numbers: BTreeSet<String> = flaws(&page.text);
        let linked: BTreeSet<String> = page
            .text
            .lines()
            .filter_map(|line| {
                let (number, url) = line.strip_prefix("//! [")?.split_once("]: https://www.cve.org/CVERecord?id=")?;
                (number == url).then(|| number.to_owned())
            })
            .collect();
        let unlinked = numbers.difference(&linked).map(|number| format!("{}:1: {number} has no link", page.name));
        unlinked.collect::<Vec<_>>()
    }));
}

#[test]
fn a_page_is_words_only_and_the_first_page_lists_it() {
    let first = fs::read_to_string(root().join(FIRST)).expect("the first page");
    refuse(pages().filter(|page| page.name != FIRST).flat_map(|page| {
        let words = page.text.lines().all(|line| line.starts_with("//!"));
        let stem = Path::new(&page.name).file_stem().expect("a name").to_string_lossy().into_owned();
        let row = if page.is_topic() { format!("//! | [`{stem}`] |") } else { format!("[`{stem}`]") };
        let listed = first.contains(&format!("pub mod {stem};")) && first.contains(&row);
        let wrong = |text: &str| format!("{}:1: {text}", page.name);
        let code = (!words).then(|| wrong("holds more than `//!` lines"));
        let lost = (!listed).then(|| wrong("src/manual.rs does not declare and list it"));
        [code, lost].into_iter().flatten().collect::<Vec<_>>()
    }));
}

#[test]
fn a_citation_that_leads_nowhere_is_named() {
    let page = "//! See `src/a.rs::good`,\n//! * `src/a.rs::random` and `src/a.rs::helper`\n//! * `src/a.rs::gone`, `src/b.rs`, `src/b.rs::x`, `a.rs::x`\n";
    let source = "#[test]\n#[should_panic]\nfn good() {}\n\nfn helper() {}\n    #[test]\n    // Why.\n    fn random(a in 0..3) {}\n";
    let wrong: Vec<(usize, String)> = citations(page)
        .iter()
        .filter_map(|citation| {
            Some((citation.line, citation.wrong(|file| (file == "src/a.rs").then(|| source.to_owned()))?))
        })
        .collect();
    assert_eq!(
        wrong,
        [
            (2, "is not a test".to_owned()),
            (3, "does not exist in src/a.rs".to_owned()),
            (3, "names no file of the project".to_owned()),
            (3, "names no file of the project".to_owned()),
        ]
    );
    assert_eq!(
        flaws("CVE-2024-1 [CVE-2025-12345]. CVE-x, CVE-2024-"),
        ["CVE-2024-1", "CVE-2025-12345"].map(str::to_owned).into()
    );
}

struct Page {
    /// From the project's folder.
    name: String,
    text: String,
}

impl Page {
    /// Whether this is about one kind of attack.
    fn is_topic(&self) -> bool {
        ![FIRST, GUARANTEES].contains(&self.name.as_str())
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> impl Iterator<Item = Page> {
    let folder = fs::read_dir(root().join("src/manual")).expect("src/manual");
    let topics = folder.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = topics.map(|name| format!("src/manual/{name}")).collect();
    names.push(FIRST.to_owned());
    names.sort();
    names.into_iter().map(|name| {
        let text = fs::read_to_string(root().join(&name)).expect("a page");
        Page { name, text }
    })
}

/// A file, or a test in it, that a page names between backticks: `tests/it/read.rs::two_lengths_are_refused`.
struct Citation<'a> {
    line: usize,
    written: &'a str,
    file: &'a str,
    function: Option<&'a str>,
}

impl Citation<'_> {
    /// What is wrong with it, if anything, where `read` gives the content of a file that exists.
    fn wrong(&self, read: impl Fn(&str) -> Option<String>) -> Option<String> {
        let Some(function) = self.function else {
            let exists = read(self.file).is_some() || root().join(self.file).exists();
            return (!exists).then(|| "names no file of the project".to_owned());
        };
        let Some(source) = read(self.file) else { return Some("names no file of the project".to_owned()) };
        match is_test(&source, function) {
            None => Some(format!("does not exist in {}", self.file)),
            Some(false) => Some("is not a test".to_owned()),
            Some(true) => None,
        }
    }
}

fn citations(text: &str) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for written in line.split('`').skip(1).step_by(2) {
            if !FOLDERS.iter().any(|folder| written.starts_with(folder)) {
                continue;
            }
            let (file, function) = match written.split_once("::") {
                Some((file, function)) => (file, Some(function)),
                None => (written, None),
            };
            found.push(Citation { line: index + 1, written, file, function });
        }
    }
    found
}

/// The number of promises of a page: items of a list below the first heading, each one sentence and then its tests.
///
/// # Errors
/// What is no promise, and why.
fn promises(text: &str) -> Result<usize, String> {
    let mut items: Vec<String> = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("//! # ")) {
        let line = line.strip_prefix("//!").ok_or_else(|| format!("`{line}` is no comment"))?;
        if line.is_empty() || line.starts_with(" # ") {
            continue;
        }
        match (line.strip_prefix(" * "), line.strip_prefix("   "), items.last_mut()) {
            (Some(begun), ..) => items.push(begun.to_owned()),
            (None, Some(more), Some(item)) => item.extend([" ", more]),
            _ => return Err(format!("`{line}` is no part of a promise")),
        }
    }
    for item in &items {
        let tests: Vec<String> = citations(item)
            .iter()
            .filter(|citation| citation.function.is_some())
            .map(|citation| format!("`{}`", citation.written))
            .collect();
        let Some(first) = tests.first() else { return Err(format!("names no test: {item}")) };
        let (sentence, shown) = item.split_at(item.find(first).expect("what was found in it"));
        let sentence = sentence.trim_end();
        if !sentence.ends_with('.') || sentence.contains(". ") || shown.trim_end() != tests.join(", ") {
            return Err(format!("is not one sentence and then its tests: {item}"));
        }
    }
    Ok(items.len())
}

/// Whether `function` of `source` is a test; `None` if there is no such function.
fn is_test(source: &str, function: &str) -> Option<bool> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = |line: &str| {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.strip_prefix(function)?;
        name.starts_with('(').then_some(())
    };
    let at = lines.iter().position(|line| begins(line).is_some())?;
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    Some(above.into_iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test")))
}

/// The numbers of published flaws that `text` names.
fn flaws(text: &str) -> BTreeSet<String> {
    let mut numbers = BTreeSet::new();
    for (at, _) in text.match_indices("CVE-") {
        let rest = &text[at + 4..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        if let Some((year, number)) = rest[..end].split_once('-')
            && year.len() == 4
            && !number.is_empty()
        {
            numbers.insert(format!("CVE-{year}-{number}"));
        }
    }
    numbers
}

#[track_caller]
fn refuse(offences: impl Iterator<Item = String>) {
    let offences: Vec<String> = offences.collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}
