//! WAMR's fast interpreter, in a process of its own: a build of WAMR runs compiled
//! files or modules, never both.
//!
//! `interpreter-child` is a small program of this workspace. Each line asks for one
//! call and is answered by one line, and it sleeps in between.

use anyhow::{Context, bail};
use kernels::Kernel;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Interpreter {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Interpreter {
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("start {}", program.display()))?;
        let requests = child.stdin.take().context("the interpreter has no standard input")?;
        let answers = child.stdout.take().context("the interpreter has no standard output")?;
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    /// The checksum, and the CPU time of the call in nanoseconds.
    pub fn call(&mut self, modules: &Path, kernel: &Kernel) -> anyhow::Result<(u64, f64)> {
        let path = modules.join(kernel.name).with_extension("wasm");
        writeln!(self.requests, "{} {} {}", kernel.name, kernel.size, path.display())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.trim().split_once(' ') {
            Some(("failed", why)) => bail!("{why}"),
            Some((checksum, ns)) => Ok((checksum.parse()?, ns.parse()?)),
            None => bail!("the interpreter answered {line:?}"),
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // It may be in the middle of a call that nobody waits for any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
