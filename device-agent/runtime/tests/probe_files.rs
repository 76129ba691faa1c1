//! The self-test's probe in machine code, one file a target and bounds mode.
//!
//! The files are committed because a device has no compiler. This test says when
//! they are no longer what our compiler makes, and `FARRIER_UPDATE_PROBES=1`
//! makes it write them instead.

use aot_compiler::{CompileOptions, compile};
use std::env;
use std::fs;
use std::path::Path;
use target_spec::Registry;

#[test]
fn the_committed_probes_are_what_the_compiler_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe");
    let wasm = wat::parse_file(folder.join("probe.wat")).unwrap();
    let is_update = env::var_os("FARRIER_UPDATE_PROBES").is_some();
    // A runtime tests itself as what it was built for, whatever target it then serves.
    for target in Registry::built_in().all().iter().filter(|target| target.runtime.is_none()) {
        for bounds_checks in target.bounds_checks.iter().copied() {
            let artifact = compile(&wasm, target, &CompileOptions::new(bounds_checks)).unwrap();
            let path = folder.join(format!("{}-{bounds_checks}.aot", target.id));
            if is_update {
                fs::write(&path, &artifact.aot).unwrap();
            }
            let committed = fs::read(&path).unwrap_or_default();
            assert!(
                committed == artifact.aot,
                "{} is not what the compiler makes today. If that is meant, run\n\
                 FARRIER_UPDATE_PROBES=1 cargo test -p farrier-runtime --test probe_files",
                path.display()
            );
        }
    }
}
