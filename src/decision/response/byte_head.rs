//! The head of an HTTP/1 message as it was received, edited without a header map.
//!
//! What was received stays where it is: a line is two slices of it until somebody declares otherwise. [`ByteHead::write`]
//! puts the edited head together.

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::section::HeaderSection;

/// A head, taken apart into its lines.
#[derive(Clone, Debug, Default)]
pub struct ByteHead<'h> {
    start_line: &'h [u8],
    lines: Vec<HeadLine<'h>>,
    names: NameMarks,
}

/// One of 64 marks, the same for a name in upper and lower case. Names with another one are other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameMark(u8);

/// The marks of the names in a head. Most names that are asked for are not there, and most of those have a mark that is not, either.
#[derive(Clone, Copy, Debug, Default)]
struct NameMarks(u64);

#[derive(Clone, Debug)]
struct HeadLine<'h> {
    name: LineName<'h>,
    value: LineValue<'h>,
    mark: NameMark,
}

#[derive(Clone, Debug)]
enum LineName<'h> {
    Received(&'h [u8]),
    Declared(HeaderName),
}

#[derive(Clone, Debug)]
enum LineValue<'h> {
    Received(&'h [u8]),
    Declared(HeaderValue),
}

impl<'h> ByteHead<'h> {
    /// The fields of a head that was taken apart before. They have no start line.
    pub fn of_fields(fields: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Self {
        let mut head = ByteHead::with_room(b"");
        fields.for_each(|(name, value)| head.push_received(name, value));
        head
    }

    /// The fields of a head that is made here.
    pub fn new() -> Self {
        ByteHead::with_room(b"")
    }

    fn with_room(start_line: &'h [u8]) -> Self {
        ByteHead { start_line, lines: Vec::with_capacity(USUAL_LINES), names: NameMarks::default() }
    }

    /// Takes `head` apart, from its start line to the empty line that ends it. `None` where a line has no colon or does not
    /// end in CR LF, or where the head does not end: a head that was not checked before has no edited form.
    pub fn read(head: &'h [u8]) -> Option<Self> {
        let (start_line, mut rest) = line(head)?;
        let mut read = ByteHead::with_room(start_line);
        loop {
            let (text, after) = line(rest)?;
            if text.is_empty() {
                return Some(read);
            }
            let colon = memchr::memchr(b':', text)?;
            read.push_received(&text[..colon], text[colon + 1..].trim_ascii());
            rest = after;
        }
    }

    /// Adds a further value of `name`, like [`HeaderSection::append`], of what is used for nothing else.
    pub fn append_owned(&mut self, name: HeaderName, value: HeaderValue) {
        self.push(name, LineValue::Declared(value));
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The name and the value of every line. The lines of one name are in order.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name.as_bytes(), line.value.as_bytes()))
    }

    /// Appends the head to `out`, with the empty line that ends it. A declared name is written as clients know it:
    /// `X-Frame-Options`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.start_line);
        out.extend_from_slice(b"\r\n");
        self.write_fields(out);
    }

    /// Appends the fields to `out`, with the empty line that ends the head.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        let length = |line: &HeadLine<'_>| line.name.as_bytes().len() + line.value.as_bytes().len() + 4;
        out.reserve(2 + self.lines.iter().map(length).sum::<usize>());
        for line in &self.lines {
            match &line.name {
                LineName::Received(name) => out.extend_from_slice(name),
                LineName::Declared(name) => push_titled(out, name.as_str().as_bytes()),
            }
            out.extend_from_slice(b": ");
            out.extend_from_slice(line.value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The fields as a map. A line that no map can hold is left out: what was received as a head has none.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for line in &self.lines {
            let name = match &line.name {
                LineName::Received(name) => HeaderName::from_bytes(name),
                LineName::Declared(name) => Ok(name.clone()),
            };
            let value = match &line.value {
                LineValue::Received(value) => HeaderValue::from_bytes(value),
                LineValue::Declared(value) => Ok(value.clone()),
            };
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }

    fn push_received(&mut self, name: &'h [u8], value: &'h [u8]) {
        let mark = NameMark::of(name);
        self.names.add(mark);
        self.lines.push(HeadLine { name: LineName::Received(name), value: LineValue::Received(value), mark });
    }

    fn push(&mut self, name: HeaderName, value: LineValue<'h>) {
        let mark = NameMark::of(name.as_str().as_bytes());
        self.names.add(mark);
        self.lines.push(HeadLine { name: LineName::Declared(name), value, mark });
    }

    /// How to tell the lines of `name`. `None`: there are none.
    fn sought<'n>(&self, name: &'n HeaderName) -> Option<SoughtName<'n>> {
        let mark = NameMark::of(name.as_str().as_bytes());
        self.names.have(mark).then_some(SoughtName { name, mark })
    }
}

impl NameMark {
    fn of(name: &[u8]) -> Self {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return NameMark(0) };
        // Of a letter, this bit is its case.
        let (first, last) = (usize::from(first | 0x20), usize::from(last | 0x20));
        NameMark(((name.len() + 5 * first + 11 * last) % 64) as u8)
    }
}

impl NameMarks {
    fn add(&mut self, mark: NameMark) {
        self.0 |= 1 << mark.0;
    }

    fn have(self, mark: NameMark) -> bool {
        self.0 & 1 << mark.0 != 0
    }
}

/// A name that lines may have.
#[derive(Clone, Copy)]
struct SoughtName<'n> {
    name: &'n HeaderName,
    mark: NameMark,
}

impl SoughtName<'_> {
    fn is_of(self, line: &HeadLine<'_>) -> bool {
        line.mark == self.mark && line.name.is(self.name)
    }
}

impl HeaderSection for ByteHead<'_> {
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let sought = self.sought(name);
        let lines = sought.map_or(&[][..], |_| &self.lines);
        lines.iter().filter(move |line| sought.is_some_and(|name| name.is_of(line))).map(|line| line.value.as_bytes())
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.sought(name).is_some_and(|name| self.lines.iter().any(|line| name.is_of(line)))
    }

    fn remove(&mut self, name: &HeaderName) {
        if let Some(name) = self.sought(name) {
            self.lines.retain(|line| !name.is_of(line));
        }
    }

    fn rename(&mut self, old: &HeaderName, new: &HeaderName) {
        let Some(old) = self.sought(old) else { return };
        let mut moved: SmallVec<[LineValue<'_>; 4]> = SmallVec::new();
        self.lines.retain(|line| {
            let stays = !old.is_of(line);
            if !stays {
                moved.push(line.value.clone());
            }
            stays
        });
        moved.into_iter().for_each(|value| self.push(new.clone(), value));
    }

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        let Some(sought) = self.sought(name) else { return self.append(name, value) };
        let mut place = Some(LineValue::Declared(value.clone()));
        self.lines.retain_mut(|line| {
            if !sought.is_of(line) {
                return true;
            }
            match place.take() {
                Some(value) => {
                    line.value = value;
                    true
                }
                None => false,
            }
        });
        if let Some(value) = place {
            self.push(name.clone(), value);
        }
    }

    fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.push(name.clone(), LineValue::Declared(value.clone()));
    }
}

impl LineName<'_> {
    fn is(&self, name: &HeaderName) -> bool {
        match self {
            LineName::Received(own) => own.eq_ignore_ascii_case(name.as_str().as_bytes()),
            LineName::Declared(own) => own == name,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            LineName::Received(name) => name,
            LineName::Declared(name) => name.as_str().as_bytes(),
        }
    }
}

impl LineValue<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            LineValue::Received(value) => value,
            LineValue::Declared(value) => value.as_bytes(),
        }
    }
}

/// Lines for which there is room from the beginning: those of a browser's request, and what the gateway adds.
const USUAL_LINES: usize = 32;

/// The first line of `bytes` without its CR LF, and what follows.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((bytes[..end].strip_suffix(b"\r")?, &bytes[end + 1..]))
}

/// `x-frame-options` as `X-Frame-Options`.
fn push_titled(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name);
    let mut begins = true;
    for byte in &mut out[start..] {
        if begins {
            byte.make_ascii_uppercase();
        }
        begins = *byte == b'-';
    }
}

#[cfg(test)]
mod tests;
