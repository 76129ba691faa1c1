//! Each instruction → the function of its group. One arm, one line.

use super::function::Translator;
use super::memory::{Access, narrow};
use crate::abi::TrapId;
use crate::error::CompileError;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use wasmparser::Operator;

impl Translator<'_, '_> {
    pub fn translate_operator(&mut self, operator: &Operator<'_>) -> Result<(), CompileError> {
        use Operator as O;
        match operator {
            // Control.
            O::Nop => {}
            O::Unreachable => self.trap_always(TrapId::Unreachable),
            O::Block { blockty } => self.open_block(*blockty)?,
            O::Loop { blockty } => self.open_loop(*blockty)?,
            O::If { blockty } => self.open_if(*blockty)?,
            O::Else => self.begin_else(),
            O::End => self.close_frame(),
            O::Br { relative_depth } => self.branch(*relative_depth)?,
            O::BrIf { relative_depth } => self.branch_if(*relative_depth)?,
            O::BrTable { targets } => self.branch_table(targets)?,
            O::Return => self.return_from_function()?,
            O::Call { function_index } => self.call(*function_index)?,
            O::CallIndirect { type_index, table_index } => {
                self.call_indirect(*type_index, *table_index)?;
            }
            O::ReturnCall { function_index } => self.return_call(*function_index)?,
            O::ReturnCallIndirect { type_index, table_index } => {
                self.return_call_indirect(*type_index, *table_index)?;
            }
            O::CallRef { type_index } => self.call_ref(*type_index)?,
            O::ReturnCallRef { type_index } => self.return_call_ref(*type_index)?,
            O::BrOnNull { relative_depth } => self.branch_on_null(*relative_depth)?,
            O::BrOnNonNull { relative_depth } => self.branch_on_non_null(*relative_depth)?,
            O::Drop => drop(self.pop()),
            O::Select | O::TypedSelect { .. } => self.select(),

            // Locals and globals.
            O::LocalGet { local_index } => self.local_get(*local_index),
            O::LocalSet { local_index } => self.local_set(*local_index),
            O::LocalTee { local_index } => self.local_tee(*local_index),
            O::GlobalGet { global_index } => self.global_get(*global_index),
            O::GlobalSet { global_index } => self.global_set(*global_index),

            // Memory.
            O::I32Load { memarg } => self.load(Access::Full(I32), memarg),
            O::I64Load { memarg } => self.load(Access::Full(I64), memarg),
            O::F32Load { memarg } => self.load(Access::Full(F32), memarg),
            O::F64Load { memarg } => self.load(Access::Full(F64), memarg),
            O::I32Load8S { memarg } => self.load(narrow(I32, 1, true), memarg),
            O::I32Load8U { memarg } => self.load(narrow(I32, 1, false), memarg),
            O::I32Load16S { memarg } => self.load(narrow(I32, 2, true), memarg),
            O::I32Load16U { memarg } => self.load(narrow(I32, 2, false), memarg),
            O::I64Load8S { memarg } => self.load(narrow(I64, 1, true), memarg),
            O::I64Load8U { memarg } => self.load(narrow(I64, 1, false), memarg),
            O::I64Load16S { memarg } => self.load(narrow(I64, 2, true), memarg),
            O::I64Load16U { memarg } => self.load(narrow(I64, 2, false), memarg),
            O::I64Load32S { memarg } => self.load(narrow(I64, 4, true), memarg),
            O::I64Load32U { memarg } => self.load(narrow(I64, 4, false), memarg),
            O::I32Store { memarg } => self.store(Access::Full(I32), memarg),
            O::I64Store { memarg } => self.store(Access::Full(I64), memarg),
            O::F32Store { memarg } => self.store(Access::Full(F32), memarg),
            O::F64Store { memarg } => self.store(Access::Full(F64), memarg),
            O::I32Store8 { memarg } => self.store(narrow(I32, 1, false), memarg),
            O::I32Store16 { memarg } => self.store(narrow(I32, 2, false), memarg),
            O::I64Store8 { memarg } => self.store(narrow(I64, 1, false), memarg),
            O::I64Store16 { memarg } => self.store(narrow(I64, 2, false), memarg),
            O::I64Store32 { memarg } => self.store(narrow(I64, 4, false), memarg),
            O::MemorySize { .. } => self.memory_size(),
            O::MemoryGrow { .. } => self.memory_grow(),
            O::MemoryFill { .. } => self.memory_fill(),
            O::MemoryCopy { .. } => self.memory_copy(),
            O::MemoryInit { data_index, .. } => self.memory_init(*data_index),
            O::DataDrop { data_index } => self.data_drop(*data_index),

            // References and tables.
            O::RefNull { .. } => self.ref_null(),
            O::RefAsNonNull => self.ref_as_non_null(),
            O::RefIsNull => self.ref_is_null(),
            O::RefFunc { function_index } => self.ref_func(*function_index),
            O::TableGet { table } => self.table_get(*table),
            O::TableSet { table } => self.table_set(*table),
            O::TableSize { table } => self.table_size(*table),
            O::TableGrow { table } => self.table_grow(*table),
            O::TableFill { table } => self.table_fill(*table),
            O::TableCopy { dst_table, src_table } => self.table_copy(*dst_table, *src_table),
            O::TableInit { elem_index, table } => self.table_init(*elem_index, *table),
            O::ElemDrop { elem_index } => self.elem_drop(*elem_index),

            // Constants.
            O::I32Const { value } => {
                // CLIF wants a narrow constant zero-extended.
                let value = self.builder.ins().iconst(I32, i64::from(*value as u32));
                self.push(value);
            }
            O::I64Const { value } => {
                let value = self.builder.ins().iconst(I64, *value);
                self.push(value);
            }
            O::F32Const { value } => {
                let value = self.builder.ins().f32const(Ieee32::with_bits(value.bits()));
                self.push_exact(value);
            }
            O::F64Const { value } => {
                let value = self.builder.ins().f64const(Ieee64::with_bits(value.bits()));
                self.push_exact(value);
            }

            // Integers.
            O::I32Eqz | O::I64Eqz => self.test_zero(),
            O::I32Eq | O::I64Eq => self.compare_int(IntCC::Equal),
            O::I32Ne | O::I64Ne => self.compare_int(IntCC::NotEqual),
            O::I32LtS | O::I64LtS => self.compare_int(IntCC::SignedLessThan),
            O::I32LtU | O::I64LtU => self.compare_int(IntCC::UnsignedLessThan),
            O::I32GtS | O::I64GtS => self.compare_int(IntCC::SignedGreaterThan),
            O::I32GtU | O::I64GtU => self.compare_int(IntCC::UnsignedGreaterThan),
            O::I32LeS | O::I64LeS => self.compare_int(IntCC::SignedLessThanOrEqual),
            O::I32LeU | O::I64LeU => self.compare_int(IntCC::UnsignedLessThanOrEqual),
            O::I32GeS | O::I64GeS => self.compare_int(IntCC::SignedGreaterThanOrEqual),
            O::I32GeU | O::I64GeU => self.compare_int(IntCC::UnsignedGreaterThanOrEqual),
            O::I32Clz | O::I64Clz => self.unary(|ins, a| ins.clz(a)),
            O::I32Ctz | O::I64Ctz => self.unary(|ins, a| ins.ctz(a)),
            O::I32Popcnt | O::I64Popcnt => self.unary(|ins, a| ins.popcnt(a)),
            O::I32Add | O::I64Add => self.binary(|ins, a, b| ins.iadd(a, b)),
            O::I32Sub | O::I64Sub => self.binary(|ins, a, b| ins.isub(a, b)),
            O::I32Mul | O::I64Mul => self.binary(|ins, a, b| ins.imul(a, b)),
            O::I32And | O::I64And => self.binary(|ins, a, b| ins.band(a, b)),
            O::I32Or | O::I64Or => self.binary(|ins, a, b| ins.bor(a, b)),
            O::I32Xor | O::I64Xor => self.binary(|ins, a, b| ins.bxor(a, b)),
            O::I32Shl | O::I64Shl => self.binary(|ins, a, b| ins.ishl(a, b)),
            O::I32ShrS | O::I64ShrS => self.binary(|ins, a, b| ins.sshr(a, b)),
            O::I32ShrU | O::I64ShrU => self.binary(|ins, a, b| ins.ushr(a, b)),
            O::I32Rotl | O::I64Rotl => self.binary(|ins, a, b| ins.rotl(a, b)),
            O::I32Rotr | O::I64Rotr => self.binary(|ins, a, b| ins.rotr(a, b)),
            O::I32DivS | O::I64DivS => self.divide_signed(),
            O::I32DivU | O::I64DivU => self.divide_unsigned(),
            O::I32RemS | O::I64RemS => self.remainder_signed(),
            O::I32RemU | O::I64RemU => self.remainder_unsigned(),

            // Floats.
            O::F32Eq | O::F64Eq => self.compare_float(FloatCC::Equal),
            O::F32Ne | O::F64Ne => self.compare_float(FloatCC::NotEqual),
            O::F32Lt | O::F64Lt => self.compare_float(FloatCC::LessThan),
            O::F32Gt | O::F64Gt => self.compare_float(FloatCC::GreaterThan),
            O::F32Le | O::F64Le => self.compare_float(FloatCC::LessThanOrEqual),
            O::F32Ge | O::F64Ge => self.compare_float(FloatCC::GreaterThanOrEqual),
            O::F32Abs | O::F64Abs => self.unary_sign(|ins, a| ins.fabs(a)),
            O::F32Neg | O::F64Neg => self.unary_sign(|ins, a| ins.fneg(a)),
            O::F32Ceil | O::F64Ceil => self.unary(|ins, a| ins.ceil(a)),
            O::F32Floor | O::F64Floor => self.unary(|ins, a| ins.floor(a)),
            O::F32Trunc | O::F64Trunc => self.unary(|ins, a| ins.trunc(a)),
            O::F32Nearest | O::F64Nearest => self.unary(|ins, a| ins.nearest(a)),
            O::F32Sqrt | O::F64Sqrt => self.unary(|ins, a| ins.sqrt(a)),
            O::F32Add | O::F64Add => self.binary(|ins, a, b| ins.fadd(a, b)),
            O::F32Sub | O::F64Sub => self.binary(|ins, a, b| ins.fsub(a, b)),
            O::F32Mul | O::F64Mul => self.binary(|ins, a, b| ins.fmul(a, b)),
            O::F32Div | O::F64Div => self.binary(|ins, a, b| ins.fdiv(a, b)),
            O::F32Min | O::F64Min => self.binary(|ins, a, b| ins.fmin(a, b)),
            O::F32Max | O::F64Max => self.binary(|ins, a, b| ins.fmax(a, b)),
            O::F32Copysign | O::F64Copysign => self.copy_sign(),

            // Conversions.
            O::I32WrapI64 => self.unary(|ins, a| ins.ireduce(I32, a)),
            O::I64ExtendI32S => self.unary(|ins, a| ins.sextend(I64, a)),
            O::I64ExtendI32U => self.unary(|ins, a| ins.uextend(I64, a)),
            O::I32Extend8S | O::I64Extend8S => self.sign_extend_from(I8),
            O::I32Extend16S | O::I64Extend16S => self.sign_extend_from(I16),
            O::I64Extend32S => self.sign_extend_from(I32),
            O::I32TruncF32S | O::I32TruncF64S => self.truncate(I32, true),
            O::I32TruncF32U | O::I32TruncF64U => self.truncate(I32, false),
            O::I32TruncSatF32S | O::I32TruncSatF64S => self.truncate_saturating(I32, true),
            O::I32TruncSatF32U | O::I32TruncSatF64U => self.truncate_saturating(I32, false),
            O::I64TruncF32S | O::I64TruncF64S => self.truncate(I64, true),
            O::I64TruncF32U | O::I64TruncF64U => self.truncate(I64, false),
            O::I64TruncSatF32S | O::I64TruncSatF64S => self.truncate_saturating(I64, true),
            O::I64TruncSatF32U | O::I64TruncSatF64U => self.truncate_saturating(I64, false),
            O::F32ConvertI32S | O::F32ConvertI64S => {
                self.unary_exact(|ins, a| ins.fcvt_from_sint(F32, a))
            }
            O::F32ConvertI32U | O::F32ConvertI64U => {
                self.unary_exact(|ins, a| ins.fcvt_from_uint(F32, a))
            }
            O::F64ConvertI32S | O::F64ConvertI64S => {
                self.unary_exact(|ins, a| ins.fcvt_from_sint(F64, a))
            }
            O::F64ConvertI32U | O::F64ConvertI64U => {
                self.unary_exact(|ins, a| ins.fcvt_from_uint(F64, a))
            }
            O::F32DemoteF64 => self.unary(|ins, a| ins.fdemote(F32, a)),
            O::F64PromoteF32 => self.unary(|ins, a| ins.fpromote(F64, a)),
            O::I32ReinterpretF32 => self.reinterpret(I32),
            O::I64ReinterpretF64 => self.reinterpret(I64),
            O::F32ReinterpretI32 => self.reinterpret(F32),
            O::F64ReinterpretI64 => self.reinterpret(F64),

            vector => self.translate_vector_operator(vector)?,
        }
        Ok(())
    }

    fn local_get(&mut self, local: u32) {
        let variable = self.locals[local as usize];
        let value = self.builder.use_var(variable);
        self.push(value);
    }

    fn local_set(&mut self, local: u32) {
        let value = self.pop();
        self.set_local(local, value);
    }

    fn local_tee(&mut self, local: u32) {
        let value = self.pop();
        self.set_local(local, value);
        self.push(value);
    }

    fn set_local(&mut self, local: u32, value: Value) {
        let variable = self.locals[local as usize];
        self.builder.def_var(variable, value);
    }
}
