//! The C header, the Rust SDK and the documentation have every function of the guest API,
//! with its type.

use std::path::Path;
use worker_protocol::{GUEST_API_MODULE, GuestCall, GuestType};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a C type is on wasm32.
fn type_of(c_type: &str) -> GuestType {
    let c_type = c_type.trim();
    match c_type.rsplit_once([' ', '*']).map_or(c_type, |(of, _)| of.trim()) {
        "int64_t" => GuestType::I64,
        "int32_t" | "size_t" => GuestType::I32,
        pointer if c_type.contains('*') && !pointer.is_empty() => GuestType::I32,
        other => panic!("{other:?} of {c_type:?} is not known here"),
    }
}

#[test]
fn the_header_declares_every_function_with_its_type() {
    let header = read("firmware-examples/sdk/farrier.h");
    for call in GuestCall::ALL {
        let import = format!("FARRIER_IMPORT({})\n", call.name());
        let (_, declaration) = header.split_once(&import).unwrap_or_else(|| panic!("no {import}"));
        let declaration = declaration.split_once(';').unwrap().0;
        let (result, params) = declaration.trim_end_matches(')').split_once('(').unwrap();
        let (result, name) = result.split_once(' ').unwrap();
        assert_eq!(name, format!("farrier_{}", call.name()));
        let result = (result != "void").then(|| type_of(&format!("{result} x")));
        assert_eq!(result, call.result(), "{name}");
        let params = params.split(',').map(str::trim).filter(|param| *param != "void");
        assert_eq!(params.map(type_of).collect::<Vec<_>>(), call.params(), "{name}");
    }
    let declared = header.matches("FARRIER_IMPORT(").count() - 1;
    assert_eq!(declared, GuestCall::ALL.len(), "and no other");
    assert!(header.contains(&format!("import_module(\"{GUEST_API_MODULE}\")")));
}

#[test]
fn the_rust_sdk_declares_every_function() {
    let imports = read("firmware-examples/sdk/src/host/wasm.rs");
    for call in GuestCall::ALL {
        let declared = [" fn ", " safe fn "].map(|word| format!("pub{word}{}(", call.name()));
        assert!(declared.iter().any(|text| imports.contains(text)), "{}", call.name());
    }
}

#[test]
fn the_documentation_has_every_function_with_its_number_of_parameters() {
    let text = read("docs/guest-api.md");
    for call in GuestCall::ALL {
        let row = format!("| `{}` | `(", call.name());
        let (_, rest) = text.split_once(&row).unwrap_or_else(|| panic!("no {row}"));
        let (params, rest) = rest.split_once(')').unwrap();
        let types: Vec<&str> =
            params.split(", ").filter_map(|param| param.split_once(": ").map(|p| p.1)).collect();
        let expected: Vec<&str> = call.params().iter().map(|t| t.name()).collect();
        assert_eq!(types, expected, "{}", call.name());
        let result = rest.split_once('`').unwrap().0.trim_start_matches(" -> ");
        assert_eq!(result, call.result().map_or("", GuestType::name), "{}", call.name());
    }
}
