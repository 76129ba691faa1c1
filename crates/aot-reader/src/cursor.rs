//! Scalars and strings in a section, as WAMR's loader reads them.
//!
//! The loader aligns the address before each scalar: 2 for u16, 4 for u32 and also
//! for u64 (`TEMPLATE_READ`). Sections start at multiples of 4 in a file that it
//! accepts, so aligning the file's offset is the same.

use crate::error::{Damage, Problem, ReadError};

#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    /// The whole file up to the section's end, so that offsets are the file's.
    bytes: &'a [u8],
    offset: usize,
    section: &'static str,
}

impl<'a> Cursor<'a> {
    /// Reads from `start` to the end of `bytes`.
    pub fn new(bytes: &'a [u8], start: usize, section: &'static str) -> Self {
        Self { bytes, offset: start, section }
    }

    /// Where the next byte is read, from the start of the file.
    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn is_at_end(&self) -> bool {
        // Padding before a scalar that never came may have gone beyond.
        self.offset >= self.bytes.len()
    }

    pub fn damaged(&self, problem: Problem) -> ReadError {
        self.damaged_at(self.offset, problem)
    }

    pub fn damaged_at(&self, offset: usize, problem: Problem) -> ReadError {
        Damage { section: self.section, offset, problem }.into()
    }

    pub fn align(&mut self, alignment: usize) {
        // Cannot overflow: a slice is at most isize::MAX bytes long.
        self.offset = self.offset.next_multiple_of(alignment);
    }

    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], ReadError> {
        let end = self.offset.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.offset..end));
        let taken = taken.ok_or_else(|| self.damaged(Problem::Ends(what)))?;
        self.offset += count;
        Ok(taken)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        self.offset = self.bytes.len();
        rest
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let start = self.offset;
        let bytes = self.take(N, what)?.first_chunk().copied();
        bytes.ok_or_else(|| self.damaged_at(start, Problem::Ends(what)))
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, ReadError> {
        self.align(2);
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, ReadError> {
        self.align(4);
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, ReadError> {
        self.align(4);
        self.array(what).map(u64::from_le_bytes)
    }

    /// A u64 of a 64-bit file, a u32 of a 32-bit one.
    pub fn word(&mut self, is_64_bit: bool, what: &'static str) -> Result<u64, ReadError> {
        if is_64_bit { self.u64(what) } else { self.u32(what).map(u64::from) }
    }

    /// u16 length with the final NUL, bytes, NUL (`load_string`); length 0 is "".
    pub fn string(&mut self, what: &'static str) -> Result<&'a str, ReadError> {
        let length = usize::from(self.u16(what)?);
        let start = self.offset;
        let bytes = self.take(length, what)?;
        if bytes.is_empty() {
            return Ok("");
        }
        let name = bytes.strip_suffix(&[0]).and_then(|name| std::str::from_utf8(name).ok());
        name.ok_or_else(|| self.damaged_at(start, Problem::Name))
    }

    /// A list behind its u32 count. Room is made as items are found, never for a
    /// count alone, so each item must take at least a byte of the file.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        let count = self.u32(what)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub fn finish(&self) -> Result<(), ReadError> {
        if self.is_at_end() { Ok(()) } else { Err(self.damaged(Problem::Trailing)) }
    }
}
