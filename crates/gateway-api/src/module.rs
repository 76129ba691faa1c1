//! Modules and their artifacts.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// SHA-256 of the Wasm file.
    pub id: String,
    /// The application that it is a version of.
    pub name: String,
    /// Counts the modules of that name from 1.
    pub version: u32,
    pub bytes: u64,
    pub uploaded_at_ms: u64,
    pub function_count: u32,
    pub imports: Vec<ModuleExtern>,
    pub exports: Vec<ModuleExtern>,
    pub memory: Option<ModuleMemory>,
    pub data_bytes: u64,
    /// Proposals beyond WebAssembly 1.0 that it uses.
    pub proposals: Vec<String>,
    /// The known-answer steps as text, one line each.
    pub known_answers: Vec<String>,
    /// One for each target of a registered device that it is deployed to.
    pub artifacts: Vec<Artifact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleExtern {
    /// Empty for an export.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    pub name: String,
    /// `function`, `memory`, `table` or `global`.
    pub kind: String,
    /// As `(i32, i32) -> i32`.
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleMemory {
    pub min_pages: u64,
    pub max_pages: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    pub module: String,
    pub target: String,
    /// `hardware` or `software`.
    pub bounds_checks: String,
    pub state: ArtifactState,
    /// Why it is refused, and what to do.
    pub detail: String,
    /// SHA-256 of the AoT file, once compiled.
    pub artifact: Option<String>,
    pub bytes: Option<u64>,
    /// Wall time of the compile job, without its time in the queue.
    pub compile_ms: Option<u64>,
    /// Known-answer steps that held in the gateway's own check.
    pub checks_passed: Option<u32>,
    /// SHA-256 of the sealed release.
    pub release: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactState {
    Queued,
    Compiling,
    /// Loaded and run in a sandboxed runtime of the target.
    Checking,
    /// Compiled, checked and signed.
    Ready,
    Refused,
}

impl ArtifactState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Compiling => "compiling",
            Self::Checking => "checking",
            Self::Ready => "ready",
            Self::Refused => "refused",
        }
    }
}
