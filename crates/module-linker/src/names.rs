//! The functions' names, so that a trap can say in which module it was.

use crate::error::LinkError;
use crate::read::Module;
use crate::resolve::Plan;
use std::collections::{BTreeMap, HashMap};
use wasm_encoder::{NameMap, NameSection};
use wasmparser::{BinaryReader, ExternalKind, Name, NameSectionReader};

pub const SECTION: &str = "name";

/// What calls the start functions of several modules.
const START: &str = "start of the linked modules";

/// Longest name that is kept: demangled C++ has some hundred bytes.
const NAME_BYTES_MAX: usize = 512;

pub fn section(
    modules: &[Module<'_>],
    plan: &Plan<'_>,
    start: Option<u32>,
) -> Result<NameSection, LinkError> {
    let mut named = BTreeMap::new();
    for &index in &plan.order {
        let module = &modules[index];
        let own = own_names(module);
        for (function, new) in plan.maps[index].functions.iter().enumerate() {
            let Some(name) = own.get(&(function as u32)) else { continue };
            // Another module's function has its name from there.
            if function >= module.imported_functions as usize || *new < plan.imported_functions {
                named.entry(*new).or_insert_with(|| match module.name {
                    Some(library) if *new >= plan.imported_functions => {
                        format!("{library}::{name}")
                    }
                    _ => (*name).to_owned(),
                });
            }
        }
    }
    if let [_, _, ..] = plan.starts.as_slice()
        && let Some(start) = start
    {
        named.insert(start, START.to_owned());
    }
    let mut functions = NameMap::new();
    named.iter().for_each(|(function, name)| functions.append(*function, name));
    let mut section = NameSection::new();
    if !named.is_empty() {
        section.functions(&functions);
    }
    Ok(section)
}

/// Whatever the section says of functions, and else what they are exported as. It was
/// written by a stranger, and nothing in it has been validated.
fn own_names<'a>(module: &Module<'a>) -> HashMap<u32, &'a str> {
    let exported = module.exports.iter().filter(|export| export.kind == ExternalKind::Func);
    let mut names: HashMap<u32, &str> =
        exported.map(|export| (export.index, export.name)).collect();
    for (_, data) in module.customs.iter().filter(|(name, _)| *name == SECTION) {
        for subsection in NameSectionReader::new(BinaryReader::new(data, 0)) {
            let Ok(Name::Function(functions)) = subsection else { continue };
            names.extend(functions.into_iter().flatten().map(|n| (n.index, n.name)));
        }
    }
    names.retain(|_, name| name.len() <= NAME_BYTES_MAX);
    names
}
