//! Any bytes → a valid module, by keeping track of the operand stack.
//!
//! Each byte picks an instruction. If the operands it takes are not on the stack,
//! locals of the right types are pushed first, so everything validates.

use Type::{F32, F64, I32, I64};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    I32,
    I64,
    F32,
    F64,
}

/// Instruction, operands, results.
const INSTRUCTIONS: &[(&str, &[Type], &[Type])] = &[
    ("i32.add", &[I32, I32], &[I32]),
    ("i32.div_s", &[I32, I32], &[I32]),
    ("i32.rem_s", &[I32, I32], &[I32]),
    ("i32.rotl", &[I32, I32], &[I32]),
    ("i32.lt_u", &[I32, I32], &[I32]),
    ("i32.clz", &[I32], &[I32]),
    ("i32.eqz", &[I32], &[I32]),
    ("i32.extend8_s", &[I32], &[I32]),
    ("i32.wrap_i64", &[I64], &[I32]),
    ("i32.load offset=7", &[I32], &[I32]),
    ("i32.load8_s", &[I32], &[I32]),
    ("i32.store offset=4294967295", &[I32, I32], &[]),
    ("i32.store16", &[I32, I32], &[]),
    ("i64.mul", &[I64, I64], &[I64]),
    ("i64.div_u", &[I64, I64], &[I64]),
    ("i64.rem_u", &[I64, I64], &[I64]),
    ("i64.popcnt", &[I64], &[I64]),
    ("i64.shr_s", &[I64, I64], &[I64]),
    ("i64.extend_i32_u", &[I32], &[I64]),
    ("i64.load32_s", &[I32], &[I64]),
    ("i64.store8", &[I32, I64], &[]),
    ("i64.trunc_f64_u", &[F64], &[I64]),
    ("i64.trunc_sat_f32_s", &[F32], &[I64]),
    ("f32.min", &[F32, F32], &[F32]),
    ("f32.nearest", &[F32], &[F32]),
    ("f32.demote_f64", &[F64], &[F32]),
    ("f32.load", &[I32], &[F32]),
    ("f32.convert_i64_u", &[I64], &[F32]),
    ("f64.copysign", &[F64, F64], &[F64]),
    ("f64.sqrt", &[F64], &[F64]),
    ("f64.ge", &[F64, F64], &[I32]),
    ("f64.reinterpret_i64", &[I64], &[F64]),
    ("f64.store", &[I32, F64], &[]),
    ("memory.grow", &[I32], &[I32]),
    ("memory.size", &[], &[I32]),
    ("memory.fill", &[I32, I32, I32], &[]),
    ("memory.copy", &[I32, I32, I32], &[]),
    ("global.get 0", &[], &[I64]),
    ("global.set 0", &[I64], &[]),
    ("call $host", &[F32, I32], &[I32, F64]),
    ("call $self", &[I32, I64, F32, F64], &[I32]),
    ("call_indirect (type $program)", &[I32, I64, F32, F64, I32], &[I32]),
    ("call_indirect (type $host)", &[F32, I32, I32], &[I32, F64]),
    ("local.set 4", &[I32], &[]),
    ("local.tee 5", &[I64], &[I64]),
    ("select", &[F32, F32, I32], &[F32]),
    ("drop", &[F64], &[]),
];

/// Locals that supply an operand, by type; the first four are the parameters.
fn local_of(ty: Type) -> usize {
    [I32, I64, F32, F64].iter().position(|other| *other == ty).unwrap()
}

pub fn generate(bytes: &[u8]) -> String {
    let mut program = Program { text: String::new(), blocks: vec![Vec::new()] };
    for byte in bytes {
        program.add(*byte);
    }
    while program.blocks.len() > 1 {
        program.end();
    }
    program.supply(&[I32]);
    format!(
        "(module
           (type $program (func (param i32 i64 f32 f64) (result i32)))
           (type $host (func (param f32 i32) (result i32 f64)))
           (import \"env\" \"host\" (func $host (type $host)))
           (memory 1) (table 3 funcref) (elem (i32.const 0) $self $host)
           (global (mut i64) (i64.const 1))
           (func $self (export \"run\") (type $program) (local i32 i64 f32 f64)
             {}
             return))",
        program.text
    )
}

struct Program {
    text: String,
    /// The operands of each open block; each block has the result i32.
    blocks: Vec<Vec<Type>>,
}

impl Program {
    fn add(&mut self, byte: u8) {
        match byte {
            0..=15 => self.open("block (result i32)", &[]),
            16..=31 => self.open("loop (result i32)", &[]),
            32..=47 if self.blocks.len() > 1 => self.end(),
            48..=55 => {
                // Only blocks and the function take an i32 along; so does each loop here
                // take nothing, which is why branches go to the outermost one.
                let depth = self.blocks.len() - 1;
                self.instruction(&format!("br_if {depth}"), &[I32, I32], &[I32]);
            }
            _ => {
                let (name, operands, results) =
                    INSTRUCTIONS[usize::from(byte) % INSTRUCTIONS.len()];
                self.instruction(name, operands, results);
            }
        }
    }

    fn open(&mut self, name: &str, operands: &[Type]) {
        self.supply(operands);
        self.text += &format!("{name}\n");
        self.blocks.push(Vec::new());
    }

    /// Leaves exactly one i32, whatever the block has computed.
    fn end(&mut self) {
        let operands = self.blocks.pop().unwrap();
        self.text += &"drop\n".repeat(operands.len());
        self.text += "local.get 4\nend\n";
        self.operands().push(I32);
    }

    fn instruction(&mut self, name: &str, operands: &[Type], results: &[Type]) {
        self.supply(operands);
        self.text += &format!("{name}\n");
        let stack = self.operands();
        stack.truncate(stack.len() - operands.len());
        stack.extend(results);
    }

    fn supply(&mut self, operands: &[Type]) {
        if !self.operands().ends_with(operands) {
            for ty in operands {
                self.text += &format!("local.get {}\n", local_of(*ty));
                self.operands().push(*ty);
            }
        }
    }

    fn operands(&mut self) -> &mut Vec<Type> {
        self.blocks.last_mut().unwrap()
    }
}
