//! Modules and their artifacts.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Whose signature came with it: the key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer: Option<String>,
    /// The developer's name in the gateway's configuration, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_name: Option<String>,
    /// What the gateway linked it of, the main module first; nothing if it came whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked: Vec<LinkedInput>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkedInput {
    /// The link name; none for the main module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 of the Wasm file.
    pub module: String,
    pub bytes: u64,
    /// Whose signature came with it: the key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer: Option<String>,
}

/// Modules that are to be linked into one: as JSON the first line of a body, which the
/// bytes of all follow in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkedUpload {
    /// The application that the result is a version of.
    pub name: String,
    /// A developer's sealed statement of the result, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// One without a name, which is the main module, and its libraries.
    pub inputs: Vec<LinkPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkPart {
    /// The link name of a library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub bytes: u64,
    /// A developer's sealed statement of it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleMemory {
    pub min_pages: u64,
    pub max_pages: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Artifact {
    pub module: String,
    pub target: String,
    /// `hardware` or `software`.
    pub bounds_checks: String,
    /// Such as `gas-1` for metered code and `canonical` for its NaNs.
    #[serde(default)]
    pub policy: Vec<String>,
    pub state: ArtifactState,
    /// Why it is refused, and what to do.
    /// While it is queued or compiled: how far it is, in words.
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
    /// While it is compiled: functions done, and in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions_done: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions_total: Option<u32>,
    /// While it waits to be compiled: jobs that are taken up earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_before: Option<u32>,
    /// An estimate from earlier compilations, with the jobs before it; absent where
    /// there is nothing to go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_left_ms: Option<u64>,
    /// Native stack of the deepest chain of calls; absent where recursion or calls
    /// through a table leave it without a bound. The host's functions come on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_bytes: Option<u64>,
}

/// One compilation of a module, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompileRecord {
    pub module: String,
    pub target: String,
    pub bounds_checks: String,
    pub cpu_features: Vec<String>,
    /// Of the compile policy, like the next.
    pub metering: String,
    pub nan_canonicalization: String,
    /// Name and versions of the compiler.
    pub compiler: String,
    /// Of the AoT format.
    pub aot_version: u32,
    pub started_at_ms: u64,
    /// Wall time, without the time in the queue.
    pub compile_ms: u64,
    pub threads: u32,
    pub module_bytes: u64,
    /// This and the next two only of one that succeeded.
    pub function_count: Option<u32>,
    pub code_bytes: Option<u64>,
    pub artifact_bytes: Option<u64>,
    /// See [`Artifact::stack_bytes`].
    pub stack_bytes: Option<u64>,
    /// Why there is no artifact.
    pub refusal: Option<String>,
    /// What the compile worker said, cut to a bounded length.
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactState {
    Queued,
    Compiling,
    /// Loaded and run in a sandboxed runtime of the target.
    Checking,
    /// Compiled and checked; `detail` says who has to sign.
    AwaitingReleaseSignature,
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
            Self::AwaitingReleaseSignature => "awaiting release signature",
            Self::Ready => "ready",
            Self::Refused => "refused",
        }
    }
}
