//! What WAMR 2.4.3 does wrong or cannot do, as it is today.
//!
//! `cargo xtask spec` excludes assertions of the specification for these reasons and
//! no others of this kind. A test that fails here after an update of WAMR means that
//! the exclusion beside it (`tests/spec/src/exclusion.rs`) can go.

use aot_compiler::{CompileOptions, compile};
use target_spec::Registry;
use wamr::{Instance, InstanceConfig, Module, Profile, Runtime};

fn compiled(wat: &str) -> Vec<u8> {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options = CompileOptions::new(profile.bounds_checks);
    compile(&wat::parse_str(wat).unwrap(), target, &options).unwrap().aot
}

/// Replaces the only place where these bytes stand.
fn patch(file: &mut [u8], old: &[u8], new: &[u8]) {
    let places = (0..=file.len() - old.len()).filter(|at| file[*at..].starts_with(old));
    let places: Vec<_> = places.collect();
    let [at] = places[..] else { panic!("{old:?} stands at {places:?}") };
    file[at..at + new.len()].copy_from_slice(new);
}

/// A name may hold any Unicode character (core specification, 5.2.4), so also a NUL.
/// The format has the length, yet the loader keeps names as C strings
/// (`aot/aot_loader.c`, `load_string`), and what follows the NUL is lost. Our compiler
/// therefore refuses such names; here one is put into the finished file.
#[test]
fn names_end_at_a_nul() {
    let mut file = compiled(r#"(module (func (export "before*after")))"#);
    patch(&mut file, b"before*after", b"before\0after");
    Runtime::spawn("test", 256 * 1024, move |runtime| {
        let module = Module::load(runtime, &file).unwrap();
        let names: Vec<_> = module.exports().iter().map(|export| export.name.as_str()).collect();
        assert_eq!(names, ["before"]);
    })
    .unwrap()
    .join()
    .unwrap()
    .unwrap();
}

/// A table may have 2^32 - 1 entries (core specification, 2.3.9), and on a machine with
/// enough memory it should exist. WAMR puts the tables into the instance's one
/// allocation and refuses to make one of 4 GiB (`aot/aot_runtime.c`, `runtime_malloc`).
/// Our compiler refuses large tables before that; here one is put into the file.
#[test]
fn an_instance_with_its_tables_stays_below_4_gib() {
    // Initial and largest size, which stand together in the file and nowhere else.
    let sizes = [0x0001_2345u32, 0x0002_468a].map(u32::to_le_bytes).concat();
    let huge = [0x2000_0000u32; 2].map(u32::to_le_bytes).concat();
    let mut file = compiled("(module (table 0x12345 funcref))");
    patch(&mut file, &sizes, &huge);
    Runtime::spawn("test", 256 * 1024, move |runtime| {
        let module = Module::load(runtime, &file).unwrap();
        let failed = Instance::new(&module, InstanceConfig::default()).err().unwrap();
        assert_eq!(failed.to_string(), "instantiate the module: allocate memory failed");
    })
    .unwrap()
    .join()
    .unwrap()
    .unwrap();
}
