//! References and tables. A reference is a 32-bit index, all ones for null.
//!
//! Single slots are read and written here; what touches many goes to the runtime's
//! helpers, which raise "out of bounds table access" by themselves.

use super::function::Translator;
use crate::abi::{Helper, NULL_REF, TrapId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Translator<'_, '_> {
    pub fn ref_null(&mut self) {
        let null = self.null_ref();
        self.push(null);
    }

    pub fn ref_is_null(&mut self) {
        self.unary(|ins, reference| ins.icmp_imm_u(IntCC::Equal, reference, i64::from(NULL_REF)));
        self.unary(|ins, bool| ins.uextend(types::I32, bool));
    }

    pub fn ref_as_non_null(&mut self) {
        let reference = self.pop();
        self.trap_if_null(reference, TrapId::NullReference);
        self.push(reference);
    }

    /// Also where validation excludes null: a host can pass one.
    pub fn trap_if_null(&mut self, reference: Value, id: TrapId) {
        let is_null = self.is_null(reference);
        self.trap_if(is_null, id);
    }

    pub fn is_null(&mut self, reference: Value) -> Value {
        self.builder.ins().icmp_imm_u(IntCC::Equal, reference, i64::from(NULL_REF))
    }

    pub fn ref_func(&mut self, function: u32) {
        let reference = self.index(function);
        self.push(reference);
    }

    pub fn table_get(&mut self, table: u32) {
        let index = self.pop();
        self.check_table_index(index, table);
        let element = self.load_table_element(index, table);
        self.push(element);
    }

    pub fn table_set(&mut self, table: u32) {
        let (index, reference) = self.pop2();
        self.check_table_index(index, table);
        let slot = self.table_slot(index);
        let element = self.builder.ins().uextend(types::I64, reference);
        let flags = self.table_flags();
        let offset = self.env.layout.table_elements(table);
        self.builder.ins().store(flags, element, slot, offset);
    }

    fn check_table_index(&mut self, index: Value, table: u32) {
        let size = self.load_table_size(table);
        let is_outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, size);
        self.trap_if(is_outside, TrapId::OutOfBoundsTable);
    }

    pub fn table_size(&mut self, table: u32) {
        let size = self.load_table_size(table);
        self.push(size);
    }

    /// `aot_table_grow` returns the size before, or all ones, and raises nothing.
    pub fn table_grow(&mut self, table: u32) {
        let (reference, more) = self.pop2();
        let element = self.builder.ins().uextend(types::I64, reference);
        let table = self.index(table);
        let arguments = [self.instance, table, more, element];
        let before = self.call_helper(Helper::TableGrow, &arguments);
        self.push(before.expect("aot_table_grow returns a size"));
    }

    pub fn table_fill(&mut self, table: u32) {
        let (start, reference, length) = self.pop3();
        let element = self.builder.ins().uextend(types::I64, reference);
        let table = self.index(table);
        let arguments = [self.instance, table, length, element, start];
        self.call_helper(Helper::TableFill, &arguments);
        self.check_exception();
    }

    pub fn table_copy(&mut self, to_table: u32, from_table: u32) {
        let (to, from, length) = self.pop3();
        let (to_table, from_table) = (self.index(to_table), self.index(from_table));
        let arguments = [self.instance, from_table, to_table, length, from, to];
        self.call_helper(Helper::TableCopy, &arguments);
        self.check_exception();
    }

    pub fn table_init(&mut self, segment: u32, table: u32) {
        let (to, from, length) = self.pop3();
        let (table, segment) = (self.index(table), self.segment(segment));
        let arguments = [self.instance, table, segment, length, from, to];
        self.call_helper(Helper::TableInit, &arguments);
        self.check_exception();
    }

    pub fn elem_drop(&mut self, segment: u32) {
        let segment = self.segment(segment);
        self.call_helper(Helper::DropTableSegment, &[self.instance, segment]);
    }

    /// The file has the tables' own initial values first.
    fn segment(&mut self, segment: u32) -> Value {
        self.index(segment + self.info().table_values.len() as u32)
    }

    pub fn index(&mut self, index: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(index))
    }
}
