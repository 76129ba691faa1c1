//! Scalars and strings as WAMR's loader reads them.
//!
//! The loader aligns the absolute address before each scalar: 2 for u16, 4 for u32
//! and also 4 for u64 (`aot/aot_loader.c`, `TEMPLATE_READ`). Sections start at
//! multiples of 4 in the file and a loaded file at one in memory, so aligning within
//! the section is the same.

/// One section's body, or the file.
pub(super) struct SectionWriter {
    bytes: Vec<u8>,
}

impl SectionWriter {
    pub fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Sections are far below 4 GiB: text has `TEXT_BYTES_MAX`, the rest the module's.
    pub fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn align(&mut self, alignment: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.align(2);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Length with the final NUL, bytes, NUL (`load_string`). Names were checked to
    /// fit and to hold no NUL.
    pub fn string(&mut self, text: &str) {
        self.u16(text.len() as u16 + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }
}
