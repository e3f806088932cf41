//! The fields of one header block, decoded.

/// What a field counts beyond its octets (RFC 9113 §6.5.2).
const OVERHEAD: usize = 32;

/// How many times the limit is an attack.
const ABUSE: usize = 4;

/// How many octets of memory an empty list may hold.
const KEPT: usize = 4 << 10;

/// Fields in the order in which they came, in one piece of memory. What would make it larger than its limit is counted and not
/// kept.
#[derive(Debug, Default)]
pub struct FieldList {
    /// Names and values, one after the other.
    pub(super) text: Vec<u8>,
    fields: Vec<FieldEnds>,
    size: usize,
    limit: usize,
}

/// Where a field's name and value end.
#[derive(Clone, Copy, Debug)]
struct FieldEnds {
    name: u32,
    value: u32,
}

impl FieldList {
    /// Empties the list. From `limit` on, as RFC 9113 §6.5.2 counts, fields are not kept.
    pub fn reset(&mut self, limit: usize) {
        self.text.clear();
        self.fields.clear();
        self.size = 0;
        self.limit = limit;
    }

    /// Gives memory back, if it is much: the list is not looked at any more.
    pub fn release(&mut self) {
        if self.text.capacity() > KEPT {
            *self = FieldList { limit: self.limit, ..FieldList::default() };
        }
    }

    /// Name and value of each field.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut from = 0;
        self.fields.iter().map(move |ends| {
            let (name, value) =
                (&self.text[from..ends.name as usize], &self.text[ends.name as usize..ends.value as usize]);
            from = ends.value as usize;
            (name, value)
        })
    }

    /// The first value of `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Whether there was more than the limit: not all fields are here.
    pub fn is_too_large(&self) -> bool {
        self.size >= self.limit
    }

    /// Whether there was several times the limit, which no honest client sends.
    pub fn is_abusive(&self) -> bool {
        self.size / ABUSE >= self.limit
    }

    /// Counts a field of `octets`. False if it is too much.
    pub(super) fn count(&mut self, octets: usize) -> bool {
        self.size = self.size.saturating_add(octets + OVERHEAD);
        !self.is_too_large()
    }

    /// Where the text of the next field begins.
    pub(super) fn next_at(&self) -> usize {
        self.fields.last().map_or(0, |ends| ends.value as usize)
    }

    /// Keeps as a field what has been added to the text since the last one, the first `name` octets of it as its name, unless it
    /// is too much.
    pub(super) fn complete(&mut self, name: usize) {
        let at = self.next_at();
        if self.count(self.text.len() - at) {
            self.fields.push(FieldEnds { name: (at + name) as u32, value: self.text.len() as u32 });
        } else {
            self.text.truncate(at);
        }
    }
}
