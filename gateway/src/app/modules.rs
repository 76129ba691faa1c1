//! Uploads, and the known answers that belong to a module.

use super::model::shorten;
use super::paging::{Pages, ordered, shown};
use super::{App, AppError, PageRequest, State, views};
use crate::store::Change;
use crate::store::record::{
    ExternRecord, LinkedInputRecord, MemoryRecord, ModuleRecord, TableRecord,
};
use aot_compiler::{Census, ExternKind, ModuleError};
use gateway_api::{Event, Module, Page, ProblemCode};
use known_answer::{Step, Value};
use module_package::{KeyId, ModuleId};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use worker_protocol::{GuestCall, WASI_MODULE, WasiCall};

const NAME_CHARS_MAX: usize = 64;

/// Whether the upload was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    Created,
    /// The same bytes are there under the same name.
    Repeated,
}

impl App {
    pub fn upload_module(&self, name: &str, wasm: &[u8]) -> Result<(Upload, Module), AppError> {
        self.upload_signed_module(name, wasm, None)
    }

    /// With the sealed statement of the module's developer, if there is one.
    pub fn upload_signed_module(
        &self,
        name: &str,
        wasm: &[u8],
        statement: Option<&[u8]>,
    ) -> Result<(Upload, Module), AppError> {
        self.take_module(name, wasm, statement, None)
    }

    /// `made_of` is said of what was linked here: the inputs, and the developer of the
    /// main one, who stands for the whole where nobody has signed that.
    pub(super) fn take_module(
        &self,
        name: &str,
        wasm: &[u8],
        statement: Option<&[u8]>,
        made_of: Option<(Vec<LinkedInputRecord>, Option<KeyId>)>,
    ) -> Result<(Upload, Module), AppError> {
        check_name(name)?;
        if wasm.len() as u64 > self.rooms.upload_bytes_max {
            return Err(self.too_large());
        }
        let module = ModuleId::of(wasm);
        let developer = match (&made_of, statement) {
            (Some((_, main)), None) => *main,
            _ => self.check_statement(name, module, statement)?,
        };
        if let Some(present) = self.find_upload(name, module)? {
            let present = match made_of {
                Some((inputs, _)) => self.note_inputs(module, inputs)?,
                None => present,
            };
            let present = match developer.zip(statement) {
                Some((developer, statement)) => {
                    self.note_developer(module, developer, statement)?
                }
                None => present,
            };
            return Ok((Upload::Repeated, present));
        }
        let census = aot_compiler::census(wasm).map_err(refuse_module)?;
        self.check_imports(&census)?;
        self.put_blob(wasm)?;
        let mut state = self.state();
        let version = state.model.newest_of(name).map_or(1, |newest| newest.version + 1);
        let uploaded_at_ms = self.now_ms();
        let mut record = to_record(module, name, version, wasm.len(), uploaded_at_ms, census);
        record.developer = developer;
        record.linked = made_of.map(|(inputs, _)| inputs);
        record.module_statement = statement.filter(|_| developer.is_some()).map(<[u8]>::to_vec);
        // Someone may have uploaded the same bytes in the meantime.
        if let Some(present) = state.model.modules.get(&module) {
            return self.repeated(name, present, &state).map(|m| (Upload::Repeated, m));
        }
        self.commit(&mut state, vec![Change::Module(record.clone())])?;
        tracing::info!(module.id = %module, name, version, bytes = wasm.len(), "uploaded");
        let view = self.module_view(&state, &record);
        self.events.send(Event::Module { module: view.clone() });
        Ok((Upload::Created, view))
    }

    /// The same bytes were made of something else, or came whole before.
    fn note_inputs(
        &self,
        module: ModuleId,
        inputs: Vec<LinkedInputRecord>,
    ) -> Result<Module, AppError> {
        let mut state = self.state();
        let present = state.model.modules.get(&module).cloned();
        let mut record = present.ok_or_else(|| AppError::Bug("a module is gone".into()))?;
        if record.linked.as_ref() != Some(&inputs) {
            record.linked = Some(inputs);
            self.commit(&mut state, vec![Change::Module(record.clone())])?;
        }
        Ok(self.module_view(&state, &record))
    }

    fn find_upload(&self, name: &str, module: ModuleId) -> Result<Option<Module>, AppError> {
        let state = self.state();
        let present = state.model.modules.get(&module);
        present.map(|present| self.repeated(name, present, &state)).transpose()
    }

    fn repeated(
        &self,
        name: &str,
        present: &ModuleRecord,
        state: &State,
    ) -> Result<Module, AppError> {
        if present.name == name {
            return Ok(views::module(state, present, &self.viewpoint()));
        }
        Err(AppError::conflict(format!(
            "These bytes are already here as {}@{}. A module has one name: deploy it under that one.",
            present.name, present.version
        )))
    }

    /// What became of each compilation of a module, the newest first.
    pub fn compiles(&self, reference: &str) -> Result<Vec<gateway_api::CompileRecord>, AppError> {
        let state = self.state();
        let module = state.model.find_module(reference)?.module;
        Ok(state.model.compiles_of(module).rev().map(views::compile_record).collect())
    }

    pub fn too_large(&self) -> AppError {
        AppError::refused(
            ProblemCode::TooLarge,
            format!(
                "The module is larger than {} bytes, which is the most that this gateway takes \
                 (upload_bytes_max). Strip debug information and names, or raise the limit.",
                self.rooms.upload_bytes_max
            ),
        )
    }

    /// A runtime has said what it offers.
    pub fn add_offered_imports(&self, imports: &[String]) {
        let mut offered = self.offered_imports.write().unwrap_or_else(PoisonError::into_inner);
        offered.get_or_insert_default().extend(imports.iter().cloned());
    }

    fn offered_imports(&self) -> BTreeSet<String> {
        let offered = self.offered_imports.read().unwrap_or_else(PoisonError::into_inner);
        // Until a configured runtime has said what it has, what this version's has.
        let of_wasi = || WasiCall::ALL.iter().map(|call| call.import_name());
        let guest_api = || GuestCall::ALL.iter().map(|call| call.import_name());
        offered.clone().unwrap_or_else(|| guest_api().chain(of_wasi()).collect())
    }

    fn check_imports(&self, census: &Census) -> Result<(), AppError> {
        let offered = self.offered_imports();
        for import in &census.imports {
            let name = format!("{}.{}", import.module, import.name);
            let what = match import.kind {
                ExternKind::Function if offered.contains(&name) => {
                    check_type(&name, &import.signature)?;
                    continue;
                }
                ExternKind::Function => "function",
                kind => kind.as_str(),
            };
            return Err(AppError::refused(
                ProblemCode::UnknownImport,
                format!(
                    "The module imports the {what} {}, which no device offers. On offer are the functions \
                     {}. Build the module without it; a module for a browser needs a target without one.",
                    shorten(&name),
                    in_words(&offered)
                ),
            ));
        }
        Ok(())
    }

    pub fn put_known_answers(&self, reference: &str, text: &str) -> Result<Module, AppError> {
        let refuse = |detail: String| AppError::refused(ProblemCode::InvalidKnownAnswers, detail);
        let steps = known_answer::from_toml(text).map_err(|e| refuse(sentence(&e.to_string())))?;
        let mut state = self.state();
        let mut record = state.model.find_module(reference)?.clone();
        check_steps(&record, &steps).map_err(refuse)?;
        if record.known_answers == steps {
            return Ok(views::module(&state, &record, &self.viewpoint()));
        }
        let is_user = |d: &&crate::store::record::DeploymentRecord| {
            d.modules().contains(&record.module) && !d.removed
        };
        if let Some(user) = state.model.deployments.values().find(is_user) {
            return Err(AppError::conflict(format!(
                "Deployment {} uses {}@{} with other known answers. Remove it first, or upload a new version.",
                user.id(),
                record.name,
                record.version
            )));
        }
        record.known_answers = steps;
        self.commit(&mut state, vec![Change::Module(record.clone())])?;
        let view = views::module(&state, &record, &self.viewpoint());
        self.events.send(Event::Module { module: view.clone() });
        Ok(view)
    }

    pub fn modules(&self) -> Vec<Module> {
        let state = self.state();
        let mut modules: Vec<_> = state.model.modules.values().collect();
        modules.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        modules.into_iter().map(|record| self.module_view(&state, record)).collect()
    }

    /// By name, and of one name by version.
    pub fn modules_page(&self, request: &PageRequest) -> Result<Page<Module>, AppError> {
        let state = self.state();
        let records = state.model.modules.values().collect();
        let key =
            |record: &&ModuleRecord| format!("{}\n{}", record.name, ordered(record.version.into()));
        let page = Pages::of(request, "modules").cut(records, key)?;
        Ok(shown(page, |record| self.module_view(&state, record)))
    }

    pub fn module(&self, reference: &str) -> Result<Module, AppError> {
        let state = self.state();
        Ok(self.module_view(&state, state.model.find_module(reference)?))
    }

    pub(super) fn module_view(&self, state: &State, record: &ModuleRecord) -> Module {
        self.with_developer_name(views::module(state, record, &self.viewpoint()))
    }
}

/// The names of applications and modules.
/// The runtime compares types as well, but only once it has loaded the artifact.
fn check_type(import: &str, signature: &str) -> Result<(), AppError> {
    let of_guest_api = GuestCall::from_import_name(import).map(GuestCall::signature);
    let of_wasi = || WasiCall::from_import_name(import).map(WasiCall::signature);
    let (api, page) = match of_guest_api {
        Some(_) => ("the guest API", "docs/guest-api.md"),
        None => ("WASI preview 1", "docs/wasi.md"),
    };
    match of_guest_api.or_else(of_wasi) {
        Some(expected) if expected != signature => Err(AppError::refused(
            ProblemCode::UnknownImport,
            format!(
                "The module imports {import} as {}, and {api} has it as {expected}. Declare \
                 it with that type; {page} lists them all.",
                shorten(signature)
            ),
        )),
        _ => Ok(()),
    }
}

/// The functions of WASI are too many to be named each time.
fn in_words(offered: &BTreeSet<String>) -> String {
    let is_wasi = |name: &&String| name.starts_with(WASI_MODULE);
    let mut words: Vec<&str> =
        offered.iter().filter(|name| !is_wasi(name)).map(String::as_str).collect();
    if offered.iter().any(|name| is_wasi(&name)) {
        words.push("and those of wasi_snapshot_preview1 (docs/wasi.md)");
    }
    words.join(", ")
}

fn check_name(name: &str) -> Result<(), AppError> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(AppError::bad_request(format!(
        "The name {:?} is not valid: use 1 to {NAME_CHARS_MAX} lower-case letters, digits or '-'.",
        shorten(name)
    )))
}

fn refuse_module(error: ModuleError) -> AppError {
    let code = match &error {
        ModuleError::NotWasm { .. } => ProblemCode::NotWasm,
        ModuleError::Truncated { .. } => ProblemCode::TruncatedModule,
        ModuleError::Unsupported { .. } => ProblemCode::UnsupportedProposal,
        ModuleError::Invalid { .. } => ProblemCode::InvalidModule,
        ModuleError::LimitExceeded { .. } => ProblemCode::TooLarge,
        ModuleError::Reserved { .. } => ProblemCode::InvalidModule,
    };
    AppError::refused(code, sentence(&error.to_string()))
}

/// First letter large, full stop at the end.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let text: String = first.into_iter().chain(chars).collect();
    if text.ends_with('.') { text } else { format!("{text}.") }
}

fn to_record(
    module: ModuleId,
    name: &str,
    version: u32,
    bytes: usize,
    uploaded_at_ms: u64,
    census: Census,
) -> ModuleRecord {
    let imports = census.imports.into_iter().map(|import| ExternRecord {
        module: import.module,
        name: import.name,
        kind: import.kind.as_str().to_owned(),
        signature: import.signature,
    });
    let exports = census.exports.into_iter().map(|export| ExternRecord {
        module: String::new(),
        name: export.name,
        kind: export.kind.as_str().to_owned(),
        signature: export.signature,
    });
    let tables = census
        .tables
        .into_iter()
        .map(|t| TableRecord { min_slots: t.min_slots, max_slots: t.max_slots });
    ModuleRecord {
        module,
        name: name.to_owned(),
        version,
        bytes: bytes as u64,
        uploaded_at_ms,
        function_count: census.function_count,
        imports: imports.collect(),
        exports: exports.collect(),
        memory: census
            .memory
            .map(|m| MemoryRecord { min_pages: m.min_pages, max_pages: m.max_pages }),
        data_bytes: census.data_bytes,
        proposals: census.proposals.iter().map(|p| (*p).to_owned()).collect(),
        known_answers: vec![],
        tables: Some(tables.collect()),
        has_start: Some(census.has_start),
        guest_stack_bytes: census.guest_stack_bytes,
        developer: None,
        module_statement: None,
        linked: None,
    }
}

/// Steps that could not hold on any device are refused at once.
fn check_steps(module: &ModuleRecord, steps: &[Step]) -> Result<(), String> {
    let numbered = steps.iter().enumerate();
    numbered.into_iter().try_for_each(|(index, step)| {
        check_step(module, step).map_err(|what| format!("Step {}: {what}", index + 1))
    })
}

pub(super) fn check_step(module: &ModuleRecord, step: &Step) -> Result<(), String> {
    match step {
        Step::Write { .. } | Step::Read { .. } if module.memory.is_none() => {
            Err("the module has no memory.".to_owned())
        }
        Step::Write { .. } | Step::Read { .. } => Ok(()),
        Step::Call { export, args, expect } => check_call(module, export, args, expect.as_deref()),
    }
}

fn check_call(
    module: &ModuleRecord,
    name: &str,
    args: &[Value],
    expect: Option<&[Value]>,
) -> Result<(), String> {
    let mut functions = module.exports.iter().filter(|export| export.kind == "function");
    let Some(function) = functions.clone().find(|export| export.name == name) else {
        let names: Vec<_> = functions.by_ref().take(20).map(|e| e.name.as_str()).collect();
        return Err(format!(
            "the module exports no function {:?}. It exports {}.",
            shorten(name),
            names.join(", ")
        ));
    };
    let types = |values: &[Value]| {
        values.iter().map(|value| value.type_name()).collect::<Vec<_>>().join(", ")
    };
    let (params, results) = function.signature.split_once(" -> ").unwrap_or_default();
    if params != format!("({})", types(args)) {
        return Err(format!("{name} takes {params}, and the step gives ({}).", types(args)));
    }
    let expected = expect.map(types);
    if let Some(expected) = expected
        && results.trim_matches(['(', ')']) != expected
    {
        return Err(format!("{name} gives {results}, and the step expects ({expected})."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["a", "xxhash-2", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_sentence_starts_large_and_ends_with_a_stop() {
        assert_eq!(sentence("the module ends"), "The module ends.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), ".");
    }
}
