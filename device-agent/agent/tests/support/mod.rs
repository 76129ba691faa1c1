//! The fake worker of `examples/`, found beside the test binary.

use std::path::PathBuf;

/// Cargo builds examples together with tests, into a folder beside theirs.
pub fn fake_worker() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let worker = test.ancestors().nth(2).unwrap().join("examples/fake_worker");
    assert!(worker.is_file(), "build it: cargo build -p farrier-agent --example fake_worker");
    worker
}
