//! The tables that HPACK refers to (RFC 7541 §2.3): the static one, and the one that a connection fills.

use std::collections::VecDeque;

/// RFC 7541 appendix A; index 1 comes first.
#[rustfmt::skip]
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// What an entry counts beyond its octets (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

/// The dynamic table: the latest fields, the oldest of which leave first.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The octets of all entries, the oldest first, after those of some that have left.
    text: Vec<u8>,
    entries: VecDeque<TableEntry>,
    /// As RFC 7541 §4.1 counts.
    size: usize,
    max_size: usize,
}

/// Where an entry's octets are.
#[derive(Clone, Copy, Debug)]
struct TableEntry {
    at: u32,
    name: u32,
    value: u32,
}

impl TableEntry {
    fn size(self) -> usize {
        self.length() + OVERHEAD
    }

    fn length(self) -> usize {
        (self.name + self.value) as usize
    }
}

impl DynamicTable {
    pub fn new(max_size: usize) -> Self {
        DynamicTable { text: Vec::new(), entries: VecDeque::new(), size: 0, max_size }
    }

    /// Name and value of the entry that came `age` entries before the latest one.
    pub fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(self.entries.len().checked_sub(age + 1)?)?;
        let text = &self.text[entry.at as usize..][..entry.length()];
        Some(text.split_at(entry.name as usize))
    }

    /// An entry that is larger than the table empties it (RFC 7541 §4.4).
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(self.max_size.saturating_sub(size));
        if size > self.max_size {
            return;
        }
        self.compact();
        let at = self.text.len() as u32;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.entries.push_back(TableEntry { at, name: name.len() as u32, value: value.len() as u32 });
        self.size += size;
    }

    pub fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(max_size);
    }

    /// Drops the oldest entries until no more than `most` is left.
    fn evict(&mut self, most: usize) {
        while self.size > most {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.size();
        }
    }

    /// Gives up the octets of entries that have left, once they are as many as the table may hold.
    fn compact(&mut self) {
        let left = self.entries.front().map_or(self.text.len(), |oldest| oldest.at as usize);
        if left == 0 || left < self.max_size && left < self.text.len() {
            return;
        }
        self.text.drain(..left);
        for entry in &mut self.entries {
            entry.at -= left as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_leave_first() {
        let mut table = DynamicTable::new(100);
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!((table.get(0), table.get(1)), (Some((&b"b"[..], &b"2"[..])), Some((&b"a"[..], &b"1"[..]))));
        table.insert(b"c", b"3");
        assert_eq!(
            (table.get(0), table.get(1), table.get(2)),
            (Some((&b"c"[..], &b"3"[..])), Some((&b"b"[..], &b"2"[..])), None)
        );
        table.resize(40);
        assert_eq!((table.get(0), table.get(1)), (Some((&b"c"[..], &b"3"[..])), None));
        table.insert(b"larger", b"than the table");
        assert_eq!(table.get(0), None);
    }

    #[test]
    fn the_memory_of_a_table_is_bounded() {
        let mut table = DynamicTable::new(4096);
        for number in 0..100_000u32 {
            let value = vec![b'v'; number as usize % 300];
            table.insert(&number.to_be_bytes(), &value);
            assert_eq!(table.get(0), Some((&number.to_be_bytes()[..], &value[..])));
            assert!(table.text.len() <= 3 * 4096 && table.size <= 4096, "{} {}", table.text.len(), table.size);
        }
    }
}
