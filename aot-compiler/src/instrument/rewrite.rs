//! The module with its charges, and the globals, function and exports they need.
//!
//! Sections are copied byte for byte, and what is added is appended to their lists.
//! Custom sections that speak of byte offsets in the code are left out: debug
//! information, branch hints, a linker's relocations.

use super::charge_points::{Charge, ChargePoint, charge_points};
use super::{COST_TABLE_VERSION, MeteredModule, instantiation_gas};
use crate::abi::packed_bytes;
use crate::error::ModuleError;
use crate::intake::{ModuleInfo, to_invalid};
use std::borrow::Cow;
use std::collections::BTreeMap;
use target_spec::metering::{
    EXPORT_GAS_LIMIT, EXPORT_GAS_USED, EXPORT_START, MeteringNote, RESERVED_EXPORTS, SECTION_NAME,
};
use wasm_encoder::{
    BlockType, ConstExpr, CustomSection, Encode, ExportKind, Function, GlobalType, Instruction,
    Module, RawSection, SectionId, ValType,
};
use wasmparser::{BinaryReader, FuncType, FunctionBody, Parser, Payload};

/// The order of sections in a file, which is not that of their ids.
const SECTION_ORDER: [SectionId; 13] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Start,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

/// A module's sections by place, each with its content behind the header.
#[derive(Default)]
struct Sections<'a> {
    known: BTreeMap<u8, Cow<'a, [u8]>>,
    /// Custom sections behind the last known one of this id, 0 for the first ones.
    customs: Vec<(u8, &'a [u8])>,
}

pub(super) fn rewrite(wasm: &[u8], info: &ModuleInfo<'_>) -> Result<MeteredModule, ModuleError> {
    refuse_reserved(wasm, info)?;
    let mut sections = Sections::read(wasm)?;
    let pads = pad_globals(info);
    let used_global = info.globals.len() as u32 + pads;
    let note = MeteringNote {
        cost_table_version: COST_TABLE_VERSION,
        charge_function: info.function_types.len() as u32,
        used_global,
        limit_global: used_global + 1,
        instantiation_gas: instantiation_gas(info),
        has_start: info.start.is_some(),
    };
    let charge_type = sections.add_charge_type(info)?;
    sections.append(SectionId::Function, 1, &encoded(charge_type))?;
    sections.add_globals(pads, note.instantiation_gas)?;
    sections.add_exports(info, &note)?;
    sections.known.remove(&SectionId::Start.into());
    sections.replace_code(info, &note)?;
    let wasm = sections.write(&note);
    Ok(MeteredModule { wasm, note })
}

fn refuse_reserved(wasm: &[u8], info: &ModuleInfo<'_>) -> Result<(), ModuleError> {
    let reserved = |export: &str| RESERVED_EXPORTS.contains(&export);
    if let Some(export) = info.exports.iter().find(|export| reserved(export.name)) {
        return Err(ModuleError::Reserved { what: "export", name: export.name.to_owned() });
    }
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(to_invalid)? {
            Payload::CustomSection(section) if section.name() == SECTION_NAME => {
                let name = SECTION_NAME.to_owned();
                return Err(ModuleError::Reserved { what: "custom section", name });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Globals to put first so that ours are aligned to their 8 bytes: another thread
/// writes the limit while code runs, which must not tear. WAMR packs globals behind
/// an offset that is a multiple of 8 (`abi::InstanceLayout`), imported ones first.
fn pad_globals(info: &ModuleInfo<'_>) -> u32 {
    let bytes: u64 = info.globals.iter().map(|global| u64::from(packed_bytes(global.ty))).sum();
    u32::from(!bytes.is_multiple_of(8))
}

/// `(i64) -> ()`.
pub(super) fn charge_type() -> FuncType {
    FuncType::new([wasmparser::ValType::I64], [])
}

/// The body of the function that takes a charge, with its count of locals. The
/// counter is written before the comparison, so that what stopped a module counts.
pub(super) fn charge_body(used_global: u32, limit_global: u32) -> Vec<u8> {
    let mut body = Function::new([]);
    body.instruction(&Instruction::GlobalGet(used_global));
    body.instruction(&Instruction::LocalGet(0));
    body.instruction(&Instruction::I64Add);
    body.instruction(&Instruction::GlobalSet(used_global));
    body.instruction(&Instruction::GlobalGet(used_global));
    body.instruction(&Instruction::GlobalGet(limit_global));
    body.instruction(&Instruction::I64GtU);
    body.instruction(&Instruction::If(BlockType::Empty));
    body.instruction(&Instruction::Unreachable);
    body.instruction(&Instruction::End);
    body.instruction(&Instruction::End);
    body.into_raw_body()
}

impl<'a> Sections<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self, ModuleError> {
        let mut sections = Self::default();
        let mut last = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(to_invalid)?;
            let Some((id, range)) = payload.as_section() else { continue };
            // The parser has seen these bytes, so the range is inside.
            let content = wasm.get(range.start as usize..range.end as usize).unwrap_or_default();
            match &payload {
                Payload::CustomSection(section) if speaks_of_code_offsets(section.name()) => {}
                Payload::CustomSection(_) => sections.customs.push((last, content)),
                _ => {
                    sections.known.insert(id, Cow::Borrowed(content));
                    last = id;
                }
            }
        }
        Ok(sections)
    }

    /// Adds `count` entries to a section that is a list, or makes it.
    fn append(&mut self, id: SectionId, count: u32, added: &[u8]) -> Result<(), ModuleError> {
        let content = self.known.remove(&id.into()).unwrap_or_default();
        let (before, entries) = match content.is_empty() {
            true => (0, &[][..]),
            false => {
                let mut reader = BinaryReader::new(&content, 0);
                let before = reader.read_var_u32().map_err(to_invalid)?;
                (before, &content[reader.original_position() as usize..])
            }
        };
        let mut longer = encoded(before + count);
        longer.extend_from_slice(entries);
        longer.extend_from_slice(added);
        self.known.insert(id.into(), Cow::Owned(longer));
        Ok(())
    }

    /// The index of the type `(i64) -> ()`, which most modules have already.
    fn add_charge_type(&mut self, info: &ModuleInfo<'_>) -> Result<u32, ModuleError> {
        let wanted = charge_type();
        if let Some(index) = info.types.iter().position(|ty| *ty == wanted) {
            return Ok(index as u32);
        }
        // 0x60: a function type (Core specification, "Function Types").
        let mut entry = vec![0x60];
        [ValType::I64].as_slice().encode(&mut entry);
        Vec::<ValType>::new().as_slice().encode(&mut entry);
        self.append(SectionId::Type, 1, &entry)?;
        Ok(info.types.len() as u32)
    }

    fn add_globals(&mut self, pads: u32, instantiation_gas: u64) -> Result<(), ModuleError> {
        let mut entries = Vec::new();
        let mut add = |val_type, mutable, value: &ConstExpr| {
            GlobalType { val_type, mutable, shared: false }.encode(&mut entries);
            value.encode(&mut entries);
        };
        for _ in 0..pads {
            add(ValType::I32, false, &ConstExpr::i32_const(0));
        }
        add(ValType::I64, true, &ConstExpr::i64_const(instantiation_gas.cast_signed()));
        add(ValType::I64, true, &ConstExpr::i64_const(0));
        self.append(SectionId::Global, pads + 2, &entries)
    }

    fn add_exports(
        &mut self,
        info: &ModuleInfo<'_>,
        note: &MeteringNote,
    ) -> Result<(), ModuleError> {
        let mut entries = Vec::new();
        let mut add = |name: &str, kind: ExportKind, index: u32| {
            name.encode(&mut entries);
            kind.encode(&mut entries);
            index.encode(&mut entries);
        };
        add(EXPORT_GAS_USED, ExportKind::Global, note.used_global);
        add(EXPORT_GAS_LIMIT, ExportKind::Global, note.limit_global);
        if let Some(start) = info.start {
            add(EXPORT_START, ExportKind::Func, start);
        }
        self.append(SectionId::Export, 2 + u32::from(info.start.is_some()), &entries)
    }

    fn replace_code(
        &mut self,
        info: &ModuleInfo<'_>,
        note: &MeteringNote,
    ) -> Result<(), ModuleError> {
        let mut code = encoded(info.bodies.len() as u32 + 1);
        let imported = info.imported_function_count();
        for (function, body) in (imported..).zip(&info.bodies) {
            let points = charge_points(body, imported)?;
            let params = info.function_type(function).params().len() as u32;
            meter_body(body, &points, params, note.charge_function)?.as_slice().encode(&mut code);
        }
        charge_body(note.used_global, note.limit_global).as_slice().encode(&mut code);
        self.known.insert(SectionId::Code.into(), Cow::Owned(code));
        Ok(())
    }

    fn write(&self, note: &MeteringNote) -> Vec<u8> {
        let mut module = Module::new();
        let write_customs = |module: &mut Module, behind: u8| {
            for (_, data) in self.customs.iter().filter(|(id, _)| *id == behind) {
                module.section(&RawSection { id: SectionId::Custom.into(), data });
            }
        };
        write_customs(&mut module, 0);
        for id in SECTION_ORDER.map(u8::from) {
            if let Some(data) = self.known.get(&id) {
                module.section(&RawSection { id, data });
            }
            // Also behind a start section, which is gone.
            write_customs(&mut module, id);
        }
        let data = note.to_bytes();
        module.section(&CustomSection { name: SECTION_NAME.into(), data: data.into() });
        module.finish()
    }
}

fn speaks_of_code_offsets(section: &str) -> bool {
    section.starts_with(".debug_")
        || section.starts_with("reloc.")
        || section.starts_with("metadata.code.")
        || matches!(section, "linking" | "sourceMappingURL")
}

/// The body with its charges: its own bytes, interrupted.
fn meter_body(
    body: &FunctionBody<'_>,
    points: &[ChargePoint],
    params: u32,
    charge_function: u32,
) -> Result<Vec<u8>, ModuleError> {
    let bytes = body.as_bytes();
    let start = body.range().start;
    let code_start = body.get_binary_reader_for_operators().map_err(to_invalid)?;
    let mut copied = (code_start.original_position() - start) as usize;

    let needs_scratch = points.iter().any(|point| !matches!(point.charge, Charge::Block(_)));
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    let mut scratch = 0;
    if needs_scratch {
        scratch = add_scratch_local(body, params, &bytes[..copied], &mut out)?;
    } else {
        out.extend_from_slice(&bytes[..copied]);
    }
    for point in points {
        let place = (point.offset - start) as usize;
        out.extend_from_slice(&bytes[copied..place]);
        copied = place;
        write_charge(point.charge, scratch, charge_function, &mut out);
    }
    out.extend_from_slice(&bytes[copied..]);
    Ok(out)
}

/// From an offset in the metered body of an own function to the offset in its own body:
/// that of the instruction there, or of the one that a charge was put in front of. 0, the
/// function as a whole, stays.
pub(crate) fn lead_back(
    info: &ModuleInfo<'_>,
    own_index: u32,
    offset: u64,
) -> Result<u64, ModuleError> {
    let Some(body) = info.bodies.get(own_index as usize).filter(|_| offset > 0) else {
        return Ok(0);
    };
    let imported = info.imported_function_count();
    let points = charge_points(body, imported)?;
    let start = body.range().start;
    let code_start = body.get_binary_reader_for_operators().map_err(to_invalid)?;
    let code_start = code_start.original_position() - start;
    // The charge function comes behind all others (`rewrite`).
    let charge_function = info.function_types.len() as u32;
    let params = info.function_type(imported + own_index).params().len() as u32;
    // Where the locals' declarations end, and by how much what follows has moved.
    let (mut scratch, mut moved) = (0, 0);
    if points.iter().any(|point| !matches!(point.charge, Charge::Block(_))) {
        let mut declarations = Vec::new();
        let bytes = body.as_bytes().get(..code_start as usize).unwrap_or_default();
        scratch = add_scratch_local(body, params, bytes, &mut declarations)?;
        moved = declarations.len() as u64 - code_start;
    }
    for point in &points {
        let place = point.offset - start;
        if offset < place + moved {
            break;
        }
        let mut charge = Vec::new();
        write_charge(point.charge, scratch, charge_function, &mut charge);
        if offset < place + moved + charge.len() as u64 {
            return Ok(place);
        }
        moved += charge.len() as u64;
    }
    Ok(offset.saturating_sub(moved))
}

/// Copies the declarations of locals with one i32 more, and returns its index.
fn add_scratch_local(
    body: &FunctionBody<'_>,
    params: u32,
    declarations: &[u8],
    out: &mut Vec<u8>,
) -> Result<u32, ModuleError> {
    let mut reader = BinaryReader::new(declarations, 0);
    let groups = reader.read_var_u32().map_err(to_invalid)?;
    (groups + 1).encode(out);
    out.extend_from_slice(&declarations[reader.original_position() as usize..]);
    1u32.encode(out);
    ValType::I32.encode(out);

    let mut locals = params;
    for group in body.get_locals_reader().map_err(to_invalid)? {
        locals += group.map_err(to_invalid)?.0;
    }
    Ok(locals)
}

fn write_charge(charge: Charge, scratch: u32, charge_function: u32, out: &mut Vec<u8>) {
    let operand = |per_unit: Instruction<'static>, count: u64| {
        [
            Instruction::LocalTee(scratch),
            Instruction::I64ExtendI32U,
            Instruction::I64Const(count.cast_signed()),
            per_unit,
            Instruction::Call(charge_function),
            Instruction::LocalGet(scratch),
        ]
    };
    match charge {
        Charge::Block(0) => {}
        Charge::Block(gas) => {
            Instruction::I64Const(gas.cast_signed()).encode(out);
            Instruction::Call(charge_function).encode(out);
        }
        Charge::Times(gas) => {
            operand(Instruction::I64Mul, gas).iter().for_each(|op| op.encode(out));
        }
        Charge::PerUnits(units) => {
            operand(Instruction::I64DivU, units).iter().for_each(|op| op.encode(out));
        }
    }
}

fn encoded(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    number.encode(&mut bytes);
    bytes
}
