//! Reads an AoT file's outline without WAMR: sections, memories, our note.
//!
//! A file is the magic bytes, a version, and sections; a section is padding to a
//! multiple of four, a u32 id, a u32 size and that many bytes. Custom sections
//! have the id 100 and start with a u32 sub-id; sub-id 0 is a name (u16 length
//! with its final NUL) and raw bytes. The order of reading is that of
//! `core/iwasm/aot/aot_loader.c`, `create_sections` and `load_memory_info`.
//!
//! It is what a profile check needs before WAMR sees the file, and no more. The
//! input may be anything; every read is bounds-checked.

const MAGIC: u32 = 0x746f_6100;
const INIT_DATA_SECTION: u32 = 1;
const CUSTOM_SECTION: u32 = 100;
const RAW_SUB_SECTION: u32 = 0;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AotFileError {
    #[error("the file is not an AoT file: it does not start with \\0aot")]
    NotAot,
    #[error("the AoT file ends inside {0}")]
    Truncated(&'static str),
    #[error("the AoT file has no {0}")]
    Missing(&'static str),
}

/// A memory that the module declares or imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    pub page_bytes: u32,
    pub initial_pages: u32,
    pub max_pages: u32,
}

impl MemoryInfo {
    pub fn initial_bytes(self) -> u64 {
        u64::from(self.page_bytes) * u64::from(self.initial_pages)
    }
}

/// A file's outline, borrowed from its bytes.
#[derive(Debug)]
pub struct AotFile<'a> {
    pub version: u32,
    sections: Vec<(u32, &'a [u8])>,
}

impl<'a> AotFile<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AotFileError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.u32("its header").ok() != Some(MAGIC) {
            return Err(AotFileError::NotAot);
        }
        let version = reader.u32("its header")?;
        let mut sections = Vec::new();
        while reader.offset < bytes.len() {
            let id = reader.u32("a section's header")?;
            let size = reader.u32("a section's header")?;
            sections.push((id, reader.take(size as usize, "a section")?));
        }
        Ok(Self { version, sections })
    }

    /// The bytes of the first raw custom section of this name.
    pub fn custom_section(&self, name: &str) -> Option<&'a [u8]> {
        let bodies = self.sections.iter().filter(|(id, _)| *id == CUSTOM_SECTION);
        bodies.filter_map(|(_, body)| named(body)).find(|(n, _)| *n == name.as_bytes()).map(|x| x.1)
    }

    /// The memories, imported ones included. Every file has one: our compiler
    /// gives a module without memory an empty one, because WAMR needs it.
    pub fn memories(&self) -> Result<Vec<MemoryInfo>, AotFileError> {
        const WHERE: &str = "its list of memories";
        let section = self.sections.iter().find(|(id, _)| *id == INIT_DATA_SECTION);
        let (_, body) = section.ok_or(AotFileError::Missing("section of initial data"))?;
        let mut reader = Reader { bytes: body, offset: 0 };
        let import_count = reader.u32(WHERE)?;
        if import_count != 0 {
            // Neither our compiler nor WAMR's writes any here.
            return Err(AotFileError::Missing("list of memories in the expected form"));
        }
        let count = reader.u32(WHERE)?;
        let mut memories = Vec::new();
        for _ in 0..count {
            let _flags = reader.u32(WHERE)?;
            memories.push(MemoryInfo {
                page_bytes: reader.u32(WHERE)?,
                initial_pages: reader.u32(WHERE)?,
                max_pages: reader.u32(WHERE)?,
            });
        }
        Ok(memories)
    }
}

/// Name and content of a raw custom section's body.
fn named(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader { bytes: body, offset: 0 };
    if reader.u32("").ok()? != RAW_SUB_SECTION {
        return None;
    }
    let name_len = usize::from(u16::from_le_bytes(*reader.take(2, "").ok()?.first_chunk()?));
    let name = reader.take(name_len, "").ok()?;
    Some((name.strip_suffix(&[0]).unwrap_or(name), body.get(reader.offset..)?))
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// At most `bytes.len()`, except for padding skipped at the end.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Aligned to four bytes from the start, which equals WAMR's alignment of
    /// addresses because sections start aligned in a file that it accepts.
    fn u32(&mut self, what: &'static str) -> Result<u32, AotFileError> {
        self.offset = self.offset.next_multiple_of(4);
        let bytes = self.take(4, what)?;
        bytes.first_chunk().map(|b| u32::from_le_bytes(*b)).ok_or(AotFileError::Truncated(what))
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], AotFileError> {
        let end = self.offset.checked_add(len).ok_or(AotFileError::Truncated(what))?;
        let taken = self.bytes.get(self.offset..end).ok_or(AotFileError::Truncated(what))?;
        self.offset = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let mut file = b"\0aot\x06\0\0\0".to_vec();
        let mut section = |id: u32, body: &[u8]| {
            file.resize(file.len().next_multiple_of(4), 0);
            file.extend(id.to_le_bytes());
            file.extend((body.len() as u32).to_le_bytes());
            file.extend(body);
        };
        let init: Vec<u8> =
            [0u32, 1, 0, 65536, 2, 5].iter().flat_map(|n| n.to_le_bytes()).collect();
        section(1, &init);
        section(100, b"\0\0\0\0\x03\0ab\0xyz");
        section(100, b"\x03\0\0\0");
        section(100, b"\0\0\0\0\x02\0c\0note");
        file
    }

    #[test]
    fn sections_are_found_by_name() {
        let bytes = example();
        let file = AotFile::parse(&bytes).unwrap();
        assert_eq!(file.version, 6);
        assert_eq!(file.custom_section("ab"), Some(&b"xyz"[..]));
        assert_eq!(file.custom_section("c"), Some(&b"note"[..]));
        assert_eq!(file.custom_section("d"), None);
        let memory = MemoryInfo { page_bytes: 65536, initial_pages: 2, max_pages: 5 };
        assert_eq!(file.memories(), Ok(vec![memory]));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic() {
        assert_eq!(AotFile::parse(b"\0asm\x01\0\0\0").unwrap_err(), AotFileError::NotAot);
        assert_eq!(AotFile::parse(b"").unwrap_err(), AotFileError::NotAot);
        let bytes = example();
        for len in 0..bytes.len() {
            if let Ok(file) = AotFile::parse(&bytes[..len]) {
                let _ = (file.memories(), file.custom_section("c"));
            }
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[len] ^= 1 << bit;
                if let Ok(file) = AotFile::parse(&bent) {
                    let _ = (file.memories(), file.custom_section("c"));
                }
            }
        }
    }
}
