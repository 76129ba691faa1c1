//! An application file on disk, and the Wasm files beside it.

use crate::commands::compile;
use crate::failure::{Exit, Failure};
use application_file::{ApplicationFile, FILE_BYTES_MAX, Place, Source};
use gateway_api::{FileProblem, NewApplication, ProblemCode};
use gateway_client::ClientError;
use module_package::ModuleId;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that is right as far as anyone can say without a gateway.
pub struct Loaded {
    pub path: PathBuf,
    pub text: String,
    pub file: ApplicationFile,
    /// Every Wasm file that it names, by the path as it stands there.
    pub modules: BTreeMap<String, WasmFile>,
}

pub struct WasmFile {
    pub path: PathBuf,
    pub id: ModuleId,
}

/// All that is wrong with a file.
pub struct Wrong {
    pub path: PathBuf,
    pub problems: Vec<FileProblem>,
}

pub enum LoadError {
    Unreadable(Failure),
    Wrong(Wrong),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unreadable(failure) => failure,
            LoadError::Wrong(wrong) => refused(&wrong.path, &wrong.problems),
        }
    }
}

/// Reads the file and the Wasm files that it names, and checks all of them.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let text = read_text(path).map_err(LoadError::Unreadable)?;
    let wrong = |problems| LoadError::Wrong(Wrong { path: path.to_owned(), problems });
    let file = application_file::read(&text).map_err(|errors| {
        wrong(errors.into_iter().map(|error| problem_at(error.at, error.what)).collect())
    })?;
    let mut modules = BTreeMap::new();
    let mut problems = Vec::new();
    for build in file.modules.iter().flat_map(|module| &module.builds) {
        let Source::File(name) = &build.source else { continue };
        if modules.contains_key(name) {
            continue;
        }
        // A path in the file is seen from where the file is.
        let wasm_path = path.parent().unwrap_or(Path::new("")).join(name);
        match check_wasm(&wasm_path) {
            Ok(id) => drop(modules.insert(name.clone(), WasmFile { path: wasm_path, id })),
            Err(what) => problems.push(problem_at(build.at, what)),
        }
    }
    match problems.is_empty() {
        true => Ok(Loaded { path: path.to_owned(), text, file, modules }),
        false => Err(wrong(problems)),
    }
}

impl Loaded {
    pub fn to_new(&self) -> NewApplication {
        let ids = self.modules.iter().map(|(name, wasm)| (name.clone(), wasm.id.to_string()));
        NewApplication {
            file: self.text.clone(),
            files: ids.collect(),
            accept_more: false,
            expected_version: None,
        }
    }

    /// The name of the module whose build this file is.
    pub fn module_of<'a>(&'a self, wasm_name: &'a str) -> &'a str {
        let has_it = |module: &&application_file::Module| {
            module.builds.iter().any(|b| b.source == Source::File(wasm_name.to_owned()))
        };
        let module = self.file.modules.iter().find(has_it);
        module.map_or(wasm_name, |module| &module.name.value)
    }

    /// The gateway's refusal, each of its places within this file.
    pub fn failure(&self, error: ClientError) -> Failure {
        let problem = error.problem().filter(|p| p.code == ProblemCode::InvalidApplication);
        match problem.map(|problem| problem.errors.clone()) {
            Some(errors) if !errors.is_empty() => refused(&self.path, &errors),
            _ => Failure::from(error),
        }
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let failure = |cause: &dyn std::error::Error| {
        Failure::new(Exit::Failed, format!("read {}", path.display())).because(cause)
    };
    let file = File::open(path).map_err(|e| failure(&e))?;
    let mut bytes = Vec::new();
    // One byte over the limit lets the reader see that there are too many.
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| failure(&e))?;
    String::from_utf8(bytes).map_err(|e| failure(&e).or_try("an application file is TOML in UTF-8"))
}

/// The id of a Wasm file that can be read and is valid.
fn check_wasm(path: &Path) -> Result<ModuleId, String> {
    let wasm = compile::read_module(path).map_err(|failure| {
        let cause = failure.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{}{cause}; build it first, or correct the path", failure.message)
    })?;
    match aot_compiler::census(&wasm) {
        Ok(_) => Ok(ModuleId::of(&wasm)),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn problem_at(at: Place, what: String) -> FileProblem {
    FileProblem { line: at.line, column: at.column, what }
}

/// One line an error, each as compilers write it, so that editors jump there.
pub fn refused(path: &Path, problems: &[FileProblem]) -> Failure {
    let line = |problem: &FileProblem| {
        format!("{}:{}:{}: {}", path.display(), problem.line, problem.column, problem.what)
    };
    let count = match problems.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    let lines: Vec<String> = problems.iter().map(line).collect();
    Failure::new(Exit::Failed, format!("{} has {count}\n{}", path.display(), lines.join("\n")))
}
