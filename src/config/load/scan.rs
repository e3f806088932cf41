//! Scan: where every value of a YAML file stands, and what the values alone no longer show (duplicate keys, tags).

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScanError, Span, Tag};

use super::places::{Children, Node};
use super::{MAX_MISTAKES, end_of};
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Place, Severity};

/// How deep collections may stand in each other. The deepest setting stands at 8.
const MAX_DEPTH: usize = 64;

pub(super) struct Scanned {
    /// `None` for an empty file.
    pub node: Option<Node>,
    pub diagnostics: Vec<Diagnostic>,
    /// Whether a mistake leaves nothing to go on with.
    pub refused: bool,
}

/// Reads the structure of `text`.
pub(super) fn scan(file: &Arc<str>, text: &str) -> Scanned {
    let end = end_of(file, text.as_bytes());
    let mut scanner = Scanner { file, end, frames: Vec::new(), root: None, diagnostics: Vec::new() };
    let refused = scanner.run(text).is_err();
    Scanned { node: scanner.root, diagnostics: scanner.diagnostics, refused }
}

/// The file is refused; the reason is among the diagnostics.
struct Refused;

struct Scanner<'f> {
    file: &'f Arc<str>,
    /// The parser counts a line behind the last one where that has no line feed.
    end: Place,
    /// The collections that are still open, outermost first.
    frames: Vec<Frame>,
    root: Option<Node>,
    diagnostics: Vec<Diagnostic>,
}

enum Frame {
    List {
        place: Place,
        items: Vec<Node>,
    },
    Mapping {
        place: Place,
        entries: Vec<(String, Node)>,
        /// Where each key was seen first.
        seen: HashMap<String, Place>,
        /// The key whose value comes next.
        key: Option<(String, Place)>,
    },
}

impl Scanner<'_> {
    fn run(&mut self, text: &str) -> Result<(), Refused> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let place = self.place(&span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.refuse(
                            place,
                            "yaml_syntax",
                            "a second document begins here; a file holds one",
                        ));
                    }
                }
                Event::Scalar(text, _, _, tag) => {
                    self.check_tag(tag.as_deref(), &place);
                    self.complete(Some(&text), place, Children::None);
                }
                Event::Alias(_) => self.complete(None, place, Children::None),
                Event::SequenceStart(_, tag) => {
                    self.check_tag(tag.as_deref(), &place);
                    self.open(Frame::List { place, items: Vec::new() })?;
                }
                Event::MappingStart(_, tag) => {
                    self.check_tag(tag.as_deref(), &place);
                    self.open(Frame::Mapping { place, entries: Vec::new(), seen: HashMap::new(), key: None })?;
                }
                Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                    Some(Frame::List { place, items }) => self.complete(None, place, Children::Listed(items)),
                    Some(Frame::Mapping { place, entries, .. }) => {
                        self.complete(None, place, Children::Keyed(entries));
                    }
                    None => {}
                },
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) -> Result<(), Refused> {
        if self.frames.len() == MAX_DEPTH {
            let (Frame::List { place, .. } | Frame::Mapping { place, .. }) = frame;
            return Err(self.refuse(place, "too_deep", "lists and mappings stand too deep in each other"));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// A value is complete: it is the next item, key or value of the innermost open collection.
    fn complete(&mut self, scalar: Option<&str>, place: Place, children: Children) {
        let path = self.path();
        let node = Node { key: None, value: place.clone(), children };
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Mapping { entries, seen, key, .. }) => match (key.take(), scalar) {
                (None, Some(text)) => *key = Some((text.to_owned(), place)),
                (None, None) => {
                    *key = Some(("?".to_owned(), place.clone()));
                    self.report(place, &path, "invalid_key", "a key must be plain text".to_owned());
                }
                (Some((name, key_place)), _) => match seen.get(&name) {
                    None => {
                        seen.insert(name.clone(), key_place.clone());
                        entries.push((name, Node { key: Some(key_place), ..node }));
                    }
                    Some(first) => {
                        let message = format!("the key `{name}` was already given at {first}");
                        self.report(key_place, &path, "duplicate_key", message);
                    }
                },
            },
        }
    }

    /// The path of the value that comes next.
    fn path(&self) -> DocPath {
        self.frames.iter().fold(DocPath::root(), |path, frame| match frame {
            Frame::List { items, .. } => path.index(items.len()),
            Frame::Mapping { key: Some((name, _)), .. } => path.key(name),
            Frame::Mapping { key: None, .. } => path,
        })
    }

    fn check_tag(&mut self, tag: Option<&Tag>, place: &Place) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let path = self.path();
            self.report(place.clone(), &path, "yaml_tag", format!("the YAML tag `{tag}` means nothing here"));
        }
    }

    fn syntax(&mut self, error: &ScanError) -> Refused {
        let place = self.place(&Span::empty(*error.marker()));
        self.refuse(place, "yaml_syntax", error.info())
    }

    fn refuse(&mut self, place: Place, code: &'static str, message: &str) -> Refused {
        let path = self.path();
        self.report(place, &path, code, message.to_owned());
        Refused
    }

    fn report(&mut self, place: Place, path: &DocPath, code: &'static str, message: String) {
        if self.diagnostics.len() >= MAX_MISTAKES {
            return;
        }
        let severity = Severity::Error;
        self.diagnostics.push(Diagnostic { code, severity, place, path: path.0.clone(), message, help: None });
    }

    fn place(&self, span: &Span) -> Place {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // The parser counts columns from 0.
        let (line, column) = (small(span.start.line()), small(span.start.col()).saturating_add(1));
        Place { file: self.file.clone(), line, column }.min(self.end.clone())
    }
}
