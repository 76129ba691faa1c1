//! Reads memories and notes out of a WebAssembly module, for the interpreter's build.
//!
//! A module is the magic bytes, version 1, and sections: an id, the size as LEB128
//! and that many bytes (core specification, chapter 5). WAMR validates the rest; this
//! only finds what a limit of memory is compared with. The input may be anything.

use aot_reader::MemoryInfo;

const HEADER: &[u8; 8] = b"\0asm\x01\0\0\0";
const CUSTOM_SECTION: u8 = 0;
const MEMORY_SECTION: u8 = 5;
const PAGE_BYTES: u32 = 65_536;
/// Without a maximum of its own a memory can have all pages of 32 bits.
const PAGES_MAX: u32 = 65_536;

pub fn is_module(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER)
}

/// The module's own memories. `None` where the bytes are cut short or damaged,
/// which WAMR then refuses with its own words.
pub fn memories(wasm: &[u8]) -> Option<Vec<MemoryInfo>> {
    let mut rest = wasm.strip_prefix(HEADER)?;
    while !rest.is_empty() {
        let (id, mut section) = section(&mut rest)?;
        if id == MEMORY_SECTION {
            let count = leb128(&mut section)?;
            return (0..count).map(|_| memory(&mut section)).collect();
        }
    }
    Some(Vec::new())
}

/// The content of the first custom section of this name.
pub fn custom_section<'w>(wasm: &'w [u8], name: &str) -> Option<&'w [u8]> {
    let mut rest = wasm.strip_prefix(HEADER)?;
    while !rest.is_empty() {
        let (id, mut section) = section(&mut rest)?;
        if id == CUSTOM_SECTION {
            let len = leb128(&mut section)? as usize;
            let (found, content) = section.split_at_checked(len)?;
            if found == name.as_bytes() {
                return Some(content);
            }
        }
    }
    None
}

/// Takes the next section's id and content.
fn section<'w>(rest: &mut &'w [u8]) -> Option<(u8, &'w [u8])> {
    let (&id, body) = rest.split_first()?;
    *rest = body;
    let size = leb128(rest)? as usize;
    let (content, after) = rest.split_at_checked(size)?;
    *rest = after;
    Some((id, content))
}

fn memory(section: &mut &[u8]) -> Option<MemoryInfo> {
    let (&flags, rest) = section.split_first()?;
    *section = rest;
    let initial_pages = leb128(section)?;
    let max_pages = if flags & 1 == 0 { PAGES_MAX } else { leb128(section)? };
    Some(MemoryInfo { flags: flags.into(), page_bytes: PAGE_BYTES, initial_pages, max_pages })
}

fn leb128(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_module_is_found_behind_other_sections() {
        let wasm = wat::parse_str("(module (func) (memory 3 300) (data (i32.const 0) \"x\"))");
        let memory = MemoryInfo { flags: 1, page_bytes: 65_536, initial_pages: 3, max_pages: 300 };
        assert_eq!(memories(&wasm.unwrap()), Some(vec![memory]));
        let wasm = wat::parse_str("(module (func))").unwrap();
        assert_eq!(memories(&wasm), Some(vec![]));
    }

    #[test]
    fn a_module_cut_anywhere_is_read_without_a_panic() {
        let wasm = wat::parse_str("(module (func) (memory 3 300))").unwrap();
        for len in 0..wasm.len() {
            let _ = memories(&wasm[..len]);
        }
        assert_eq!(memories(&wasm[..wasm.len() - 20]), None);
    }
}
