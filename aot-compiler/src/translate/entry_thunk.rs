//! Functions in front of a body: the stack test for a large frame, and the host's entry.
//!
//! With software checks a function tests the stack pointer after its frame was made.
//! That is early enough while the frame fits the reserve that every caller has left
//! (`STACK_RESERVE_BYTES`). A larger frame could already lie on other memory. Such a
//! function gets a thunk of the same signature as its entry, which tests for the
//! whole frame and only then calls the body.
//!
//! The runtime calls by the C convention only, so a function with the convention for
//! tail calls gets an entry that calls the one by the other.

use super::simd_lanes::vector_constant;
use super::{BODIES, Environment, OWN_FUNCTIONS, STACK_RESERVE_BYTES};
use crate::abi::{self, Helper, TrapId, exec_env, instance};
use crate::error::CompileError;
use crate::translate::HELPERS;
use crate::trap_place;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, Signature,
    StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Frames up to here need no thunk; the other half of the reserve is for the helper
/// that raises the exception.
pub(crate) const BIG_FRAME_BYTES: u32 = STACK_RESERVE_BYTES as u32 / 2;

/// Fills `func` with the stack test of a function, in front of its body.
pub(crate) fn build_stack_test(
    env: &Environment<'_>,
    own_index: u32,
    frame_bytes: u32,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
    frontend: TargetFrontendConfig,
) -> Result<(), CompileError> {
    let function = env.info.imported_function_count() + own_index;
    let (signature, place) = (env.signature_of(function), env.place_of_body(function));
    func.signature = signature.clone();
    let result = signature.returns.first().map(|result| result.value_type);
    let is_tail = signature.call_conv == CallConv::Tail;
    let mut builder = FunctionBuilder::new(func, context);
    let (entry, overflow) = (builder.create_block(), builder.create_block());
    let enter = builder.create_block();
    builder.set_cold_block(overflow);
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let flags = MemFlagsData::trusted();
    let boundary = exec_env::NATIVE_STACK_BOUNDARY;
    let boundary = builder.ins().load(types::I64, flags, params[0], boundary);
    let needed = STACK_RESERVE_BYTES + i64::from(frame_bytes);
    let limit = builder.ins().iadd_imm_s(boundary, needed);
    let pointer = builder.ins().get_stack_pointer(types::I64);
    let is_short = builder.ins().icmp(IntCC::UnsignedLessThan, pointer, limit);
    builder.ins().brif(is_short, overflow, &[], enter, &[]);

    builder.switch_to_block(enter);
    let body = import(&mut builder, BODIES, own_index, signature);
    if is_tail {
        builder.ins().return_call(body, &params);
    } else {
        let call = builder.ins().call(body, &params);
        let results = builder.inst_results(call).to_vec();
        builder.ins().return_(&results);
    }

    builder.switch_to_block(overflow);
    let instance = builder.ins().load(types::I64, flags, params[0], exec_env::MODULE_INSTANCE);
    let id = TrapId::NativeStackOverflow;
    let word = i64::from(trap_place::word(id as u32, place));
    let word = builder.ins().iconst(types::I32, word);
    builder.ins().store(flags, word, instance, instance::TRAP_WORD);
    let id = builder.ins().iconst(types::I32, id as i64);
    let raise = Helper::SetExceptionWithId;
    let raise = import(&mut builder, HELPERS, raise as u32, raise.signature(env.extends_sign()));
    builder.ins().call(raise, &[instance, id]);
    let zeros: Vec<Value> = result.map(|ty| zero(&mut builder, ty)).into_iter().collect();
    builder.ins().return_(&zeros);
    builder.seal_all_blocks();
    builder.finalize(frontend);
    Ok(())
}

/// Fills `func` with the runtime's entry of own function `own_index`, whose body has
/// the convention for tail calls.
pub(crate) fn build_host_entry(
    env: &Environment<'_>,
    own_index: u32,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
    frontend: TargetFrontendConfig,
) {
    let ty = env.info.function_type(env.info.imported_function_count() + own_index);
    func.signature = abi::function_signature(ty);
    let mut builder = FunctionBuilder::new(func, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let mut params = builder.block_params(entry).to_vec();
    if env.must_repair_f32() {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3);
        let slot = builder.create_sized_stack_slot(data);
        for param in &mut params {
            if builder.func.dfg.value_type(*param) == types::F32 {
                let address = builder.ins().stack_addr(types::I64, slot, 0);
                *param = repair_f32(&mut builder, *param, address);
            }
        }
    }
    let callee = import(&mut builder, OWN_FUNCTIONS, own_index, abi::tail_signature(ty));
    let call = builder.ins().call(callee, &params);
    let results = builder.inst_results(call).to_vec();
    builder.ins().return_(&results);
    builder.seal_all_blocks();
    builder.finalize(frontend);
}

/// WAMR's `invokeNative_riscv.S` loads f32 arguments without NaN-boxing them, so the
/// register reads as NaN. A store of 32 bits takes the low half as it is.
pub(super) fn repair_f32(builder: &mut FunctionBuilder<'_>, param: Value, scratch: Value) -> Value {
    builder.ins().store(MemFlagsData::trusted(), param, scratch, 0);
    let bits = builder.ins().load(types::I32, MemFlagsData::trusted(), scratch, 0);
    builder.ins().bitcast(types::F32, MemFlagsData::new(), bits)
}

pub(super) fn zero(builder: &mut FunctionBuilder<'_>, ty: cranelift_codegen::ir::Type) -> Value {
    match ty {
        types::F32 => builder.ins().f32const(0.0),
        types::F64 => builder.ins().f64const(0.0),
        types::I8X16 => vector_constant(builder, ty, [0; 16]),
        _ => builder.ins().iconst(ty, 0),
    }
}

fn import(
    builder: &mut FunctionBuilder<'_>,
    namespace: u32,
    index: u32,
    signature: Signature,
) -> FuncRef {
    let name = UserExternalName::new(namespace, index);
    let name = builder.func.declare_imported_user_function(name);
    let signature = builder.import_signature(signature);
    let name = ExternalName::user(name);
    builder.import_function(ExtFuncData { name, signature, colocated: true, patchable: false })
}
