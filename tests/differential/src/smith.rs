//! A seed → a module of `wasm-smith`, made so that its results are comparable: NaNs
//! are canonical, memories and tables small, and fuel ends what would not end.

use crate::second_engine::IMPORTS;
use anyhow::Context;
use arbitrary::Unstructured;
use fuzz_targets::Random;

/// Bytes of choices; more of them make larger modules.
const CHOICES_MIN: usize = 500;
const CHOICES_MAX: usize = 6_000;

/// Loops, function entries and bytes of bulk operations, over an instance's life.
const FUEL: u32 = 4_000;

const PAGES_MAX: u64 = 4;

pub fn module(random: &mut Random, has_simd: bool) -> anyhow::Result<Vec<u8>> {
    let length = CHOICES_MIN + random.below(CHOICES_MAX - CHOICES_MIN);
    let choices = random.bytes(length);
    let config = config(random, has_simd)?;
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&choices));
    let mut module = module.context("wasm-smith makes no module of this")?;
    module.ensure_termination(FUEL).context("give the module fuel")?;
    Ok(module.to_bytes())
}

/// What the compiler, WAMR's loader and wasmi all support.
fn config(random: &mut Random, has_simd: bool) -> anyhow::Result<wasm_smith::Config> {
    let has_imports = random.below(2) == 0;
    let mut offsets = wasm_smith::MemoryOffsetChoices::default();
    if random.below(2) == 0 {
        // Mostly inside of the memory.
        offsets = wasm_smith::MemoryOffsetChoices(95, 4, 1);
    }
    Ok(wasm_smith::Config {
        available_imports: if has_imports { Some(imports()?) } else { None },
        max_imports: if has_imports { IMPORTS.len() } else { 0 },
        max_instructions: [60, 200, 600][random.below(3)],
        max_funcs: [4, 12, 30][random.below(3)],
        min_funcs: 2,
        max_memories: 1,
        min_memories: 1,
        max_memory32_bytes: PAGES_MAX * 65_536,
        memory_max_size_required: true,
        memory_offset_choices: offsets,
        max_tables: 1 + random.below(3),
        max_table_elements: 40,
        table_max_size_required: true,
        export_everything: true,
        canonicalize_nans: true,
        simd_enabled: has_simd,
        relaxed_simd_enabled: false,
        compact_imports_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..wasm_smith::Config::default()
    })
}

fn imports() -> anyhow::Result<Vec<u8>> {
    let imports = IMPORTS.map(|(name, params)| {
        let params: Vec<String> =
            params.iter().map(|ty| format!("{ty:?}").to_lowercase()).collect();
        format!("(import \"spectest\" \"{name}\" (func (param {})))", params.join(" "))
    });
    wat::parse_str(format!("(module {})", imports.concat())).context("describe the imports")
}
