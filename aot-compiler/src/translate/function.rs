//! The state of one translation, and the walk over a body.

use super::control::Frame;
use super::entry_thunk::repair_f32;
use super::inline::Inlining;
use super::known_bounds::KnownBounds;
use super::nan::ExactBits;
use super::simd_lanes::vector_constant;
use super::{DISPATCHERS, Environment, HELPERS, OWN_FUNCTIONS, STACK_RESERVE_BYTES};
use crate::abi::{self, CALLED_HELPERS, Helper, TrapId, exec_env};
use crate::error::{CompileError, ModuleError, check_limit};
use crate::intake::{FunctionSurvey, ModuleInfo};
use crate::limits;
use cranelift_codegen::ir::{
    self, AliasRegion, AliasRegionData, ExtFuncData, ExternalName, FuncRef, InstBuilder,
    MemFlagsData, SigRef, StackSlot, StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use std::collections::BTreeMap;
use wasmparser::{BinaryReader, FunctionBody, OperatorsReader, ValType};

/// Memory that no access through another region changes.
pub(super) struct Regions {
    /// Fields of the execution environment and of the module instance.
    pub instance: AliasRegion,
    pub linear_memory: AliasRegion,
    pub globals: AliasRegion,
    pub tables: AliasRegion,
    /// A metered module's counter and limit.
    pub gas: AliasRegion,
    /// Arguments and results on the stack.
    pub scratch: AliasRegion,
}

pub(super) struct Translator<'m, 'f> {
    pub env: &'m Environment<'m>,
    pub builder: FunctionBuilder<'f>,
    pub regions: Regions,
    /// Has the parameters and leads to the start of the body.
    entry: ir::Block,
    start: ir::Block,
    pub exec_env: Value,
    pub instance: Value,
    /// Where the second result goes, the third, and so on.
    pub result_pointers: Vec<Value>,
    pub result_types: Vec<ValType>,
    pub locals: Vec<Variable>,
    pub stack: Vec<Value>,
    stack_height_max: usize,
    pub frames: Vec<Frame>,
    pub is_reachable: bool,
    /// Blocks that were opened in code that is not reachable.
    pub unreachable_depth: u32,
    /// By why and where.
    pub trap_blocks: BTreeMap<(TrapId, u32), ir::Block>,
    /// Of the instruction that is being translated, in the module; 0 is nowhere.
    pub place: u32,
    /// Of the function's start.
    pub start_place: u32,
    /// Of the first access to memory on the present straight line.
    pub access_place: Option<u32>,
    /// Returns zeros, for a caller that will see the exception.
    pub bail_block: Option<ir::Block>,
    functions: BTreeMap<(u32, u32), FuncRef>,
    signatures: BTreeMap<u32, SigRef>,
    scratch: Option<StackSlot>,
    values_spent: u64,
    /// The function that is being compiled, and what is known of its body.
    pub function: u32,
    pub own_survey: FunctionSurvey,
    pub inlining: Inlining,
    pub known_bounds: KnownBounds,
    pub exact_bits: ExactBits,
    /// Whether anything is called that needs more stack than a leaf may take.
    pub needs_stack_check: bool,
    /// A metered module's counter.
    pub gas_used: Option<Variable>,
}

/// What the choice of the effort rests on.
pub(crate) struct Translated {
    /// Operands on the stack at most.
    pub stack_height_max: usize,
    /// The body's survey with those of the functions that were inlined.
    pub survey: FunctionSurvey,
}

/// Fills `func` with the translation of `function`.
pub(crate) fn translate_function(
    env: &Environment<'_>,
    function: u32,
    body_bytes: &[u8],
    survey: FunctionSurvey,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
    frontend: TargetFrontendConfig,
) -> Result<Translated, CompileError> {
    func.signature = env.signature_of(function);
    let start = env.place_of_body(function);
    let body = FunctionBody::new(BinaryReader::new(body_bytes, start.into()));
    let mut translator = Translator::enter(env, function, survey, start, func, context);
    translator.declare_locals(&body)?;
    let mut operators = body.get_operators_reader().map_err(CompileError::bug)?;
    translator.walk(&mut operators)?;
    translator.fill_entry();
    translator.fill_trap_blocks();
    let mut translated = Translated { stack_height_max: translator.stack_height_max, survey };
    translated.survey.take_in(&translator.inlining.survey);
    translator.builder.seal_all_blocks();
    translator.builder.finalize(frontend);
    Ok(translated)
}

impl<'m, 'f> Translator<'m, 'f> {
    fn enter(
        env: &'m Environment<'m>,
        function: u32,
        own_survey: FunctionSurvey,
        start_place: u32,
        func: &'f mut ir::Function,
        context: &'f mut FunctionBuilderContext,
    ) -> Self {
        let regions = declare_regions(func);
        let mut builder = FunctionBuilder::new(func, context);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.func.layout.append_block(entry);
        builder.seal_block(entry);
        // `fill_entry` makes the way from one to the other.
        let start = builder.create_block();
        builder.switch_to_block(start);
        let params = builder.block_params(entry).to_vec();
        let ty = env.info.function_type(function);
        let carried = abi::carried_count(ty.params());
        let exec_env = params[0];
        let fixed = MemFlagsData::trusted().with_readonly().with_can_move();
        let fixed = fixed.with_alias_region(Some(regions.instance));
        let instance = builder.ins().load(types::I64, fixed, exec_env, exec_env::MODULE_INSTANCE);
        let mut translator = Self {
            env,
            builder,
            regions,
            entry,
            start,
            exec_env,
            instance,
            result_pointers: params[1 + carried..].to_vec(),
            result_types: ty.results().to_vec(),
            locals: Vec::new(),
            stack: Vec::new(),
            stack_height_max: 0,
            frames: Vec::new(),
            is_reachable: true,
            unreachable_depth: 0,
            trap_blocks: BTreeMap::new(),
            place: start_place,
            start_place,
            access_place: None,
            bail_block: None,
            functions: BTreeMap::new(),
            signatures: BTreeMap::new(),
            scratch: None,
            values_spent: 0,
            function,
            own_survey,
            inlining: Inlining::default(),
            known_bounds: KnownBounds::default(),
            exact_bits: ExactBits::default(),
            needs_stack_check: false,
            gas_used: None,
        };
        translator.enter_gas();
        translator.check_suspend();
        translator.open_function_frame();
        let params = translator.join_params(ty.params(), &params[1..1 + carried]);
        for (param, ty) in params.into_iter().zip(ty.params()) {
            let mut value = param;
            if *ty == ValType::F32 && env.must_repair_f32() {
                let scratch = translator.scratch_address(4);
                value = repair_f32(&mut translator.builder, param, scratch);
            }
            translator.add_local(*ty, value);
        }
        translator
    }

    pub fn declare_locals(&mut self, body: &FunctionBody<'_>) -> Result<(), CompileError> {
        for local in body.get_locals_reader().map_err(CompileError::bug)? {
            let (count, ty) = local.map_err(CompileError::bug)?;
            let initial = self.initial_value(ty);
            for _ in 0..count {
                self.add_local(ty, initial);
            }
        }
        Ok(())
    }

    pub fn add_local(&mut self, ty: ValType, value: Value) {
        let variable = self.builder.declare_var(abi::value_type(ty));
        self.builder.def_var(variable, value);
        self.locals.push(variable);
    }

    fn initial_value(&mut self, ty: ValType) -> Value {
        match ty {
            ValType::Ref(_) => self.null_ref(),
            _ => {
                let zero = self.zero(abi::value_type(ty));
                self.exact(zero)
            }
        }
    }

    pub fn walk(&mut self, operators: &mut OperatorsReader<'_>) -> Result<(), CompileError> {
        while !operators.eof() {
            let place = operators.original_position();
            let operator = operators.read().map_err(CompileError::bug)?;
            if self.is_reachable {
                self.come_to(place, &operator);
                self.translate_operator(&operator)?;
                self.stack_height_max = self.stack_height_max.max(self.stack.len());
            } else {
                self.skip_operator(&operator);
            }
        }
        Ok(())
    }

    /// Counts operands of branches and calls; see `limits::FUNCTION_VALUES_MAX`.
    pub fn spend_values(&mut self, count: usize) -> Result<(), ModuleError> {
        self.values_spent += count as u64 + 1;
        check_limit("operands of a function", self.values_spent, limits::FUNCTION_VALUES_MAX)
    }

    pub fn info(&self) -> &'m ModuleInfo<'m> {
        self.env.info
    }

    pub fn zero(&mut self, ty: ir::Type) -> Value {
        match ty {
            types::F32 => self.builder.ins().f32const(0.0),
            types::F64 => self.builder.ins().f64const(0.0),
            types::I8X16 => vector_constant(&mut self.builder, ty, [0; 16]),
            _ => self.builder.ins().iconst(ty, 0),
        }
    }

    pub fn null_ref(&mut self) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(abi::NULL_REF))
    }

    pub fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Validation guarantees an operand for each instruction that takes one.
    pub fn pop(&mut self) -> Value {
        self.stack.pop().expect("validated: the operand stack is not empty")
    }

    pub fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    pub fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    pub fn pop_many(&mut self, count: usize) -> Vec<Value> {
        self.stack.split_off(self.stack.len() - count)
    }

    /// Flags of a field of the instance that stays as it is during a call.
    pub fn fixed_field(&self) -> MemFlagsData {
        self.field().with_readonly().with_can_move()
    }

    pub fn field(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(self.regions.instance))
    }

    pub fn load_fixed(&mut self, ty: ir::Type, offset: i32) -> Value {
        let flags = self.fixed_field();
        self.builder.ins().load(ty, flags, self.instance, offset)
    }

    /// The address of at least `bytes` of stack that one call at a time uses.
    pub fn scratch_address(&mut self, bytes: u32) -> Value {
        let slot = match self.scratch {
            Some(slot) => slot,
            None => {
                let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 3);
                *self.scratch.insert(self.builder.create_sized_stack_slot(data))
            }
        };
        let data = &mut self.builder.func.sized_stack_slots[slot];
        data.size = data.size.max(bytes.next_multiple_of(8));
        self.builder.ins().stack_addr(types::I64, slot, 0)
    }

    /// With software checks, tests the stack of a function that calls anything which
    /// might need more than the reserve. A leaf lives on what its caller has left,
    /// if its frame is small; `codegen` gives one with a large frame a thunk.
    fn fill_entry(&mut self) {
        self.builder.switch_to_block(self.entry);
        if self.env.checks_in_software() && self.needs_stack_check {
            self.check_stack();
        }
        self.builder.ins().jump(self.start, &[]);
    }

    /// Traps when less than `STACK_RESERVE_BYTES` of the native stack is left.
    pub fn check_stack(&mut self) {
        let flags = self.fixed_field();
        let pointer = self.builder.ins().get_stack_pointer(types::I64);
        let boundary = exec_env::NATIVE_STACK_BOUNDARY;
        let boundary = self.builder.ins().load(types::I64, flags, self.exec_env, boundary);
        // No stack lies in the lowest pages, so the difference is positive.
        let reached = self.builder.ins().iadd_imm_s(pointer, -STACK_RESERVE_BYTES);
        let is_short =
            self.builder.ins().icmp(ir::condcodes::IntCC::UnsignedLessThan, reached, boundary);
        self.trap_at(self.start_place, is_short, TrapId::NativeStackOverflow);
    }

    pub fn own_function(&mut self, function: u32) -> FuncRef {
        let own_index = function - self.info().imported_function_count();
        if let Some(reference) = self.functions.get(&(OWN_FUNCTIONS, own_index)) {
            return *reference;
        }
        let signature = if self.env.survey.tail_calls.contains(own_index) {
            self.builder.import_signature(self.env.signature_of(function))
        } else {
            self.signature_of_type(self.info().canonical_type_of(function))
        };
        self.import_function(OWN_FUNCTIONS, own_index, signature)
    }

    pub fn dispatcher(&mut self, canonical_type: u32) -> FuncRef {
        if let Some(reference) = self.functions.get(&(DISPATCHERS, canonical_type)) {
            return *reference;
        }
        let ty = &self.info().types[canonical_type as usize];
        let signature = self.builder.import_signature(abi::dispatcher_signature(ty));
        self.import_function(DISPATCHERS, canonical_type, signature)
    }

    pub fn helper(&mut self, helper: Helper) -> FuncRef {
        let number = helper as u32;
        debug_assert_eq!(CALLED_HELPERS[number as usize], helper);
        if let Some(reference) = self.functions.get(&(HELPERS, number)) {
            return *reference;
        }
        let signature = helper.signature(self.env.extends_sign());
        let signature = self.builder.import_signature(signature);
        self.import_function(HELPERS, number, signature)
    }

    pub fn call_helper(&mut self, helper: Helper, arguments: &[Value]) -> Option<Value> {
        let reference = self.helper(helper);
        let call = self.builder.ins().call(reference, arguments);
        self.builder.inst_results(call).first().copied()
    }

    pub fn signature_of_type(&mut self, canonical_type: u32) -> SigRef {
        if let Some(signature) = self.signatures.get(&canonical_type) {
            return *signature;
        }
        let signature = abi::function_signature(&self.info().types[canonical_type as usize]);
        let reference = self.builder.import_signature(signature);
        self.signatures.insert(canonical_type, reference);
        reference
    }

    fn import_function(&mut self, namespace: u32, index: u32, signature: SigRef) -> FuncRef {
        let name = UserExternalName::new(namespace, index);
        let name = self.builder.func.declare_imported_user_function(name);
        let data = ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        };
        let reference = self.builder.import_function(data);
        self.functions.insert((namespace, index), reference);
        reference
    }
}

fn declare_regions(func: &mut ir::Function) -> Regions {
    let mut declare = |user_id, description: &'static str| {
        let data = AliasRegionData { user_id, description: description.into() };
        func.dfg.alias_regions.insert(data)
    };
    Regions {
        instance: declare(0, "instance"),
        linear_memory: declare(1, "linear memory"),
        globals: declare(2, "globals"),
        tables: declare(3, "tables"),
        scratch: declare(4, "scratch"),
        gas: declare(5, "gas"),
    }
}
