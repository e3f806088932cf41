//! Scan: the place of every value of a YAML file, and the mistakes that the values alone no longer show (duplicate keys, tags).

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScanError, Span, Tag};

use super::report::{MAX_MISTAKES, end_of};
use super::secret_fields::{self, Secrecy, secrecy};
use super::source_map::{NodeChildren, SourceNode};
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Place, Severity};

/// Largest nesting depth of collections. The deepest setting is at depth 8.
const MAX_DEPTH: usize = 64;

pub(super) struct ScannedFile {
    /// `None` for an empty file.
    pub node: Option<SourceNode>,
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the file can't be processed further.
    pub refused: bool,
}

/// Reads the structure of `text`.
pub(super) fn scan(file: &Arc<str>, text: &str) -> ScannedFile {
    let end = end_of(file, text.as_bytes());
    let mut scanner = Scanner { file, end, frames: Vec::new(), root: None, diagnostics: Vec::new() };
    let refused = scanner.run(text).is_err();
    ScannedFile { node: scanner.root, diagnostics: scanner.diagnostics, refused }
}

/// The file is refused; the reason is among the diagnostics.
struct FileRefused;

struct Scanner<'f> {
    file: &'f Arc<str>,
    /// End of the text. The parser reports one line more if the last line has no line feed.
    end: Place,
    /// The collections that are still open, outermost first.
    frames: Vec<OpenCollection>,
    root: Option<SourceNode>,
    diagnostics: Vec<Diagnostic>,
}

enum OpenCollection {
    List {
        place: Place,
        items: Vec<SourceNode>,
    },
    Mapping {
        place: Place,
        entries: Vec<(String, SourceNode)>,
        /// Where each key was seen first.
        seen: HashMap<String, Place>,
        /// The key whose value comes next.
        key: Option<(String, Place)>,
    },
}

impl Scanner<'_> {
    fn run(&mut self, text: &str) -> Result<(), FileRefused> {
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
                    self.complete(Some(&text), place, NodeChildren::None);
                }
                Event::Alias(_) => self.complete(None, place, NodeChildren::None),
                Event::SequenceStart(_, tag) => {
                    self.check_tag(tag.as_deref(), &place);
                    self.open(OpenCollection::List { place, items: Vec::new() })?;
                }
                Event::MappingStart(_, tag) => {
                    self.check_tag(tag.as_deref(), &place);
                    self.open(OpenCollection::Mapping { place, entries: Vec::new(), seen: HashMap::new(), key: None })?;
                }
                Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                    Some(OpenCollection::List { place, items }) => {
                        self.complete(None, place, NodeChildren::Listed(items))
                    }
                    Some(OpenCollection::Mapping { place, entries, .. }) => {
                        self.complete(None, place, NodeChildren::Keyed(entries));
                    }
                    None => {}
                },
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, frame: OpenCollection) -> Result<(), FileRefused> {
        if self.frames.len() == MAX_DEPTH {
            let (OpenCollection::List { place, .. } | OpenCollection::Mapping { place, .. }) = frame;
            return Err(self.refuse(place, "too_deep", "lists and mappings stand too deep in each other"));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// A value is complete: it is the next item, key or value of the innermost open collection.
    fn complete(&mut self, scalar: Option<&str>, place: Place, children: NodeChildren) {
        let node = SourceNode { key: None, value: place.clone(), children };
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        match frame {
            OpenCollection::List { items, .. } => items.push(node),
            OpenCollection::Mapping { entries, seen, key, .. } => match (key.take(), scalar) {
                (None, Some(text)) => *key = Some((text.to_owned(), place)),
                (None, None) => {
                    *key = Some(("?".to_owned(), place.clone()));
                    let path = self.innermost();
                    self.report(place, &path, "invalid_key", "a key must be plain text".to_owned());
                }
                (Some((name, key_place)), _) => match seen.get(&name) {
                    None => {
                        seen.insert(name.clone(), key_place.clone());
                        entries.push((name, SourceNode { key: Some(key_place), ..node }));
                    }
                    Some(first) => {
                        let first = first.clone();
                        // The values of both are checked, so that the second hides nothing.
                        if let Some((_, earlier)) = entries.iter_mut().find(|(earlier, _)| *earlier == name) {
                            earlier.join(node);
                        }
                        let parent = self.innermost();
                        let message = match secrecy(&parent.0) {
                            Secrecy::Secret(_) => format!("a key was already given at {first}"),
                            Secrecy::Open | Secrecy::Above => format!("the key `{name}` was already given at {first}"),
                        };
                        self.report(key_place, &parent.key(&name), "duplicate_key", message);
                    }
                },
            },
        }
    }

    /// The path of the innermost open collection.
    fn innermost(&self) -> DocPath {
        next_below(&self.frames[..self.frames.len().saturating_sub(1)])
    }

    /// The path of the value that comes next.
    fn path(&self) -> DocPath {
        next_below(&self.frames)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, place: &Place) {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            let path = self.path();
            // The tag is not shown: a secret may begin with `!`.
            let message = "a value that begins with `!` is a YAML tag, which means nothing here: write text in quotes";
            self.report(place.clone(), &path, "yaml_tag", message.to_owned());
        }
    }

    fn syntax(&mut self, error: &ScanError) -> FileRefused {
        let place = self.place(&Span::empty(*error.marker()));
        self.refuse(place, "yaml_syntax", error.info())
    }

    fn refuse(&mut self, place: Place, code: &'static str, message: &str) -> FileRefused {
        let path = self.path();
        self.report(place, &path, code, message.to_owned());
        FileRefused
    }

    fn report(&mut self, place: Place, path: &DocPath, code: &'static str, message: String) {
        if self.diagnostics.len() >= MAX_MISTAKES {
            return;
        }
        let severity = Severity::Error;
        let path = secret_fields::shown(path.0.clone());
        self.diagnostics.push(Diagnostic { code, severity, place, path, message, help: None });
    }

    fn place(&self, span: &Span) -> Place {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // The parser counts columns from 0.
        let (line, column) = (small(span.start.line()), small(span.start.col()).saturating_add(1));
        Place { file: self.file.clone(), line, column }.min(self.end.clone())
    }
}

/// The path of the value that comes next in the last of `frames`, each of which is part of the one before.
fn next_below(frames: &[OpenCollection]) -> DocPath {
    frames.iter().fold(DocPath::root(), |path, frame| match frame {
        OpenCollection::List { items, .. } => path.index(items.len()),
        OpenCollection::Mapping { key: Some((name, _)), .. } => path.key(name),
        OpenCollection::Mapping { key: None, .. } => path,
    })
}
