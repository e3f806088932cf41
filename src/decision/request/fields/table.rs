//! A second backing of [`super::Fields`], for tests: slices of a received head, found by id.

use super::{FieldName, FieldNames};

/// The field lines of one head.
#[derive(Debug)]
pub(crate) struct FieldTable<'a> {
    lines: Vec<FieldLine<'a>>,
    /// By [`super::FieldId`]: the first line of that name.
    first: Vec<Option<usize>>,
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub struct FieldLine<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    id: Option<usize>,
}

impl<'a> FieldTable<'a> {
    /// Takes apart what follows the request line of a head whose grammar was checked.
    pub(crate) fn read(head: &'a [u8], names: &FieldNames) -> Self {
        let mut table = FieldTable { lines: Vec::new(), first: vec![None; names.len()] };
        for line in head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|&byte| byte == b':').expect("a checked line has a colon");
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let id = names.find(name).and_then(super::FieldId::index);
            if let Some(id) = id {
                table.first[id].get_or_insert(table.lines.len());
            }
            table.lines.push(FieldLine { name, value, id });
        }
        table
    }

    pub(super) fn lines(&self) -> &[FieldLine<'a>] {
        &self.lines
    }

    pub(super) fn values(&'a self, name: &FieldName) -> Values<'a> {
        let first = match name.id().index() {
            Some(id) => self.first[id],
            None => self.lines.iter().position(|line| line.name.eq_ignore_ascii_case(name.as_str().as_bytes())),
        };
        Values { lines: first.map_or(&[], |first| &self.lines[first..]), of: first.map(|first| &self.lines[first]) }
    }
}

/// The values of the lines that have the name of one of them.
#[derive(Debug)]
pub struct Values<'a> {
    lines: &'a [FieldLine<'a>],
    of: Option<&'a FieldLine<'a>>,
}

impl<'a> Values<'a> {
    fn is_of(&self, line: &FieldLine<'_>) -> bool {
        self.of.is_some_and(|of| match (of.id, line.id) {
            (None, None) => of.name.eq_ignore_ascii_case(line.name),
            (of, other) => of == other,
        })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let at = self.lines.iter().position(|line| self.is_of(line))?;
        let value = self.lines[at].value;
        self.lines = &self.lines[at + 1..];
        Some(value)
    }
}

impl DoubleEndedIterator for Values<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let at = self.lines.iter().rposition(|line| self.is_of(line))?;
        let value = self.lines[at].value;
        self.lines = &self.lines[..at];
        Some(value)
    }
}
