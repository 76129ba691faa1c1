//! A module of a script → what the executor loads, or why it does not.

use crate::exclusion::Exclusion;
use crate::plan::is_emulated_hardware;
use crate::rejection::is_valid;
use crate::sections;
use crate::suite::Suite;
use aot_compiler::{CompileError, CompileOptions, ModuleError, census, compile};
use executor::Machine;
use std::collections::BTreeMap;
use target_spec::{Registry, Target};
use wasmparser::{Parser, Payload, TypeRef};

/// What became of a module's bytes.
pub enum Built {
    File(Vec<u8>),
    Excluded(Exclusion),
    /// The compiler refuses it, and should not.
    Refused(String),
}

pub struct Builder {
    suite: Suite,
    machine: Machine,
    target: Target,
}

/// An import as far as linking goes.
pub struct Import {
    pub module: String,
    pub name: String,
    pub is_function: bool,
}

impl Builder {
    pub fn new(suite: Suite, machine: &Machine) -> anyhow::Result<Self> {
        let mut target = Registry::built_in().find(machine.target_id)?.clone();
        // Devices of some architectures have software checks only, because the code
        // for hardware ones was never tried on such a machine. Here it is.
        if !target.supports_bounds_checks(machine.bounds_checks) {
            target.bounds_checks.push(machine.bounds_checks);
        }
        Ok(Self { suite, machine: *machine, target })
    }

    /// `registered` are the names under which modules of the script can be imported.
    pub fn build(&self, wasm: &[u8], registered: &BTreeMap<String, String>) -> Built {
        let stripped = sections::without_nul_names(wasm);
        let wasm = stripped.as_deref().unwrap_or(wasm);
        let padded =
            is_emulated_hardware(&self.machine).then(|| sections::with_memory(wasm)).flatten();
        let wasm = padded.as_deref().unwrap_or(wasm);
        let options = CompileOptions::new(self.machine.bounds_checks);
        let links = || imports(wasm).iter().any(|i| registered.contains_key(&i.module));
        match compile(wasm, &self.target, &options) {
            Ok(_) if links() => Built::Excluded(Exclusion::Linked),
            Ok(artifact) => Built::File(artifact.aot),
            Err(error) => match self.reason_to_exclude(wasm, &error, links()) {
                Some(reason) => Built::Excluded(reason),
                None => Built::Refused(error.to_string()),
            },
        }
    }

    fn reason_to_exclude(
        &self,
        wasm: &[u8],
        error: &CompileError,
        is_linked: bool,
    ) -> Option<Exclusion> {
        match error {
            CompileError::Module(ModuleError::Unsupported { proposal, .. }) => {
                is_valid(self.suite, wasm).then_some(Exclusion::ProposalOff(proposal))
            }
            CompileError::TargetCannot { .. } => {
                let uses_simd = census(wasm).is_ok_and(|c| c.proposals.contains(&"simd"));
                let arch = self.machine.arch();
                (uses_simd && !self.target.simd)
                    .then_some(Exclusion::ProposalOffOn { proposal: "simd", arch })
            }
            CompileError::NotExpressible { .. } if is_linked => Some(Exclusion::Linked),
            CompileError::NotExpressible { .. } => {
                let imports = imports(wasm);
                if imports.iter().any(|import| !import.is_function) {
                    return Some(Exclusion::OtherImport);
                }
                let mut names = imports.iter().flat_map(|import| [&import.module, &import.name]);
                names.any(|name| name.contains('\0')).then_some(Exclusion::NUL_NAME)
            }
            CompileError::Module(ModuleError::LimitExceeded {
                what: "table slots", found, ..
            }) => (found.saturating_mul(8) > u64::from(u32::MAX)).then_some(Exclusion::HUGE_TABLE),
            CompileError::Module(_) | CompileError::Bug { .. } => None,
        }
    }
}

/// Read without validation, because a module may use proposals that are off.
pub fn imports(wasm: &[u8]) -> Vec<Import> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(Payload::ImportSection(imports)) = payload else { continue };
        for import in imports.into_imports().flatten() {
            let is_function = matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
            let (module, name) = (import.module.to_owned(), import.name.to_owned());
            found.push(Import { module, name, is_function });
        }
    }
    found
}
