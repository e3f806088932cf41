//! Decodes header blocks (RFC 7541 §3), with bounds on what they decode to.

#[cfg(test)]
mod tests;

use super::field_list::FieldList;
use super::table::{DynamicTable, STATIC};
use super::{huffman, integer};

/// SETTINGS_HEADER_TABLE_SIZE, which stays at its initial value (RFC 9113 §6.5.2).
const MAX_TABLE_SIZE: usize = 4096;

/// The decoder of one direction of a connection. Every block must pass it, in order.
#[derive(Debug)]
pub struct HpackDecoder {
    table: DynamicTable,
}

/// The block is no HPACK. Nothing of the connection can be read any more (RFC 9113 §4.3: COMPRESSION_ERROR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHpack;

impl Default for HpackDecoder {
    fn default() -> Self {
        HpackDecoder { table: DynamicTable::new(MAX_TABLE_SIZE) }
    }
}

impl HpackDecoder {
    /// Adds the fields of `block`, which is complete, to `list`.
    ///
    /// # Errors
    /// The decoder is of no use any more.
    pub fn decode(&mut self, mut block: &[u8], list: &mut FieldList) -> Result<(), InvalidHpack> {
        // Size updates come first (RFC 7541 §4.2).
        while let Some(first) = block.first()
            && first & 0xe0 == 0x20
        {
            let (size, rest) = integer(block, 5).filter(|(size, _)| *size <= MAX_TABLE_SIZE).ok_or(InvalidHpack)?;
            self.table.resize(size);
            block = rest;
        }
        while let Some(first) = block.first() {
            block = match first {
                0x80.. => self.indexed(block, list)?,
                0x40.. => self.literal(block, 6, true, list)?,
                0x20.. => return Err(InvalidHpack),
                _ => self.literal(block, 4, false, list)?,
            };
        }
        Ok(())
    }

    /// An indexed field (RFC 7541 §6.1).
    fn indexed<'b>(&self, block: &'b [u8], list: &mut FieldList) -> Result<&'b [u8], InvalidHpack> {
        let (index, rest) = integer(block, 7).ok_or(InvalidHpack)?;
        let (name, value) = self.entry(index)?;
        if list.is_too_large() {
            // Thousands of references to one large field are a byte each: they must not cost a copy each.
            list.count(name.len() + value.len());
        } else {
            list.text.extend_from_slice(name);
            list.text.extend_from_slice(value);
            list.complete(name.len());
        }
        Ok(rest)
    }

    /// A literal field, whose name may be in a table (RFC 7541 §6.2).
    fn literal<'b>(
        &mut self,
        block: &'b [u8],
        prefix: u32,
        indexing: bool,
        list: &mut FieldList,
    ) -> Result<&'b [u8], InvalidHpack> {
        if list.is_abusive() {
            // A literal is copied whatever the list holds, since it may go into the table: a few bytes may cost 8 KiB.
            return Err(InvalidHpack);
        }
        let at = list.next_at();
        let (index, mut rest) = integer(block, prefix).ok_or(InvalidHpack)?;
        if index == 0 {
            rest = string(rest, &mut list.text)?;
        } else {
            list.text.extend_from_slice(self.entry(index)?.0);
        }
        let value = list.text.len();
        rest = string(rest, &mut list.text)?;
        if indexing {
            let (name, value) = list.text[at..].split_at(value - at);
            self.table.insert(name, value);
        }
        list.complete(value - at);
        Ok(rest)
    }

    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), InvalidHpack> {
        let nth = index.checked_sub(1).ok_or(InvalidHpack)?;
        match STATIC.get(nth) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => self.table.get(nth - STATIC.len()).ok_or(InvalidHpack),
        }
    }
}

/// Appends the string literal (RFC 7541 §5.2) that `block` begins with; gives what follows it.
fn string<'b>(block: &'b [u8], out: &mut Vec<u8>) -> Result<&'b [u8], InvalidHpack> {
    let huffman = block.first().ok_or(InvalidHpack)? & 0x80 != 0;
    let (length, rest) = integer(block, 7).ok_or(InvalidHpack)?;
    let (octets, rest) = rest.split_at_checked(length).ok_or(InvalidHpack)?;
    if huffman {
        huffman::decode(octets, out).ok_or(InvalidHpack)?;
    } else {
        out.extend_from_slice(octets);
    }
    Ok(rest)
}
