//! Where the runtime is.

use crate::failure::{Exit, Failure};
use std::path::{Path, PathBuf};

const NAME: &str = "farrier-runtime";

/// The one asked for, else the one beside this program, else the one in PATH.
pub fn runtime(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        return if path.is_file() {
            absolute(path)
        } else {
            let message = format!("{} is no file", path.display());
            Err(Failure::new(Exit::Usage, message)
                .or_try("--runtime with the path of a farrier-runtime"))
        };
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(NAME));
    let in_path = || program_in_path(NAME);
    let found = beside.filter(|path| path.is_file()).or_else(in_path);
    found.ok_or_else(|| {
        let message = format!("there is no {NAME} beside farrier or in PATH");
        Failure::new(Exit::Failed, message).or_try(
            "--runtime with its path; a checkout builds one by `cargo xtask devices`, \
             into target/kit/x86_64-linux",
        )
    })
}

/// The launcher and the runtime as the words of one command.
pub fn words(launcher: Option<&str>, runtime: PathBuf) -> Vec<PathBuf> {
    let launcher = launcher.unwrap_or_default().split_whitespace();
    let mut words: Vec<PathBuf> = launcher.map(PathBuf::from).collect();
    words.push(runtime);
    words
}

fn program_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|e| Failure::new(Exit::Failed, path.display()).because(&e))
}
