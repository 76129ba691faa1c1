//! An application file on disk, and the Wasm files beside it.

use crate::commands::module::link::{Inputs, NamedFile};
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
    /// The id of every Wasm file that it names, by the path as it stands there.
    pub modules: BTreeMap<String, ModuleId>,
    /// What may have to be uploaded, by its label.
    pub uploads: BTreeMap<String, ToUpload>,
}

/// A module's file, with the libraries that it is linked with.
pub struct ToUpload {
    /// Of the module.
    pub name: String,
    pub path: PathBuf,
    pub libraries: Vec<NamedFile>,
    /// Of the file, without what it is linked with.
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
    let mut uploads = BTreeMap::new();
    let mut problems = Vec::new();
    // A path in the file is seen from where the file is.
    let beside = |name: &str| path.parent().unwrap_or(Path::new("")).join(name);
    for module in &file.modules {
        for build in &module.builds {
            let Source::File(name) = &build.source else { continue };
            if uploads.contains_key(&build.label()) {
                continue;
            }
            let named = build
                .libraries
                .iter()
                .map(|(name, path)| NamedFile { name: name.clone(), path: beside(&path.value) });
            let (wasm_path, libraries) = (beside(name), named.collect::<Vec<_>>());
            match check_build(&wasm_path, &libraries) {
                Ok(ids) => {
                    let paths = build.libraries.values().map(|path| &path.value);
                    for (path, id) in std::iter::once(name).chain(paths).zip(&ids) {
                        modules.insert(path.clone(), *id);
                    }
                    let name = module.name.value.clone();
                    let upload = ToUpload { name, path: wasm_path, libraries, id: ids[0] };
                    uploads.insert(build.label(), upload);
                }
                Err(what) => problems.push(problem_at(build.at, what)),
            }
        }
    }
    match problems.is_empty() {
        true => Ok(Loaded { path: path.to_owned(), text, file, modules, uploads }),
        false => Err(wrong(problems)),
    }
}

impl Loaded {
    pub fn to_new(&self) -> NewApplication {
        let ids = self.modules.iter().map(|(name, id)| (name.clone(), id.to_string()));
        NewApplication {
            file: self.text.clone(),
            files: ids.collect(),
            accept_more: false,
            expected_version: None,
        }
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
    let failure = |error: std::io::Error| Failure::of_reading(path, &error);
    let file = File::open(path).map_err(failure)?;
    let mut bytes = Vec::new();
    // One byte over the limit lets the reader see that there are too many.
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failure)?;
    String::from_utf8(bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("read {}", path.display()))
            .because(&error)
            .or_try("an application file is TOML in UTF-8")
    })
}

/// The ids of Wasm files that can be read and are valid, linked if there are libraries: the
/// file's, then those of the libraries in their order.
fn check_build(path: &Path, libraries: &[NamedFile]) -> Result<Vec<ModuleId>, String> {
    let inputs = Inputs::read(path, libraries).map_err(|failure| {
        let cause = failure.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{}{cause}; build it first, or correct the path", failure.message)
    })?;
    let mut ids = vec![ModuleId::of(&inputs.main)];
    ids.extend(inputs.libraries.iter().map(|(_, wasm)| ModuleId::of(wasm)));
    let wasm = match libraries {
        [] => inputs.main,
        _ => inputs.link().map_err(|error| format!("link {}: {error}", path.display()))?,
    };
    match aot_compiler::census(&wasm) {
        Ok(_) => Ok(ids),
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
