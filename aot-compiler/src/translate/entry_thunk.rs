//! The stack test in front of a function whose frame is large.
//!
//! With software checks a function tests the stack pointer after its frame was made.
//! That is early enough while the frame fits the reserve that every caller has left
//! (`STACK_RESERVE_BYTES`). A larger frame could already lie on other memory. Such a
//! function gets a thunk of the same signature as its entry, which tests for the
//! whole frame and only then calls the body.

use super::simd_lanes::vector_constant;
use super::{BODIES, STACK_RESERVE_BYTES};
use crate::abi::{Helper, TrapId, exec_env};
use crate::error::CompileError;
use crate::translate::HELPERS;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, Signature,
    UserExternalName, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Frames up to here need no thunk; the other half of the reserve is for the helper
/// that raises the exception.
pub(crate) const BIG_FRAME_BYTES: u32 = STACK_RESERVE_BYTES as u32 / 2;

/// Fills `func` with the entry of own function `own_index`, whose body has a frame
/// of `frame_bytes`.
pub(crate) fn build_entry_thunk(
    own_index: u32,
    frame_bytes: u32,
    signature: Signature,
    extends_sign: bool,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
    frontend: TargetFrontendConfig,
) -> Result<(), CompileError> {
    func.signature = signature.clone();
    let result = signature.returns.first().map(|result| result.value_type);
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
    let call = builder.ins().call(body, &params);
    let results = builder.inst_results(call).to_vec();
    builder.ins().return_(&results);

    builder.switch_to_block(overflow);
    let instance = builder.ins().load(types::I64, flags, params[0], exec_env::MODULE_INSTANCE);
    let id = builder.ins().iconst(types::I32, TrapId::NativeStackOverflow as i64);
    let raise = Helper::SetExceptionWithId;
    let raise = import(&mut builder, HELPERS, raise as u32, raise.signature(extends_sign));
    builder.ins().call(raise, &[instance, id]);
    let zeros: Vec<Value> = result.map(|ty| zero(&mut builder, ty)).into_iter().collect();
    builder.ins().return_(&zeros);
    builder.seal_all_blocks();
    builder.finalize(frontend);
    Ok(())
}

fn zero(builder: &mut FunctionBuilder<'_>, ty: cranelift_codegen::ir::Type) -> Value {
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
