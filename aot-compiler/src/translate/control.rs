//! Structured control: blocks, loops, branches, and code that cannot be reached.
//!
//! A frame stands for an open block. Its operands travel as block parameters; the
//! frame remembers how high the operand stack was below them. After an instruction
//! that does not fall through, everything up to the end of the frame is skipped:
//! validation has seen it, and it has no effect.

use super::function::Translator;
use super::known_bounds::Mark;
use crate::error::CompileError;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, JumpTableData, Value};
use std::collections::BTreeMap;
use wasmparser::{BlockType, BrTable, Operator, ValType};

pub(super) enum FrameKind {
    Function,
    /// The body of a function that is translated in its caller's place.
    Inlined,
    Block,
    Loop {
        header: ir::Block,
    },
    /// `otherwise` is entered by the branch of the `if`; none after its `else`.
    If {
        otherwise: Option<ir::Block>,
        params: Vec<Value>,
    },
}

pub(super) struct Frame {
    kind: FrameKind,
    /// Where execution goes on after the block, with the results as parameters.
    exit: ir::Block,
    is_exit_used: bool,
    params: usize,
    results: usize,
    /// Height of the operand stack below the block's parameters.
    height: usize,
    /// What was known of addresses at the start, and what is known on every branch
    /// to the exit.
    known: Mark,
    known_at_exit: Option<Mark>,
    /// For each result, whether every branch to the exit brought an exact one; None
    /// before the first. See `nan`.
    exact_results: Option<Vec<bool>>,
}

impl Frame {
    /// What a branch to this frame carries: the parameters of a loop, else results.
    fn branch_arity(&self) -> usize {
        if matches!(self.kind, FrameKind::Loop { .. }) { self.params } else { self.results }
    }
}

impl Translator<'_, '_> {
    pub fn open_function_frame(&mut self) {
        let results = self.result_types.clone();
        let exit = self.create_block_with(&results);
        self.frames.push(Frame {
            kind: FrameKind::Function,
            exit,
            is_exit_used: false,
            params: 0,
            results: results.len(),
            height: 0,
            known: self.known_bounds.mark(),
            known_at_exit: None,
            exact_results: None,
        });
    }

    /// The arguments are off the operand stack already; the results come on it.
    pub fn open_inlined_frame(&mut self, results: &[ValType]) {
        let exit = self.create_block_with(results);
        self.frames.push(Frame {
            kind: FrameKind::Inlined,
            exit,
            is_exit_used: false,
            params: 0,
            results: results.len(),
            height: self.stack.len(),
            known: self.known_bounds.mark(),
            known_at_exit: None,
            exact_results: None,
        });
    }

    pub fn open_block(&mut self, ty: BlockType) -> Result<(), CompileError> {
        self.open(ty, FrameKind::Block)
    }

    pub fn open_loop(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let (params, _) = self.block_types(ty);
        let header = self.create_block_with(&params);
        let arguments = self.pop_many(params.len());
        self.builder.ins().jump(header, &to_args(&arguments));
        self.builder.switch_to_block(header);
        self.stack.extend_from_slice(self.builder.block_params(header));
        self.check_suspend();
        self.open(ty, FrameKind::Loop { header })
    }

    pub fn open_if(&mut self, ty: BlockType) -> Result<(), CompileError> {
        let condition = self.pop();
        let params = self.block_types(ty).0.len();
        let params = self.stack[self.stack.len() - params..].to_vec();
        let (then, otherwise) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.builder.seal_block(then);
        self.builder.seal_block(otherwise);
        self.builder.switch_to_block(then);
        self.open(ty, FrameKind::If { otherwise: Some(otherwise), params })
    }

    fn open(&mut self, ty: BlockType, kind: FrameKind) -> Result<(), CompileError> {
        let (params, results) = self.block_types(ty);
        self.spend_values(params.len() + results.len())?;
        let exit = self.create_block_with(&results);
        let height = self.stack.len() - params.len();
        let (params, results) = (params.len(), results.len());
        let known = self.known_bounds.mark();
        let (is_exit_used, known_at_exit) = (false, None);
        self.frames.push(Frame {
            kind,
            exit,
            is_exit_used,
            params,
            results,
            height,
            known,
            known_at_exit,
            exact_results: None,
        });
        Ok(())
    }

    pub fn begin_else(&mut self) {
        self.leave_to_exit();
        let frame = self.frames.last_mut().expect("validated: else belongs to an if");
        self.stack.truncate(frame.height);
        self.known_bounds.forget_since(frame.known);
        let FrameKind::If { otherwise, params } = &mut frame.kind else { return };
        self.stack.extend_from_slice(params);
        if let Some(block) = otherwise.take() {
            self.builder.switch_to_block(block);
            self.is_reachable = true;
        }
    }

    pub fn close_frame(&mut self) {
        self.leave_to_exit();
        let Some(mut frame) = self.frames.pop() else { return };
        let known = match frame.kind {
            // Its arms are different ways.
            FrameKind::If { .. } => frame.known,
            _ => frame.known_at_exit.unwrap_or(self.known_bounds.mark()),
        };
        self.known_bounds.forget_since(known);
        match &mut frame.kind {
            FrameKind::Loop { header } => self.builder.seal_block(*header),
            // An if without else passes its parameters on as results.
            FrameKind::If { otherwise, params } => {
                if let Some(block) = otherwise.take() {
                    self.builder.switch_to_block(block);
                    self.builder.ins().jump(frame.exit, &to_args(params));
                    frame.is_exit_used = true;
                    let exact = self.are_exact(params);
                    note_exact(&mut frame.exact_results, exact);
                }
            }
            FrameKind::Function | FrameKind::Inlined | FrameKind::Block => {}
        }
        self.stack.truncate(frame.height);
        self.is_reachable = frame.is_exit_used;
        if !self.is_reachable {
            return;
        }
        self.builder.switch_to_block(frame.exit);
        self.builder.seal_block(frame.exit);
        let results = self.builder.block_params(frame.exit).to_vec();
        for (result, is_exact) in results.iter().zip(frame.exact_results.unwrap_or_default()) {
            if is_exact {
                self.exact(*result);
            }
        }
        if matches!(frame.kind, FrameKind::Function) {
            self.return_results(&results);
            self.is_reachable = false;
        } else {
            self.stack.extend(results);
        }
    }

    /// Jumps from the end of the innermost block to what follows it.
    fn leave_to_exit(&mut self) {
        if !self.is_reachable {
            return;
        }
        let Some(frame) = self.frames.last_mut() else { return };
        frame.is_exit_used = true;
        let (exit, results) = (frame.exit, frame.results);
        let arguments = self.pop_many(results);
        let exact = self.are_exact(&arguments);
        if let Some(frame) = self.frames.last_mut() {
            note_exact(&mut frame.exact_results, exact);
        }
        self.builder.ins().jump(exit, &to_args(&arguments));
        self.is_reachable = false;
    }

    pub fn branch(&mut self, depth: u32) -> Result<(), CompileError> {
        let (target, arity) = self.branch_target(depth);
        self.spend_values(arity)?;
        let arguments = self.pop_many(arity);
        self.note_carried(depth, &arguments);
        self.builder.ins().jump(target, &to_args(&arguments));
        self.is_reachable = false;
        Ok(())
    }

    pub fn branch_if(&mut self, depth: u32) -> Result<(), CompileError> {
        let condition = self.pop();
        let (target, arity) = self.branch_target(depth);
        self.spend_values(arity)?;
        let arguments = self.stack[self.stack.len() - arity..].to_vec();
        self.note_carried(depth, &arguments);
        let arguments = to_args(&arguments);
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, target, &arguments, next, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
        Ok(())
    }

    /// Null branches and leaves; anything else stays as an operand.
    pub fn branch_on_null(&mut self, depth: u32) -> Result<(), CompileError> {
        let reference = self.pop();
        let is_null = self.is_null(reference);
        self.push(is_null);
        self.branch_if(depth)?;
        self.push(reference);
        Ok(())
    }

    /// What is not null branches as the last operand; null is dropped.
    pub fn branch_on_non_null(&mut self, depth: u32) -> Result<(), CompileError> {
        let reference = self.pop();
        self.push(reference);
        let is_null = self.is_null(reference);
        let is_reference = self.builder.ins().icmp_imm_u(IntCC::Equal, is_null, 0);
        self.push(is_reference);
        self.branch_if(depth)?;
        self.pop();
        Ok(())
    }

    /// Each different target gets one block that passes the operands on, so that
    /// the table's entries need none.
    pub fn branch_table(&mut self, table: &BrTable<'_>) -> Result<(), CompileError> {
        let selector = self.pop();
        let mut steps: BTreeMap<u32, ir::Block> = BTreeMap::new();
        let mut entries = Vec::with_capacity(table.len() as usize);
        for depth in table.targets() {
            let depth = depth.map_err(CompileError::bug)?;
            let step = *steps.entry(depth).or_insert_with(|| self.builder.create_block());
            entries.push(self.builder.func.dfg.block_call(step, &[]));
        }
        let default = *steps.entry(table.default()).or_insert_with(|| self.builder.create_block());
        let default = self.builder.func.dfg.block_call(default, &[]);
        let data = JumpTableData::new(default, &entries);
        let jump_table = self.builder.create_jump_table(data);
        self.builder.ins().br_table(selector, jump_table);
        for (depth, step) in steps {
            let (target, arity) = self.branch_target(depth);
            self.spend_values(arity)?;
            let arguments = self.stack[self.stack.len() - arity..].to_vec();
            self.note_carried(depth, &arguments);
            let arguments = to_args(&arguments);
            self.builder.switch_to_block(step);
            self.builder.seal_block(step);
            self.builder.ins().jump(target, &arguments);
        }
        self.is_reachable = false;
        Ok(())
    }

    pub fn return_from_function(&mut self) -> Result<(), CompileError> {
        let frame = self.inlining.innermost_frame().unwrap_or(0);
        // Nesting is bounded by the body's size, limits::FUNCTION_BYTES_MAX.
        self.branch((self.frames.len() - 1 - frame) as u32)
    }

    fn branch_target(&mut self, depth: u32) -> (ir::Block, usize) {
        let index = self.frames.len() - 1 - depth as usize;
        let frame = &mut self.frames[index];
        let arity = frame.branch_arity();
        match frame.kind {
            FrameKind::Loop { header } => (header, arity),
            _ => {
                frame.is_exit_used = true;
                let exit = frame.exit;
                self.note_known_at_exit(index);
                (exit, arity)
            }
        }
    }

    /// A branch to the exit of frame `index` brings what was known when the block
    /// around the branch inside of that frame began; later facts may be forgotten
    /// and replaced by others before the frame ends.
    fn note_known_at_exit(&mut self, index: usize) {
        let inner = self.frames.get(index + 1).map(|frame| frame.known);
        let known = inner.unwrap_or(self.known_bounds.mark());
        let frame = &mut self.frames[index];
        frame.known_at_exit = Some(frame.known_at_exit.map_or(known, |before| before.min(known)));
    }

    /// Notes which of the operands of a branch to frame `depth` are exact. Nothing is
    /// known of a loop's parameters, whose other branches are still to come.
    fn note_carried(&mut self, depth: u32, values: &[Value]) {
        let exact = self.are_exact(values);
        let index = self.frames.len() - 1 - depth as usize;
        let frame = &mut self.frames[index];
        if !matches!(frame.kind, FrameKind::Loop { .. }) {
            note_exact(&mut frame.exact_results, exact);
        }
    }

    /// Follows only the nesting of blocks until the end of the frame comes.
    pub fn skip_operator(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.unreachable_depth += 1;
            }
            Operator::End if self.unreachable_depth > 0 => self.unreachable_depth -= 1,
            Operator::End => self.close_frame(),
            Operator::Else if self.unreachable_depth == 0 => self.begin_else(),
            _ => {}
        }
    }

    fn block_types(&self, ty: BlockType) -> (Vec<ValType>, Vec<ValType>) {
        match ty {
            BlockType::Empty => (Vec::new(), Vec::new()),
            BlockType::Type(result) => (Vec::new(), vec![result]),
            BlockType::FuncType(index) => {
                let ty = &self.info().types[index as usize];
                (ty.params().to_vec(), ty.results().to_vec())
            }
        }
    }

    fn create_block_with(&mut self, params: &[ValType]) -> ir::Block {
        let block = self.builder.create_block();
        for ty in params {
            self.builder.append_block_param(block, crate::abi::value_type(*ty));
        }
        block
    }
}

fn note_exact(before: &mut Option<Vec<bool>>, exact: Vec<bool>) {
    match before {
        None => *before = Some(exact),
        Some(all) => all.iter_mut().zip(exact).for_each(|(all, one)| *all &= one),
    }
}

pub(super) fn to_args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}
