//! Every file of `cases/` compiles to the code that stands at its end.
//!
//! `FARRIER_UPDATE_EXPECTED=1 cargo test -p disas-tests` writes today's code into the
//! files. Read the difference as carefully as code: each line of it is one that every
//! module of that kind will run.

use disas_tests::Case;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_case_compiles_to_the_code_at_its_end() {
    let updates = std::env::var_os("FARRIER_UPDATE_EXPECTED").is_some();
    let mut failures = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 10, "{} cases", cases.len());
    for path in &cases {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap();
        let case = Case::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = case.compile().unwrap_or_else(|error| panic!("{name}: {error}"));
        if found == case.expected() {
            continue;
        }
        if updates {
            std::fs::write(path, case.with_expected(&found)).unwrap();
            continue;
        }
        let differs = found.lines().zip(case.expected().lines()).find(|(new, old)| new != old);
        let (new, old) = differs.unwrap_or(("(another number of lines)", ""));
        failures.push(format!("{name}: expected {old:?}, found {new:?}"));
    }
    assert!(
        failures.is_empty(),
        "{}\nIf that is intended, FARRIER_UPDATE_EXPECTED=1 cargo test -p disas-tests writes it.",
        failures.join("\n")
    );
}

#[test]
fn a_case_that_says_what_nobody_knows_is_refused() {
    let error = |text| Case::parse(text).err().unwrap();
    assert_eq!(error("(module)"), "the directive \"target\" is missing");
    assert!(error(";;! target = sparc\n(module)").contains("sparc"));
    assert!(error(";;! speed = fast\n(module)").contains("\"speed\""));
    let case = Case::parse(";;! target = riscv64-linux\n(module (func))\n;; old\n").unwrap();
    assert_eq!(case.expected(), ";; old\n");
    let new = case.with_expected(";; new\n");
    assert_eq!(new, ";;! target = riscv64-linux\n(module (func))\n;; new\n");
    assert_ne!(case.compile().unwrap(), case.expected(), "what is wrong is found");
}
