//! Modules and their artifacts.

use crate::json::json_struct;

json_struct! {
    pub struct Module {
        id: String,
        name: String,
        version: u32,
        bytes: u64,
        uploaded_at_ms: u64,
        function_count: u32,
        imports: Vec<ModuleExtern>,
        exports: Vec<ModuleExtern>,
        memory: Option<ModuleMemory>,
        data_bytes: u64,
        proposals: Vec<String>,
        known_answers: Vec<String>,
        artifacts: Vec<Artifact>,
    }

    pub struct ModuleExtern {
        module: Option<String>,
        name: String,
        kind: String,
        signature: String,
    }

    pub struct ModuleMemory {
        min_pages: u64,
        max_pages: Option<u64>,
    }

    pub struct Artifact {
        module: String,
        target: String,
        bounds_checks: String,
        state: String,
        detail: String,
        bytes: Option<u64>,
        compile_ms: Option<u64>,
        checks_passed: Option<u32>,
    }
}
