//! Tail calls: `return_call`, `return_call_indirect` and `return_call_ref`.
//!
//! The callee takes over the caller's frame, so any number of them needs no more
//! stack than one. Its further results go where the caller's would have gone: the
//! results have the same types, and the pointers are into the frame of whoever made
//! the last ordinary call.
//!
//! An imported function is called and its results are returned: what the host does
//! with the stack is its matter, and it cannot call back.
//!
//! The runtime's table of function addresses holds entries in the C convention,
//! which no tail call can use. So the latter two go through a dispatcher, one for each
//! type: a function that takes a function's index behind the arguments
//! and tail-calls that function.

use super::function::Translator;
use super::{Environment, OWN_FUNCTIONS};
use crate::abi::{self, TrapId};
use crate::error::{CompileError, check_limit};
use crate::limits;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, Function, InstBuilder, UserExternalName, Value,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch};
use wasmparser::FuncType;

impl Translator<'_, '_> {
    pub fn return_call(&mut self, function: u32) -> Result<(), CompileError> {
        let ty = self.info().function_type(function);
        let arguments = self.pop_tail_arguments(ty)?;
        if function < self.info().imported_function_count() {
            let function = self.index(function);
            let results = self.call_import(function, ty, &arguments);
            self.return_results(&results);
        } else {
            let callee = self.own_function(function);
            let all = self.tail_arguments(ty, &arguments);
            self.builder.ins().return_call(callee, &all);
        }
        self.is_reachable = false;
        Ok(())
    }

    pub fn return_call_indirect(
        &mut self,
        type_index: u32,
        table: u32,
    ) -> Result<(), CompileError> {
        let canonical_type = self.info().canonical_types[type_index as usize];
        let ty = &self.info().types[canonical_type as usize];
        let index = self.pop();
        let arguments = self.pop_tail_arguments(ty)?;
        let function = self.load_callee(index, table);
        self.check_callee_type(function, canonical_type);
        self.return_call_by_index(ty, canonical_type, function, &arguments);
        Ok(())
    }

    pub fn return_call_ref(&mut self, type_index: u32) -> Result<(), CompileError> {
        let canonical_type = self.info().canonical_types[type_index as usize];
        let ty = &self.info().types[canonical_type as usize];
        let function = self.pop();
        let arguments = self.pop_tail_arguments(ty)?;
        self.trap_if_null(function, TrapId::NullFunction);
        self.check_callee_type(function, canonical_type);
        self.return_call_by_index(ty, canonical_type, function, &arguments);
        Ok(())
    }

    fn return_call_by_index(
        &mut self,
        ty: &FuncType,
        canonical_type: u32,
        function: Value,
        arguments: &[Value],
    ) {
        if self.can_be_import(canonical_type) {
            let count = i64::from(self.info().imported_function_count());
            let is_import = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, function, count);
            let (import, own) = (self.builder.create_block(), self.builder.create_block());
            self.builder.ins().brif(is_import, import, &[], own, &[]);
            self.builder.seal_block(import);
            self.builder.seal_block(own);
            self.builder.switch_to_block(import);
            let results = self.call_import(function, ty, arguments);
            self.return_results(&results);
            self.builder.switch_to_block(own);
        }
        let dispatcher = self.dispatcher(canonical_type);
        let mut all = self.tail_arguments(ty, arguments);
        all.push(function);
        self.builder.ins().return_call(dispatcher, &all);
        self.is_reachable = false;
    }

    fn pop_tail_arguments(&mut self, ty: &FuncType) -> Result<Vec<Value>, CompileError> {
        self.needs_stack_check = true;
        let values = ty.params().len() + ty.results().len();
        check_limit(
            "parameters and results of a tail call",
            values as u64,
            limits::TAIL_CALL_VALUES_MAX as u64,
        )?;
        self.spend_values(values)?;
        Ok(self.pop_many(ty.params().len()))
    }

    fn tail_arguments(&mut self, ty: &FuncType, arguments: &[Value]) -> Vec<Value> {
        let mut all = vec![self.exec_env];
        all.extend(self.split_arguments(ty.params(), arguments));
        all.extend_from_slice(&self.result_pointers);
        all
    }
}

/// Fills `func` with the dispatcher of a type.
pub(crate) fn build_dispatcher(
    env: &Environment<'_>,
    canonical_type: u32,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
    frontend: TargetFrontendConfig,
) -> Result<(), CompileError> {
    let ty = &env.info.types[canonical_type as usize];
    func.signature = abi::dispatcher_signature(ty);
    let mut builder = FunctionBuilder::new(func, context);
    let (entry, otherwise) = (builder.create_block(), builder.create_block());
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let (function, arguments) =
        params.split_last().ok_or_else(|| CompileError::bug("a dispatcher without an index"))?;
    let signature = builder.import_signature(abi::tail_signature(ty));

    let first = env.info.imported_function_count();
    let mut switch = Switch::new();
    let mut calls = Vec::new();
    for own in first..env.info.function_types.len() as u32 {
        if env.info.canonical_type_of(own) == canonical_type {
            let block = builder.create_block();
            switch.set_entry(own.into(), block);
            calls.push((block, own - first));
        }
    }
    switch.emit(&mut builder, *function, otherwise);
    for (block, own_index) in calls {
        builder.switch_to_block(block);
        let name = UserExternalName::new(OWN_FUNCTIONS, own_index);
        let name = ExternalName::user(builder.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: true, patchable: false };
        let callee = builder.import_function(data);
        builder.ins().return_call(callee, arguments);
    }
    // Not reached: the caller has compared the type.
    builder.switch_to_block(otherwise);
    let result = ty.results().first().map(|ty| abi::value_type(*ty));
    let zeros: Vec<Value> =
        result.map(|ty| super::entry_thunk::zero(&mut builder, ty)).into_iter().collect();
    builder.ins().return_(&zeros);
    builder.seal_all_blocks();
    builder.finalize(frontend);
    Ok(())
}
