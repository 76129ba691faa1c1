//! Calls: own functions directly, imported ones and tables through the runtime.

use super::control::to_args;
use super::function::Translator;
use crate::abi::{self, Helper, NULL_REF, TrapId, instance, packed_bytes, table_instance};
use crate::error::CompileError;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value, types};
use wasmparser::{FuncType, ValType};

/// A value in the argument buffer: WAMR packs 4-byte cells without alignment.
const CELL_BYTES: u32 = 4;
const POINTER_BYTES: u32 = 8;
/// The runtime may write the largest value where the first result goes.
const FIRST_RESULT_BYTES: u32 = 16;

/// What a further result takes of a stack slot of ours.
fn slot_bytes(ty: ValType) -> u32 {
    packed_bytes(ty).next_multiple_of(POINTER_BYTES)
}

impl Translator<'_, '_> {
    pub fn call(&mut self, function: u32) -> Result<(), CompileError> {
        if self.is_charge(function) {
            self.charge();
            return Ok(());
        }
        let ty = self.info().function_type(function);
        self.spend_values(ty.params().len() + ty.results().len())?;
        let is_import = function < self.info().imported_function_count();
        if !is_import && self.should_inline(function) {
            return self.inline_call(function);
        }
        let arguments = self.pop_many(ty.params().len());
        let results = if is_import {
            let function = self.index(function);
            self.call_import(function, ty, &arguments)
        } else {
            let callee = self.own_function(function);
            self.call_compiled(ty, &arguments, |translator, arguments| {
                translator.builder.ins().call(callee, arguments)
            })
        };
        self.stack.extend(results);
        Ok(())
    }

    /// With little stack left, host code would run into the guard pages and be left
    /// by a longjmp out of the signal handler, with whatever locks it holds.
    pub fn check_stack_before_host(&mut self) {
        // With software checks each function has checked on entry.
        self.needs_stack_check = true;
        if !self.env.checks_in_software() {
            self.check_stack();
        }
    }

    /// Calls code of this compiler by `emit`, and collects the results.
    fn call_compiled(
        &mut self,
        ty: &FuncType,
        arguments: &[Value],
        emit: impl FnOnce(&mut Self, &[Value]) -> ir::Inst,
    ) -> Vec<Value> {
        let others = ty.results().get(1..).unwrap_or_default();
        let mut all = Vec::with_capacity(1 + arguments.len() + others.len());
        all.push(self.exec_env);
        all.extend(self.split_arguments(ty.params(), arguments));
        let mut scratch = None;
        if !others.is_empty() {
            let address = self.scratch_address(others.iter().copied().map(slot_bytes).sum());
            scratch = Some(address);
            let mut offset = 0;
            for ty in others {
                all.push(self.builder.ins().iadd_imm_s(address, offset));
                offset += i64::from(slot_bytes(*ty));
            }
        }
        self.needs_stack_check = true;
        let call = emit(self, &all);
        let mut results = self.builder.inst_results(call).to_vec();
        self.check_exception();
        self.reload_gas();
        if let Some(address) = scratch {
            let mut offset = 0;
            for ty in others {
                results.push(self.load_scratch(*ty, address, offset));
                offset += slot_bytes(*ty) as i32;
            }
        }
        results
    }

    /// `aot_invoke_native` (`aot/aot_runtime.c`) takes packed parameters and leaves
    /// the first result in their place. For further results it reads pointers
    /// behind the parameters (`wasm_runtime_invoke_native`), which we point behind
    /// themselves.
    pub fn call_import(
        &mut self,
        function: Value,
        ty: &FuncType,
        arguments: &[Value],
    ) -> Vec<Value> {
        self.check_stack_before_host();
        let others = ty.results().get(1..).unwrap_or_default();
        let params_bytes: u32 = ty.params().iter().map(|ty| packed_bytes(*ty)).sum();
        let pointers_bytes = others.len() as u32 * POINTER_BYTES;
        let values_offset = (params_bytes + pointers_bytes).max(FIRST_RESULT_BYTES);
        let values_offset = values_offset.next_multiple_of(POINTER_BYTES);
        let values_bytes: u32 = others.iter().copied().map(slot_bytes).sum();
        let total = (values_offset + values_bytes).max(FIRST_RESULT_BYTES);
        let argv = self.store_arguments(ty, arguments, total);
        let (mut pointer_offset, mut value_offset) = (params_bytes, values_offset);
        for ty in others {
            let pointer = self.builder.ins().iadd_imm_s(argv, i64::from(value_offset));
            let flags = self.scratch_flags();
            self.builder.ins().store(flags, pointer, argv, pointer_offset as i32);
            pointer_offset += POINTER_BYTES;
            value_offset += slot_bytes(*ty);
        }
        let argc = i64::from(params_bytes / CELL_BYTES);
        let argc = self.builder.ins().iconst(types::I32, argc);
        let arguments = [self.exec_env, function, argc, argv];
        let is_ok = self.call_helper(Helper::InvokeNative, &arguments);
        self.bail_unless(is_ok.expect("aot_invoke_native returns a bool"));
        self.reload_gas();
        let mut results = Vec::with_capacity(ty.results().len());
        results.extend(ty.results().first().map(|ty| self.load_scratch(*ty, argv, 0)));
        let mut value_offset = values_offset;
        for ty in others {
            results.push(self.load_scratch(*ty, argv, value_offset as i32));
            value_offset += slot_bytes(*ty);
        }
        results.into_iter().map(|result| self.exact(result)).collect()
    }

    pub fn call_indirect(&mut self, type_index: u32, table: u32) -> Result<(), CompileError> {
        let canonical_type = self.info().canonical_types[type_index as usize];
        let ty = &self.info().types[canonical_type as usize];
        self.spend_values(ty.params().len() + ty.results().len())?;
        let index = self.pop();
        let arguments = self.pop_many(ty.params().len());
        let function = self.load_callee(index, table);
        self.check_callee_type(function, canonical_type);

        let results = self.call_by_index(ty, canonical_type, function, &arguments);
        self.stack.extend(results);
        Ok(())
    }

    /// Validation knows the type of the reference, but a host can pass any function.
    pub fn call_ref(&mut self, type_index: u32) -> Result<(), CompileError> {
        let canonical_type = self.info().canonical_types[type_index as usize];
        let ty = &self.info().types[canonical_type as usize];
        self.spend_values(ty.params().len() + ty.results().len())?;
        let function = self.pop();
        let arguments = self.pop_many(ty.params().len());
        self.trap_if_null(function, TrapId::NullFunction);
        self.check_callee_type(function, canonical_type);
        let results = self.call_by_index(ty, canonical_type, function, &arguments);
        self.stack.extend(results);
        Ok(())
    }

    pub fn can_be_import(&self, canonical_type: u32) -> bool {
        let mut imports = 0..self.info().imported_function_count();
        imports.any(|import| self.info().canonical_type_of(import) == canonical_type)
    }

    /// The function index in a table's slot, which is neither outside nor null.
    pub fn load_callee(&mut self, index: Value, table: u32) -> Value {
        let size = self.load_table_size(table);
        let is_outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, size);
        self.trap_if(is_outside, TrapId::UndefinedElement);
        let function = self.load_table_element(index, table);
        let null = i64::from(NULL_REF);
        let is_null = self.builder.ins().icmp_imm_u(IntCC::Equal, function, null);
        self.trap_if(is_null, TrapId::UninitializedElement);
        function
    }

    pub fn check_callee_type(&mut self, function: Value, canonical_type: u32) {
        let types_list = self.load_fixed(types::I64, instance::FUNC_TYPE_INDEXES);
        let index = self.builder.ins().uextend(types::I64, function);
        let offset = self.builder.ins().ishl_imm_u(index, 2);
        let address = self.builder.ins().iadd(types_list, offset);
        // Not movable: the index is known to be good only from here on.
        let flags = MemFlagsData::trusted().with_readonly();
        let found = self.builder.ins().load(types::I32, flags, address, 0);
        let wanted = i64::from(canonical_type);
        let is_other = self.builder.ins().icmp_imm_u(IntCC::NotEqual, found, wanted);
        self.trap_if(is_other, TrapId::IndirectTypeMismatch);
    }

    fn call_through_pointer(
        &mut self,
        ty: &FuncType,
        canonical_type: u32,
        function: Value,
        arguments: &[Value],
    ) -> Vec<Value> {
        let pointers = self.load_fixed(types::I64, instance::FUNC_PTRS);
        let index = self.builder.ins().uextend(types::I64, function);
        let offset = self.builder.ins().ishl_imm_u(index, 3);
        let address = self.builder.ins().iadd(pointers, offset);
        let pointer = self.builder.ins().load(types::I64, MemFlagsData::trusted(), address, 0);
        let signature = self.signature_of_type(canonical_type);
        self.call_compiled(ty, arguments, |translator, arguments| {
            translator.builder.ins().call_indirect(signature, pointer, arguments)
        })
    }

    /// Calls a function by its index, of a type that was checked. Imported functions
    /// have no address that compiled code could call.
    pub fn call_by_index(
        &mut self,
        ty: &FuncType,
        canonical_type: u32,
        function: Value,
        arguments: &[Value],
    ) -> Vec<Value> {
        if !self.can_be_import(canonical_type) {
            return self.call_through_pointer(ty, canonical_type, function, arguments);
        }
        let count = i64::from(self.info().imported_function_count());
        let is_import = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, function, count);
        let (import, own) = (self.builder.create_block(), self.builder.create_block());
        let join = self.builder.create_block();
        for ty in ty.results() {
            self.builder.append_block_param(join, abi::value_type(*ty));
        }
        self.builder.ins().brif(is_import, import, &[], own, &[]);
        self.builder.seal_block(import);
        self.builder.seal_block(own);

        self.builder.switch_to_block(import);
        let results = self.call_import(function, ty, arguments);
        self.builder.ins().jump(join, &to_args(&results));

        self.builder.switch_to_block(own);
        let results = self.call_through_pointer(ty, canonical_type, function, arguments);
        self.builder.ins().jump(join, &to_args(&results));

        self.builder.switch_to_block(join);
        self.builder.seal_block(join);
        self.builder.block_params(join).to_vec()
    }

    fn store_arguments(&mut self, ty: &FuncType, arguments: &[Value], bytes: u32) -> Value {
        let argv = self.scratch_address(bytes);
        let flags = self.scratch_flags();
        let mut offset = 0;
        for (argument, ty) in arguments.iter().zip(ty.params()) {
            let argument = self.seen(*argument);
            self.builder.ins().store(flags, argument, argv, offset);
            offset += packed_bytes(*ty) as i32;
        }
        argv
    }

    fn scratch_flags(&self) -> MemFlagsData {
        MemFlagsData::new().with_notrap().with_alias_region(Some(self.regions.scratch))
    }

    fn load_scratch(&mut self, ty: ValType, address: Value, offset: i32) -> Value {
        let flags = self.scratch_flags();
        self.builder.ins().load(abi::value_type(ty), flags, address, offset)
    }

    /// A constant where nothing in the module grows the table: then WAMR allocates
    /// its initial slots and no more (`TableInfo::allocated_slots`).
    pub fn load_table_size(&mut self, table: u32) -> Value {
        let info = &self.info().tables[table as usize];
        if !info.may_grow {
            return self.builder.ins().iconst(types::I32, i64::from(info.initial));
        }
        let flags = self.table_flags();
        let offset = self.env.layout.table_size(table);
        self.builder.ins().load(types::I32, flags, self.instance, offset)
    }

    /// The address of a slot whose index was checked.
    pub fn table_slot(&mut self, index: Value) -> Value {
        let index = self.builder.ins().uextend(types::I64, index);
        let shift = i64::from(table_instance::ELEM_BYTES.trailing_zeros());
        let offset = self.builder.ins().ishl_imm_u(index, shift);
        self.builder.ins().iadd(self.instance, offset)
    }

    /// The low 32 bits of a slot, which hold a reference completely.
    pub fn load_table_element(&mut self, index: Value, table: u32) -> Value {
        let slot = self.table_slot(index);
        let flags = self.table_flags();
        let offset = self.env.layout.table_elements(table);
        self.builder.ins().load(types::I32, flags, slot, offset)
    }

    pub fn table_flags(&self) -> MemFlagsData {
        MemFlagsData::new().with_notrap().with_alias_region(Some(self.regions.tables))
    }
}
