//! A WASI program as a device runs it: by `farrier run`, in the runtime of each
//! architecture, with a directory that it finds again the next time.

use crate::list::DeviceRun;
use crate::outcome::{Done, Run};
use anyhow::{Context, ensure};
use harness::{DeviceClass, Kit};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where the program finds its directory.
const GUEST: &str = "/data";

/// One after the other in one directory; every second one is not metered.
pub fn runs(
    wasm: &Path,
    env: &[String],
    files: &[String],
    runs: &[DeviceRun],
    class: DeviceClass,
) -> Vec<Run> {
    let done = |index: usize, started: Instant, result: anyhow::Result<()>| Run {
        machine: class.target.to_owned(),
        is_metered: index.is_multiple_of(2),
        file_bytes: 0,
        compile_time: Duration::ZERO,
        run_time: started.elapsed(),
        result: result.map(|()| Done { gas: None }).map_err(|error| format!("{error:#}")),
    };
    let started = Instant::now();
    let device = match Device::new(wasm, env, files, class) {
        Ok(device) => device,
        Err(error) => return vec![done(0, started, Err(error))],
    };
    let one = |(index, run): (usize, &DeviceRun)| {
        let started = Instant::now();
        let result = device.run(run, index.is_multiple_of(2));
        done(index, started, result.with_context(|| format!("run {}", index + 1)))
    };
    runs.iter().enumerate().map(one).collect()
}

struct Device<'a> {
    kit: Kit,
    class: DeviceClass,
    wasm: &'a Path,
    env: &'a [String],
    directory: tempfile::TempDir,
}

impl<'a> Device<'a> {
    fn new(
        wasm: &'a Path,
        env: &'a [String],
        files: &[String],
        class: DeviceClass,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("make a directory")?;
        for file in files {
            let from = crate::folder().join("input").join(file);
            std::fs::copy(&from, directory.path().join(file))
                .with_context(|| format!("copy {}", from.display()))?;
        }
        Ok(Self { kit: Kit::for_tests()?, class, wasm, env, directory })
    }

    fn run(&self, run: &DeviceRun, is_metered: bool) -> anyhow::Result<()> {
        let mut command = Command::new(self.kit.command_line());
        command.env("FARRIER_RUNTIME", self.kit.runtime(self.class));
        command.env("FARRIER_LAUNCHER", self.class.launcher.join(" "));
        command.arg("run").arg(self.wasm).stdin(Stdio::null());
        command.arg("--dir").arg(format!("{GUEST}={}", self.directory.path().display()));
        for variable in self.env {
            command.args(["--env", variable]);
        }
        if !is_metered {
            command.arg("--no-metering");
        }
        let output = command.arg("--").args(&run.args).output().context("start farrier")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        ensure!(
            code == Some(i32::from(run.exit_code)),
            "it ended with {code:?} instead of {}: {said}",
            run.exit_code
        );
        let expected = run.stdout()?;
        ensure!(
            output.stdout == expected,
            "it printed something else:\n{}{said}",
            String::from_utf8_lossy(&output.stdout)
        );
        for (file, content) in &run.leaves {
            let path = self.directory.path().join(file);
            let found = std::fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
            ensure!(found == *content, "it left {found:?} in {file} instead of {content:?}");
        }
        Ok(())
    }
}
