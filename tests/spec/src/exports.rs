//! Takes exports out of a module whose names an AoT file cannot hold.
//!
//! One test module has hundreds of exports with all sorts of names, a single one of
//! them with a NUL. The compiler refuses such a module as a whole; without that
//! export the others can be tested.

use wasmparser::{ExportSectionReader, Parser, Payload};

/// Id of the export section (core specification, 5.5.10).
const EXPORT_SECTION: u8 = 7;

/// The module without exports whose names hold a NUL; None if there are none.
pub fn without_nul_names(wasm: &[u8]) -> Option<Vec<u8>> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(exports) = payload.ok()? {
            return replace_section(wasm, exports);
        }
    }
    None
}

fn replace_section(wasm: &[u8], exports: ExportSectionReader<'_>) -> Option<Vec<u8>> {
    let section = exports.range();
    let (start, end) = (usize::try_from(section.start).ok()?, usize::try_from(section.end).ok()?);
    let mut kept = Vec::new();
    let entries: Vec<_> = exports.into_iter_with_offsets().collect::<Result<_, _>>().ok()?;
    for (index, (offset, export)) in entries.iter().enumerate() {
        if !export.name.contains('\0') {
            let next = entries.get(index + 1).map_or(end as u64, |entry| entry.0);
            kept.push(&wasm[*offset as usize..next as usize]);
        }
    }
    if kept.len() == entries.len() {
        return None;
    }
    let mut body = Vec::new();
    write_leb128(&mut body, kept.len());
    kept.iter().for_each(|entry| body.extend_from_slice(entry));
    // The section's header is its id and the size, which has no fixed length.
    let header = (1..=5).map(|size| start - size - 1).find(|at| wasm[*at] == EXPORT_SECTION)?;
    let mut out = wasm[..=header].to_vec();
    write_leb128(&mut out, body.len());
    out.extend(body);
    out.extend_from_slice(&wasm[end..]);
    Some(out)
}

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
