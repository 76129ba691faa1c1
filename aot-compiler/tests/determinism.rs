//! The same input gives the same bytes, which is what caches and signatures rest on.

mod support;

use aot_compiler::{COMPILER_ID, CompileOptions, Progress, compile, compile_observed};
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
fn the_number_of_threads_does_not_show_in_the_bytes() {
    // Functions of very different sizes, so that they finish out of order.
    let functions = (0..200).map(|index| {
        let additions = "i32.const 7 i32.add ".repeat(index * 37 % 400);
        format!("(func (export \"f{index}\") (param i32) (result i32) local.get 0 {additions})")
    });
    let module = wasm(&format!("(module {})", functions.collect::<String>()));
    for (target, bounds_checks) in all_targets() {
        let with_threads = |count| {
            let mut options = CompileOptions::new(bounds_checks);
            options.threads = std::num::NonZeroUsize::new(count).unwrap();
            let progress = Progress::new();
            let artifact = compile_observed(&module, target, &options, &progress).unwrap();
            assert_eq!(progress.functions(), (200, 200));
            artifact
        };
        let alone = with_threads(1);
        for count in [2, 3, 7] {
            assert!(with_threads(count) == alone, "{} {bounds_checks} {count}", target.id);
        }
    }
}

#[test]
fn the_compilers_name_holds_the_version_of_cranelift_that_is_linked() {
    let version = cranelift_codegen::VERSION;
    assert!(COMPILER_ID.ends_with(&format!(" cranelift {version}")), "{COMPILER_ID}");
}
