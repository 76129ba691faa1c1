//! Edits modules where a tool under us stands in the way, section by section.

use wasmparser::{ExportSectionReader, Parser, Payload};

/// Ids of sections (core specification, 5.5.2), in the order of the file up to the
/// memories.
const SECTIONS_UP_TO_TABLES: [u8; 5] = [0, 1, 2, 3, 4];
const MEMORY_SECTION: u8 = 5;
const EXPORT_SECTION: u8 = 7;

/// One memory, without a maximum, of one page.
const ONE_PAGE: [u8; 3] = [1, 0, 1];

/// The module without exports whose names hold a NUL; None if there are none.
///
/// One test module has hundreds of exports with all sorts of names, a few of them with
/// a NUL. Without these the others can be tested.
pub fn without_nul_names(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut sections = read(wasm)?;
    let (_, body) = sections.iter_mut().find(|(id, _)| *id == EXPORT_SECTION)?;
    *body = without_nul_exports(body)?;
    Some(assemble(wasm, &sections))
}

/// The module with a memory of one page, if it has none and imports none.
///
/// qemu-user cannot map the empty memory that WAMR needs of a module without one when
/// bounds checks are done by the hardware; a real machine can.
pub fn with_memory(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut sections = read(wasm)?;
    if sections.iter().any(|(id, _)| *id == MEMORY_SECTION) {
        return None;
    }
    let is_before = |(id, _): &(u8, Vec<u8>)| SECTIONS_UP_TO_TABLES.contains(id);
    let at = sections.iter().take_while(|section| is_before(section)).count();
    sections.insert(at, (MEMORY_SECTION, ONE_PAGE.to_vec()));
    Some(assemble(wasm, &sections))
}

/// Every section's id and content; None for a module that cannot be read.
fn read(wasm: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        if let Some((id, range)) = payload.as_section() {
            let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
            sections.push((id, wasm.get(range)?.to_vec()));
        }
        if matches!(payload, Payload::UnknownSection { .. }) {
            return None;
        }
    }
    Some(sections)
}

fn assemble(wasm: &[u8], sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    // Magic bytes and version.
    let mut out = wasm[..8].to_vec();
    for (id, body) in sections {
        out.push(*id);
        write_leb128(&mut out, body.len());
        out.extend_from_slice(body);
    }
    out
}

fn without_nul_exports(body: &[u8]) -> Option<Vec<u8>> {
    let reader = wasmparser::BinaryReader::new(body, 0);
    let exports = ExportSectionReader::new(reader).ok()?;
    let entries: Vec<_> = exports.into_iter_with_offsets().collect::<Result<_, _>>().ok()?;
    let mut kept = Vec::new();
    for (index, (offset, export)) in entries.iter().enumerate() {
        if !export.name.contains('\0') {
            let next = entries.get(index + 1).map_or(body.len() as u64, |entry| entry.0);
            kept.push(&body[*offset as usize..next as usize]);
        }
    }
    if kept.len() == entries.len() {
        return None;
    }
    let mut out = Vec::new();
    write_leb128(&mut out, kept.len());
    kept.iter().for_each(|entry| out.extend_from_slice(entry));
    Some(out)
}

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exports_with_a_nul_are_taken_out() {
        let wasm = wat::parse_str(
            r#"(module (func (export "a")) (func (export "b\00c")) (func (export "d")))"#,
        );
        let edited = without_nul_names(&wasm.unwrap()).unwrap();
        let census = aot_compiler::census(&edited).unwrap();
        let names: Vec<_> = census.exports.iter().map(|export| export.name.as_str()).collect();
        assert_eq!(names, ["a", "d"]);
        assert_eq!(without_nul_names(&edited), None);
    }

    #[test]
    fn a_memory_is_added_where_there_is_none() {
        let wasm = wat::parse_str("(module (table 1 funcref) (global i32 (i32.const 1)) (func))");
        let edited = with_memory(&wasm.unwrap()).unwrap();
        let memory = aot_compiler::census(&edited).unwrap().memory.unwrap();
        assert_eq!((memory.min_pages, memory.max_pages), (1, None));
        assert_eq!(with_memory(&edited), None);
        let empty = with_memory(b"\0asm\x01\0\0\0").unwrap();
        assert!(aot_compiler::census(&empty).unwrap().memory.is_some());
    }
}
