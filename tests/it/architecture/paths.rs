//! Reads the paths that a source file uses: those of `use` declarations and those written in place, resolved as far as the
//! file itself allows. Not a Rust parser: it knows comments, literals, `use` trees, inline modules and `#[cfg(test)]`.

use std::collections::HashMap;

/// A path as used in a file, from its root on.
#[derive(Debug, PartialEq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
    /// It stands in a `pub use`.
    pub reexport: bool,
}

/// Whether a file holds nothing but tests.
pub fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.ends_with("/testing.rs") || file.contains("/tests/")
}

/// Every path of two or more segments in `text`, which is the content of `file` (such as `src/decision/route.rs`).
pub fn paths(file: &str, text: &str) -> Vec<Path> {
    let tokens = without_tests(tokens(text));
    let mut reader = Reader { module: module_of(file), ..Reader::default() };
    reader.read(&tokens);
    // An import may stand below its use, so names are resolved at the end.
    let Reader { mut found, imports, in_place, .. } = reader;
    for mut path in in_place {
        if let Some(imported) = imports.get(&path.segments[0]) {
            path.segments.splice(..1, imported.iter().cloned());
        }
        found.push(path);
    }
    found.sort_by_key(|path| path.line);
    found
}

/// The types that are declared, with their lines: structs, enums, unions and traits, and aliases of modules.
pub fn declared_types(text: &str) -> Vec<(usize, String)> {
    let tokens = without_tests(tokens(text));
    let mut depth = 0;
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        match &pair[0].1 {
            Mark('{') => depth += 1,
            Mark('}') => depth -= 1,
            Name(kind) => {
                let declares = matches!(&**kind, "struct" | "enum" | "union" | "trait") || kind == "type" && depth == 0;
                if let (true, (line, Name(name))) = (declares, &pair[1]) {
                    found.push((*line, name.clone()));
                }
            }
            _ => {}
        }
    }
    found
}

/// The names of the macros that are called, with their lines.
pub fn macro_calls(text: &str) -> Vec<(usize, String)> {
    let tokens = without_tests(tokens(text));
    let call = |pair: &[(usize, Token)]| match pair {
        [(line, Token::Name(name)), (_, Token::Mark('!'))] => Some((*line, name.clone())),
        _ => None,
    };
    tokens.windows(2).filter_map(call).collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// `::`
    Separator,
    Mark(char),
}

use Token::{Mark, Name, Separator};

#[derive(Default)]
struct Reader {
    module: Vec<String>,
    /// The depth at which each inline module of `module` ends.
    inline: Vec<usize>,
    /// Whether the declaration that is read is a `pub use`.
    reexport: bool,
    found: Vec<Path>,
    in_place: Vec<Path>,
    imports: HashMap<String, Vec<String>>,
}

impl Reader {
    fn read(&mut self, tokens: &[(usize, Token)]) {
        let mut depth = 0;
        let mut at = 0;
        while let Some((line, token)) = tokens.get(at) {
            match token {
                Mark('{') => depth += 1,
                Mark('}') => {
                    depth -= 1;
                    if self.inline.last() == Some(&depth) {
                        self.inline.pop();
                        self.module.pop();
                    }
                }
                Name(word) if word == "use" => {
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    self.reexport =
                        before.is_some_and(|(_, token)| *token == Mark(')') || *token == Name("pub".to_owned()));
                    at = self.read_use(tokens, at + 1, &[]);
                    continue;
                }
                Name(word) if word == "mod" => {
                    if let [(_, Name(name)), (_, Mark('{')), ..] = &tokens[at + 1..] {
                        self.inline.push(depth);
                        self.module.push(name.clone());
                    }
                    // The name is no path.
                    at += 1;
                }
                Name(first) => {
                    let mut segments = vec![first.clone()];
                    while let [(_, Separator), (_, Name(next)), ..] = &tokens[at + 1..] {
                        segments.push(next.clone());
                        at += 2;
                    }
                    if segments.len() > 1 {
                        let segments = self.absolute(segments);
                        self.in_place.push(Path { line: *line, segments, reexport: false });
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads one tree of a `use` declaration that begins at `at` below `prefix`; gives where it ends.
    fn read_use(&mut self, tokens: &[(usize, Token)], mut at: usize, prefix: &[String]) -> usize {
        let mut segments = prefix.to_vec();
        let line = tokens.get(at).map_or(0, |(line, _)| *line);
        let mut alias = None;
        while let Some((_, token)) = tokens.get(at) {
            match token {
                Separator => {}
                Name(word) if word == "as" => {
                    if let Some((_, Name(name))) = tokens.get(at + 1) {
                        alias = Some(name.clone());
                    }
                    at += 1;
                }
                Name(word) if word == "self" && !segments.is_empty() => {}
                Name(word) => segments.push(word.clone()),
                Mark('{') => {
                    loop {
                        at = self.read_use(tokens, at + 1, &segments);
                        if !matches!(tokens.get(at), Some((_, Mark(',')))) {
                            break;
                        }
                    }
                    return at + 1;
                }
                Mark('*') => {}
                _ => break,
            }
            at += 1;
        }
        if segments.len() > prefix.len() || alias.is_some() || !prefix.is_empty() {
            let segments = self.absolute(segments);
            if let Some(name) = alias.or_else(|| segments.last().cloned()) {
                self.imports.insert(name, segments.clone());
            }
            self.found.push(Path { line, segments, reexport: self.reexport });
        }
        at
    }

    /// Replaces `self`, `super` and the crate's own name by the module that they stand for.
    fn absolute(&self, segments: Vec<String>) -> Vec<String> {
        let mut root = match segments[0].as_str() {
            "self" | "super" => self.module.clone(),
            "portcullis" => vec!["crate".to_owned()],
            _ => return segments,
        };
        let mut rest = segments.into_iter().peekable();
        while let Some(word) = rest.next_if(|word| matches!(word.as_str(), "self" | "super" | "portcullis")) {
            if word == "super" {
                root.pop();
            }
        }
        root.extend(rest);
        root
    }
}

/// `src/decision/access.rs` is `crate::decision::access`; the roots of the crates are `crate`.
pub fn module_of(file: &str) -> Vec<String> {
    let below = file.trim_start_matches("src/").trim_end_matches(".rs");
    let names = below.split('/').filter(|name| !matches!(*name, "lib" | "main"));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<(usize, Token)>) -> Vec<(usize, Token)> {
    let attribute: Vec<Token> = ["#", "[", "cfg", "(", "test", ")", "]"]
        .map(|part| match part.chars().next() {
            Some(mark) if !mark.is_alphabetic() => Mark(mark),
            _ => Name(part.to_owned()),
        })
        .to_vec();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let here = tokens[at..].iter().map(|(_, token)| token);
        if here.take(attribute.len()).eq(&attribute) {
            at = end_of_item(&tokens, at + attribute.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item that begins at `at` ends: after its `;`, or after the block that closes it.
fn end_of_item(tokens: &[(usize, Token)], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some((_, token)) = tokens.get(at) {
        at += 1;
        match token {
            Mark('{' | '(' | '[') => depth += 1,
            Mark(')' | ']') => depth -= 1,
            Mark('}') => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            Mark(';') if depth == 0 => break,
            _ => {}
        }
    }
    at
}

/// Splits into words and marks with their lines; comments, literals and lifetimes are left out.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push((line, Name(rest[..length].to_owned())));
            length
        } else if rest.starts_with("::") {
            tokens.push((line, Separator));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, Mark(first)));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string, character or lifetime that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let body = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - body.len();
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = inside.find(&close).map_or(inside.len(), |end| end + close.len());
        return Some(text.len() - inside.len() + end);
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"'));
    }
    if let Some(inside) = body.strip_prefix('\'') {
        let mut characters = inside.chars();
        let first = characters.next()?;
        if first == '\\' || characters.next() == Some('\'') {
            return Some(prefix + quoted(body, '\''));
        }
        let name = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
        return Some(prefix + 1 + name);
    }
    None
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> =
            paths("src/state/limits.rs", text).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn trees_of_use_are_taken_apart() {
        check(
            "use crate::{config::snapshot::{self, Health}, secret};",
            &["crate::config::snapshot", "crate::config::snapshot::Health", "crate::secret"],
        );
        check("pub(crate) use std::{fmt as f, io::*};", &["std::fmt", "std::io"]);
    }

    #[test]
    fn relative_paths_are_resolved() {
        check("use super::tokens;", &["crate::state::tokens"]);
        check("use super::super::proxy;", &["crate::proxy"]);
        check("fn f() { self::g::h() }", &["crate::state::limits::g::h"]);
        check("mod inner { use super::super::tokens; } use super::x;", &["crate::state::tokens", "crate::state::x"]);
    }

    #[test]
    fn imported_names_are_resolved_wherever_the_import_stands() {
        check(
            "fn f() { Clock::now(); } use std::time::Instant as Clock;",
            &["std::time::Instant", "std::time::Instant::now"],
        );
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = r###"
            // std::fs::read
            /* std::fs /* nested */ std::fs::read */
            const A: &str = "std::fs::read \" std::fs::read"; const B: &str = r#"std::fs::read" "#;
            fn f<'a>(c: char) { c == '"' || c == '\'' || c == ':'; tokio::spawn(b'x') }
        "###;
        check(text, &["tokio::spawn"]);
    }

    #[test]
    fn tests_do_not_count() {
        check("#[cfg(test)] mod tests { fn f() { a::b() } } fn g() { c::d() }", &["c::d"]);
        check("#[cfg(test)]\nuse a::b;\nuse c::d;", &["c::d"]);
        check("#[cfg(test)] #[derive(A)] struct S([u8; 2]); use c::d;", &["c::d"]);
    }

    #[test]
    fn lines_count_through_literals() {
        let found = paths("src/lib.rs", "const A: &str = \"\n\n\";\nuse a::b;");
        assert_eq!(found, [Path { line: 4, segments: vec!["a".to_owned(), "b".to_owned()], reexport: false }]);
    }

    #[test]
    fn macros_are_found_by_name() {
        assert_eq!(macro_calls("fn f() {\n todo!() }\n// todo!()"), [(2, "todo".to_owned())]);
    }
}
