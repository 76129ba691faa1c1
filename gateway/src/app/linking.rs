//! Modules that come as several and are made one here, before anything is compiled.
//!
//! What is kept is the result, with the digests of all that went in: whoever has the same
//! inputs gets the same bytes by `farrier module link`. Where a policy asks for a
//! developer's signature, it asks for each input's, by the name that it has here: the
//! module's for the main one, the link name for a library.

use super::modules::sentence;
use super::{App, AppError, Upload};
use crate::store::record::{LinkedInputRecord, ModuleRecord};
use gateway_api::{LinkedUpload, Module, ProblemCode};
use module_linker::{LIBRARIES_MAX, Library};
use module_package::ModuleId;

/// A module that came to be linked.
pub struct LinkInput {
    /// None for the main module.
    pub name: Option<String>,
    pub wasm: Vec<u8>,
    /// The developer's sealed statement.
    pub statement: Option<Vec<u8>>,
}

impl App {
    pub fn upload_linked_module(
        &self,
        name: &str,
        statement: Option<&[u8]>,
        inputs: &[LinkInput],
    ) -> Result<(Upload, Module), AppError> {
        let mut records = Vec::new();
        for input in inputs {
            let module = ModuleId::of(&input.wasm);
            let signed_as = input.name.as_deref().unwrap_or(name);
            let developer = self.check_statement(signed_as, module, input.statement.as_deref());
            let developer = developer.map_err(|error| match error {
                AppError::Refused { code, detail } => {
                    AppError::refused(code, format!("{signed_as}, which is to be linked: {detail}"))
                }
                error => error,
            })?;
            let (name, bytes) = (input.name.clone(), input.wasm.len() as u64);
            records.push(LinkedInputRecord { name, module, bytes, developer });
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        let main = inputs.iter().find(|input| input.name.is_none());
        let main = main.ok_or_else(|| AppError::bad_request("There is no main module."))?;
        let named = inputs
            .iter()
            .filter_map(|input| Some(Library { name: input.name.as_deref()?, wasm: &input.wasm }));
        let libraries: Vec<Library<'_>> = named.collect();
        let linked = module_linker::link(&main.wasm, &libraries).map_err(|error| {
            let detail = sentence(&error.to_string());
            AppError::refused(
                ProblemCode::InvalidModule,
                format!("{name} cannot be linked. {detail}"),
            )
        })?;
        // The whole was made here of parts that count, so that it needs no signature for
        // itself; a signer of its own rules may ask for one.
        let developer = records.iter().find(|record| record.name.is_none());
        let developer = developer.and_then(|record| record.developer);
        self.take_module(name, &linked, statement, Some((records, developer)))
    }
}

/// What the inputs of an upload have to be, before their bytes are looked at.
pub fn check_parts(upload: &LinkedUpload, bytes_max: u64) -> Result<(), AppError> {
    let parts = &upload.inputs;
    let mains = parts.iter().filter(|input| input.name.is_none()).count();
    if mains != 1 || parts.len() < 2 || parts.len() > LIBRARIES_MAX + 1 {
        return Err(AppError::bad_request(format!(
            "Give one main module, without a name, and 1 to {LIBRARIES_MAX} libraries; these are {} \
             modules, {mains} of them without a name.",
            parts.len()
        )));
    }
    let bytes = parts.iter().fold(0u64, |sum, input| sum.saturating_add(input.bytes));
    match bytes <= bytes_max {
        true => Ok(()),
        false => Err(AppError::refused(
            ProblemCode::TooLarge,
            format!(
                "The modules have {bytes} bytes together, and this gateway takes {bytes_max} \
                 (upload_bytes_max). Strip debug information, or raise the limit."
            ),
        )),
    }
}

/// Whether a module was made of these.
pub fn is_made_of(record: &ModuleRecord, inputs: &[(Option<String>, ModuleId)]) -> bool {
    let Some(made_of) = &record.linked else { return false };
    made_of.len() == inputs.len()
        && inputs.iter().all(|(name, module)| {
            made_of.iter().any(|made_of| made_of.name == *name && made_of.module == *module)
        })
}
