//! Readers of what our compiler writes: any bytes are read or refused.

use crate::Outcome;
use aot_reader::{AotFile, Module};
use target_spec::profile::{AotProfile, SECTION_NAME};

pub fn read_aot(data: &[u8]) -> Outcome {
    let file = match AotFile::parse(data) {
        Ok(file) => file,
        Err(error) => return Outcome::of(&error.to_string()),
    };
    let mut outcome = Outcome::of_result(&file.memories());
    let _ = file.custom_section(SECTION_NAME);
    match Module::read(&file) {
        Err(error) => outcome.and(Outcome::of(&error.to_string())),
        Ok(module) => {
            check_module(&module);
            for expr in module.init.globals.iter().map(|global| &global.value) {
                outcome = outcome.and(Outcome::of(&expr.to_string()));
            }
            outcome.and(Outcome::sized("symbols", module.relocations.symbols.len()))
        }
    }
}

/// What users of the reader rely on.
fn check_module(module: &Module<'_>) {
    let code_bytes = module.text.code.len() as u64;
    for function in &module.functions {
        let end = function.code_offset.checked_add(function.code_bytes);
        assert!(end.is_some_and(|end| end <= code_bytes), "{function:?} of {code_bytes} bytes");
        assert!(module.init.types.get(function.type_index as usize).is_some(), "{function:?}");
    }
    for relocation in module.relocations.groups.iter().flat_map(|group| &group.relocations) {
        assert!((relocation.symbol_index as usize) < module.relocations.symbols.len());
    }
    let _ = module.target.features();
}

/// A note that is read is written back as one that reads the same.
pub fn profile_note(data: &[u8]) -> Outcome {
    let read = AotProfile::from_bytes(data);
    if let Ok(profile) = &read {
        assert_eq!(AotProfile::from_bytes(&profile.to_bytes()).as_ref(), Ok(profile));
    }
    Outcome::of_result(&read)
}
