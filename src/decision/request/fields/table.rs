//! Slices of a received head, found by id: fields without a map.

use std::ops::Range;

use smallvec::SmallVec;

use super::names::{FieldId, FieldName, FieldNames};

/// The field lines of one head.
#[derive(Debug)]
pub struct FieldTable<'a> {
    bytes: &'a [u8],
    lines: SmallVec<[FieldLine; 24]>,
    /// By [`FieldId`]: the number of the first line of that name, from 1 on. 0: there is none.
    first: SmallVec<[u16; 40]>,
}

/// Where one field line stands.
#[derive(Clone, Debug)]
struct FieldLine {
    name: Range<u32>,
    value: Range<u32>,
    /// Index of the name, if it has one.
    id: Option<u16>,
}

impl<'a> FieldTable<'a> {
    /// Takes the lines of a head apart whose grammar was checked ([`crate::decision::request::head`]): what follows the request line.
    ///
    /// # Panics
    /// If the lines are longer than 4 GiB.
    pub fn read(bytes: &'a [u8], names: &FieldNames) -> Self {
        let mut table = FieldTable { bytes, lines: SmallVec::new(), first: SmallVec::from_elem(0, names.len()) };
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &bytes[start..]) {
            let line = &bytes[start..start + length];
            // The empty line has none.
            if let Some(colon) = memchr::memchr(b':', line) {
                let value = line[colon + 1..].trim_ascii_start();
                let begins = start + line.len() - value.len();
                let value = begins..begins + value.trim_ascii_end().len();
                table.push(start..start + colon, value, names.find(&line[..colon]));
            }
            start += length + 1;
        }
        table
    }

    fn push(&mut self, name: Range<usize>, value: Range<usize>, id: Option<FieldId>) {
        let place = |at: usize| u32::try_from(at).expect("BUG: a head has a bound");
        let id = id.and_then(FieldId::index);
        if let Some(first) = id.and_then(|id| self.first.get_mut(id))
            && *first == 0
        {
            // A head has fewer lines than that: `HARD_MAX_HEADER_COUNT`.
            *first = u16::try_from(self.lines.len() + 1).unwrap_or(0);
        }
        self.lines.push(FieldLine {
            name: place(name.start)..place(name.end),
            value: place(value.start)..place(value.end),
            id: id.and_then(|id| u16::try_from(id).ok()),
        });
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line with this index.
    fn line(&self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        let FieldLine { name, value, .. } = self.lines.get(index)?;
        Some((self.slice(name), self.slice(value)))
    }

    fn slice(&self, place: &Range<u32>) -> &'a [u8] {
        &self.bytes[place.start as usize..place.end as usize]
    }

    pub(super) fn lines(&'a self) -> Lines<'a> {
        Lines { table: self, next: 0 }
    }

    pub(super) fn values(&'a self, name: &FieldName) -> Values<'a> {
        let first = match name.id().index() {
            Some(id) => self.first.get(id).and_then(|first| usize::from(*first).checked_sub(1)),
            None => {
                let same = |line: &FieldLine| self.slice(&line.name).eq_ignore_ascii_case(name.as_str().as_bytes());
                self.lines.iter().position(same)
            }
        };
        let (of, end) = first.map_or((0, 0), |first| (first, self.lines.len()));
        Values { table: self, of, left: of..end }
    }
}

/// All lines.
#[derive(Debug)]
pub struct Lines<'a> {
    table: &'a FieldTable<'a>,
    next: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.table.line(self.next)?;
        self.next += 1;
        Some(line)
    }
}

/// The values of the lines that have the name of one of them.
#[derive(Debug)]
pub struct Values<'a> {
    table: &'a FieldTable<'a>,
    of: usize,
    /// The lines that were not looked at.
    left: Range<usize>,
}

impl<'a> Values<'a> {
    fn is_of(&self, line: usize) -> bool {
        let (of, line) = (&self.table.lines[self.of], &self.table.lines[line]);
        match (of.id, line.id) {
            (None, None) => self.table.slice(&of.name).eq_ignore_ascii_case(self.table.slice(&line.name)),
            (of, other) => of == other,
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let line = self.left.next()?;
            if self.is_of(line) {
                return Some(self.table.line(line)?.1);
            }
        }
    }
}

impl DoubleEndedIterator for Values<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.left.next_back()?;
            if self.is_of(line) {
                return Some(self.table.line(line)?.1);
            }
        }
    }
}
