//! The fields of a request's head (RFC 9110 §5), whatever holds them.
//!
//! Decisions read fields through [`Fields`] alone. A [`HeaderMap`] is behind it, or a table of slices over a received head
//! ([`FieldTable`]), since no answer of the view needs more than the bytes that were received. Names that the code or a configuration
//! mentions are [`FieldName`]s: they carry an id that is known at load, so that such a table finds them by index. A map
//! finds them by their [`http::HeaderName`].

mod names;
mod table;
#[cfg(test)]
mod tests;

use http::header::{self, HeaderMap, HeaderValue};

pub use names::*;
pub use table::FieldTable;

/// The fields of one request, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Backing<'a>);

/// What holds the fields.
#[derive(Clone, Copy, Debug)]
enum Backing<'a> {
    Map(&'a HeaderMap),
    FieldTable(&'a FieldTable<'a>),
}

impl<'a> From<&'a HeaderMap> for Fields<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Fields(Backing::Map(map))
    }
}

impl<'a> From<&'a FieldTable<'a>> for Fields<'a> {
    fn from(table: &'a FieldTable<'a>) -> Self {
        Fields(Backing::FieldTable(table))
    }
}

impl<'a> Fields<'a> {
    /// The first value of `name`.
    pub fn get(self, name: &FieldName) -> Option<&'a [u8]> {
        match self.0 {
            Backing::Map(map) => map.get(name.header_name()).map(HeaderValue::as_bytes),
            Backing::FieldTable(table) => table.values(name).next(),
        }
    }

    /// The values of `name`, one for each field line, in the order in which they were received.
    pub fn get_all(self, name: &FieldName) -> FieldValues<'a> {
        match self.0 {
            Backing::Map(map) => FieldValues::Map(map.get_all(name.header_name()).into_iter()),
            Backing::FieldTable(table) => FieldValues::FieldTable(table.values(name)),
        }
    }

    /// Whether there is any value of `name`.
    pub fn contains(self, name: &FieldName) -> bool {
        match self.0 {
            Backing::Map(map) => map.contains_key(name.header_name()),
            Backing::FieldTable(table) => table.values(name).next().is_some(),
        }
    }

    /// The length of its body that the request announces, in bytes. What is no number was refused when the head was read.
    pub fn content_length(self) -> Option<u64> {
        std::str::from_utf8(self.get(&CONTENT_LENGTH)?).ok()?.parse().ok()
    }

    /// The number of field lines.
    pub fn len(self) -> usize {
        match self.0 {
            Backing::Map(map) => map.len(),
            Backing::FieldTable(table) => table.len(),
        }
    }

    /// Whether there is no field line.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The name and the value of every field line. The lines of one name keep their order; names keep the case that the
    /// backing knows them in, so compare them without regard to case.
    pub fn lines(self) -> FieldLines<'a> {
        match self.0 {
            Backing::Map(map) => FieldLines::Map(map.iter()),
            Backing::FieldTable(table) => FieldLines::FieldTable(table.lines()),
        }
    }
}

/// The values of one name; see [`Fields::get_all`].
#[derive(Debug)]
pub enum FieldValues<'a> {
    #[doc(hidden)]
    Map(header::ValueIter<'a, HeaderValue>),
    #[doc(hidden)]
    FieldTable(table::Values<'a>),
}

impl<'a> Iterator for FieldValues<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            FieldValues::Map(values) => values.next().map(HeaderValue::as_bytes),
            FieldValues::FieldTable(values) => values.next(),
        }
    }
}

impl DoubleEndedIterator for FieldValues<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            FieldValues::Map(values) => values.next_back().map(HeaderValue::as_bytes),
            FieldValues::FieldTable(values) => values.next_back(),
        }
    }
}

/// The lines of a head; see [`Fields::lines`].
#[derive(Debug)]
pub enum FieldLines<'a> {
    #[doc(hidden)]
    Map(header::Iter<'a, HeaderValue>),
    #[doc(hidden)]
    FieldTable(table::Lines<'a>),
}

impl<'a> Iterator for FieldLines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            FieldLines::Map(lines) => lines.next().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())),
            FieldLines::FieldTable(lines) => lines.next(),
        }
    }
}
