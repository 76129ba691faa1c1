//! One function body → the places where it is charged, and how much.
//!
//! A block here is a straight line: it begins where control can arrive from elsewhere
//! and ends where it can go elsewhere. A call ends none, since control comes back
//! right behind it. Each block is charged once, before it runs, for all of its
//! instructions; what depends on an operand is charged before the instruction.
//!
//! A block begins at the function's start, behind `loop`, `if`, `else` and `br_if` (or another conditional branch),
//! behind the `end` of an `if`, and behind the `end` of a block that some reachable
//! branch goes to. Code that cannot be reached has no block and no charge.

use super::cost_table::{self, BULK_BYTES_PER_UNIT, HOST_CALL, MEMORY_PAGE, TABLE_SLOT};
use crate::error::ModuleError;
use crate::intake::to_invalid;
use wasmparser::{FunctionBody, Operator};

/// What goes in front of the instruction at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChargePoint {
    /// From the start of the module.
    pub offset: u64,
    pub charge: Charge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// For a block. Zero where it turned out to cost nothing.
    Block(u64),
    /// For each unit of the i32 on top of the stack.
    Times(u64),
    /// For each so many units of the i32 on top of the stack.
    PerUnits(u64),
}

struct Frame {
    kind: FrameKind,
    is_branched_to: bool,
    /// Whether the opening instruction can be reached.
    is_entered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Block,
    Loop,
    If,
    Else { then_falls_through: bool },
}

struct Walk {
    points: Vec<ChargePoint>,
    frames: Vec<Frame>,
    /// The open block's place in `points`; none in code that cannot be reached.
    block: Option<usize>,
    imported_functions: u32,
}

/// The charges of a validated body, ordered by offset; a block's comes before that of
/// its first instruction's operand.
pub(super) fn charge_points(
    body: &FunctionBody<'_>,
    imported_functions: u32,
) -> Result<Vec<ChargePoint>, ModuleError> {
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(to_invalid)? {
        locals += u64::from(group.map_err(to_invalid)?.0);
    }
    let mut operators = body.get_operators_reader().map_err(to_invalid)?;
    let frame = Frame { kind: FrameKind::Block, is_branched_to: false, is_entered: true };
    let mut walk =
        Walk { points: Vec::new(), frames: vec![frame], block: None, imported_functions };
    walk.begin_block(operators.original_position());
    walk.add(cost_table::FUNCTION_ENTRY + locals / cost_table::LOCALS_PER_UNIT);
    while !operators.eof() {
        let offset = operators.original_position();
        let operator = operators.read().map_err(to_invalid)?;
        walk.visit(&operator, offset, operators.original_position())?;
    }
    Ok(walk.points)
}

impl Walk {
    fn visit(
        &mut self,
        operator: &Operator<'_>,
        offset: u64,
        next: u64,
    ) -> Result<(), ModuleError> {
        // What is validated and has no cost is something that the table forgot.
        let cost = cost_table::cost_of(operator).ok_or(ModuleError::Unsupported {
            proposal: "an instruction without a cost",
            function: None,
            offset,
        })?;
        use Operator as O;
        match operator {
            O::Block { .. } => self.open(FrameKind::Block),
            O::Loop { .. } => {
                self.open(FrameKind::Loop);
                self.continue_as_block(next);
                self.add(cost);
            }
            O::If { .. } => {
                self.add(cost);
                self.open(FrameKind::If);
                self.continue_as_block(next);
            }
            O::Else => self.visit_else(next),
            O::End => self.visit_end(next),
            _ => {
                self.add(cost + self.host_call_cost(operator));
                if let (Some(_), Some(charge)) = (self.block, operand_charge(operator)) {
                    self.points.push(ChargePoint { offset, charge });
                }
                self.visit_branch(operator, next)?;
            }
        }
        Ok(())
    }

    fn visit_branch(&mut self, operator: &Operator<'_>, next: u64) -> Result<(), ModuleError> {
        use Operator as O;
        match operator {
            O::BrIf { relative_depth }
            | O::BrOnNull { relative_depth }
            | O::BrOnNonNull { relative_depth } => {
                self.note_branch(*relative_depth);
                self.continue_as_block(next);
            }
            O::Br { relative_depth } => {
                self.note_branch(*relative_depth);
                self.block = None;
            }
            O::BrTable { targets } => {
                self.note_branch(targets.default());
                for depth in targets.targets() {
                    self.note_branch(depth.map_err(to_invalid)?);
                }
                self.block = None;
            }
            O::Return
            | O::Unreachable
            | O::ReturnCall { .. }
            | O::ReturnCallIndirect { .. }
            | O::ReturnCallRef { .. } => self.block = None,
            _ => {}
        }
        Ok(())
    }

    fn visit_else(&mut self, next: u64) {
        let falls_through = self.block.is_some();
        let Some(frame) = self.frames.last_mut() else { return };
        frame.kind = FrameKind::Else { then_falls_through: falls_through };
        if frame.is_entered {
            self.begin_block(next);
        }
    }

    fn visit_end(&mut self, next: u64) {
        let Some(frame) = self.frames.pop() else { return };
        let is_reached = self.block.is_some();
        let joins = match frame.kind {
            FrameKind::Block => frame.is_branched_to,
            FrameKind::Loop => false,
            FrameKind::If => frame.is_entered,
            FrameKind::Else { then_falls_through } => {
                frame.is_branched_to || then_falls_through || is_reached
            }
        };
        // Behind the function's own end there is nothing to charge.
        if joins && !self.frames.is_empty() {
            self.begin_block(next);
        }
    }

    fn open(&mut self, kind: FrameKind) {
        let is_entered = self.block.is_some();
        self.frames.push(Frame { kind, is_branched_to: false, is_entered });
    }

    fn note_branch(&mut self, depth: u32) {
        if self.block.is_none() {
            return;
        }
        let index = self.frames.len().checked_sub(1 + depth as usize);
        if let Some(frame) = index.and_then(|index| self.frames.get_mut(index)) {
            frame.is_branched_to = true;
        }
    }

    fn begin_block(&mut self, offset: u64) {
        self.block = Some(self.points.len());
        self.points.push(ChargePoint { offset, charge: Charge::Block(0) });
    }

    /// Begins a block if control gets here.
    fn continue_as_block(&mut self, offset: u64) {
        if self.block.is_some() {
            self.begin_block(offset);
        }
    }

    fn add(&mut self, cost: u64) {
        let Some(block) = self.block else { return };
        if let Charge::Block(total) = &mut self.points[block].charge {
            *total += cost;
        }
    }

    fn host_call_cost(&self, operator: &Operator<'_>) -> u64 {
        match operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index }
                if *function_index < self.imported_functions =>
            {
                HOST_CALL
            }
            _ => 0,
        }
    }
}

/// The part of a cost that depends on the operand on top of the stack. At most 2^32 ×
/// `MEMORY_PAGE`, which is 2^45.
fn operand_charge(operator: &Operator<'_>) -> Option<Charge> {
    use Operator as O;
    match operator {
        O::MemoryGrow { .. } => Some(Charge::Times(MEMORY_PAGE)),
        O::MemoryFill { .. } | O::MemoryCopy { .. } | O::MemoryInit { .. } => {
            Some(Charge::PerUnits(BULK_BYTES_PER_UNIT))
        }
        O::TableGrow { .. } | O::TableFill { .. } | O::TableCopy { .. } | O::TableInit { .. } => {
            Some(Charge::Times(TABLE_SLOT))
        }
        _ => None,
    }
}
