//! The same input gives the same bytes, which is what caches and signatures rest on.

mod support;

use aot_compiler::{COMPILER_ID, CompileOptions, compile};
use support::{EVERYTHING, all_targets, wasm};

#[test]
fn two_compilations_give_the_same_bytes_also_at_the_same_time() {
    let module = wasm(EVERYTHING);
    for (target, bounds_checks) in all_targets() {
        let compile_once =
            || compile(&module, target, &CompileOptions::new(bounds_checks)).unwrap().aot;
        let first = compile_once();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(compile_once)).collect();
            for thread in threads {
                assert!(thread.join().unwrap() == first, "{} {bounds_checks}", target.id);
            }
        });
    }
}

#[test]
fn the_compilers_name_holds_the_version_of_cranelift_that_is_linked() {
    let version = cranelift_codegen::VERSION;
    assert!(COMPILER_ID.ends_with(&format!(" cranelift {version}")), "{COMPILER_ID}");
}
