//! Who is called: functions by index and export, helpers of the runtime by symbol.

use crate::call::Call;
use aot_reader::{ExportKind, Module};
use std::collections::BTreeMap;
use std::fmt::Write;

pub struct Names<'a> {
    /// Code offset of each own function, and its label.
    entries: BTreeMap<u64, String>,
    /// Code offset of each relocation, and its symbol.
    symbols: BTreeMap<u64, &'a str>,
    labels: BTreeMap<u32, String>,
}

impl<'a> Names<'a> {
    pub fn of(module: &Module<'a>) -> Self {
        let mut exports: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for export in module.exports.iter().filter(|e| e.kind == ExportKind::Function) {
            exports.entry(export.index).or_default().push(export.name);
        }
        let label = |index: u32| {
            let mut label = format!("function[{index}]");
            for name in exports.get(&index).into_iter().flatten() {
                // Writing to a String does not fail.
                let _ = write!(label, " \"{name}\"");
            }
            label
        };
        let labels: BTreeMap<u32, String> =
            module.functions.iter().map(|f| (f.index, label(f.index))).collect();
        let entries = module.functions.iter().rev();
        let entries = entries.filter_map(|f| Some((f.code_offset, labels.get(&f.index)?.clone())));
        let relocations = module.relocations.of_text();
        let symbols = relocations.map(|r| (r.offset, module.relocations.symbol(r)));
        Self { entries: entries.collect(), symbols: symbols.collect(), labels }
    }

    /// `function[3] "run"`.
    pub fn label(&self, index: u32) -> &str {
        self.labels.get(&index).map_or("", String::as_str)
    }

    /// The target of a call at `offset` of the code, if it is known by a name. A jump
    /// inside of its function is not.
    pub(crate) fn target_of(&self, call: &Call, offset: u64) -> Option<&str> {
        if let Some(symbol) = self.symbols.get(&offset.wrapping_add(call.site)) {
            return Some(symbol);
        }
        let target = offset.wrapping_add_signed(call.displacement);
        self.entries.get(&target).map(String::as_str)
    }
}
