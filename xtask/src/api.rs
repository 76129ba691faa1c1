//! `cargo xtask api`: what the OpenAPI document promises, tried on a running gateway.
//!
//! A gateway and one device of this machine get modules, deployments and an application by
//! the command line. Then Schemathesis, a pinned package, sends what the document allows
//! and what it does not to each operation: no answer may be an error of the server, and each
//! has to be one that the document has, in status, type and shape.

use crate::run;
use anyhow::{Context, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An empty module with a memory and `tick`.
const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
                        \x07\x08\x01\x04tick\0\0\x0a\x04\x01\x02\0\x0b";

const APPLICATION: &str = "format = 1\nname = \"climate\"\ndevices = \"all\"\n\n\
                           [[module]]\nname = \"other\"\nversion = 1\n";

const PROGRAMS: [&str; 4] = ["farrier-gateway", "farrier", "farrier-agent", "farrier-runtime"];

const WITHIN: Duration = Duration::from_secs(120);

/// Ends with this value.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Wish {
    pub examples: u32,
    pub seed: u32,
    pub only: Option<String>,
    pub programs: Option<PathBuf>,
}

pub fn run(workspace: &Path, wish: &Wish) -> anyhow::Result<()> {
    let schemathesis = schemathesis(workspace)?;
    let bin = match &wish.programs {
        Some(folder) => folder.clone(),
        None => {
            run::build(workspace, "dev", &PROGRAMS)?;
            workspace.join("target/debug")
        }
    };
    let place = Place { bin, dir: workspace.join("target/api") };
    let _ = fs::remove_dir_all(&place.dir);
    fs::create_dir_all(&place.dir).context("make target/api")?;
    let (gateway, url) = place.start_gateway()?;
    let agent = place.fill(&url)?;
    let token = fs::read_to_string(place.dir.join("data/admin.token"))?;
    let mut command = Command::new(schemathesis);
    command
        .current_dir(&place.dir)
        .env("PYTHONPATH", workspace.join("tests/api"))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .arg("run")
        .arg(format!("{url}/api/v1/openapi.json"))
        .args(["--url", &url, "--seed", &wish.seed.to_string()])
        .args(["--max-examples", &wish.examples.to_string()])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--checks", "not_a_server_error,status_code_conformance"])
        .args(["--checks", "content_type_conformance,response_schema_conformance"])
        .args(["--request-timeout", "30", "--generation-database", "none"])
        // It never ends by itself; the browser test and the command line read it.
        .args(["--exclude-path", "/api/v1/events"])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", token.trim()));
    if let Some(only) = &wish.only {
        command.args(["--include-path", only]);
    }
    let done = run::step("hold the gateway to docs/openapi.json", &mut command);
    drop((agent, gateway));
    done.with_context(|| format!("the gateway's log is {}", place.log("farrier-gateway").display()))
}

/// The program of the packages in `tests/api/requirements.txt`, in an environment of its own.
fn schemathesis(workspace: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(workspace.join("tests/api/requirements.txt"))?;
    let folder = workspace.join("target/schemathesis");
    let stamp = folder.join("requirements.txt");
    let program = folder.join("bin/schemathesis");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && program.exists() {
        return Ok(program);
    }
    let _ = fs::remove_dir_all(&folder);
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&folder);
    run::step("make an environment for Schemathesis (Debian: python3-venv)", &mut make)?;
    let mut install = Command::new(folder.join("bin/python3"));
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "-r"]);
    install.arg(workspace.join("tests/api/requirements.txt"));
    run::step("fetch Schemathesis from PyPI", &mut install)?;
    fs::write(stamp, wanted)?;
    Ok(program)
}

/// Where the programs are, and where they keep their data.
struct Place {
    bin: PathBuf,
    dir: PathBuf,
}

impl Place {
    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    fn start(&self, name: &str, config: &str) -> anyhow::Result<Child> {
        let file = self.dir.join(format!("{name}.toml"));
        fs::write(&file, config)?;
        let mut command = Command::new(self.bin.join(name));
        command.arg("--config").arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(fs::File::create(self.log(name))?);
        command.spawn().with_context(|| format!("start {name}"))
    }

    fn start_gateway(&self) -> anyhow::Result<(Program, String)> {
        let config = format!(
            "data_dir = {:?}\nhttp_listen = \"127.0.0.1:0\"\nmqtt_listen = \"127.0.0.1:0\"\n\
             mqtt_tls = \"off\"\ncompile_sandbox = \"best-effort\"\ncheck_sandbox = \"best-effort\"\n\
             [[check_runtime]]\ntarget = \"x86_64-linux\"\nbounds_checks = \"hardware\"\npath = {:?}\n",
            self.dir.join("data"),
            self.bin.join("farrier-runtime"),
        );
        let mut gateway = Program(self.start("farrier-gateway", &config)?);
        let mut line = String::new();
        let stdout = gateway.0.stdout.as_mut().context("its standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line).with_context(|| {
            format!("the gateway did not start: {}", self.log("farrier-gateway").display())
        })?;
        let url = ready["http"].as_str().context("the gateway's address")?.to_owned();
        Ok((gateway, url))
    }

    /// A device, modules, deployments and an application, so that there is something of
    /// each kind to ask for.
    fn fill(&self, url: &str) -> anyhow::Result<Program> {
        let token = self.farrier(url, &["device", "enrol-token", "-q"])?;
        let token_file = self.dir.join("claim-token");
        fs::write(&token_file, token)?;
        let config = format!(
            "data_dir = {:?}\ngateway_url = {url:?}\nclaim_token_file = {token_file:?}\nname = \"device-1\"\n\
             [runtime]\npath = {:?}\n",
            self.dir.join("agent"),
            self.bin.join("farrier-runtime"),
        );
        let agent = Program(self.start("farrier-agent", &config)?);
        let wasm = self.dir.join("filter.wasm");
        fs::write(&wasm, MODULE)?;
        let file = self.dir.join("climate.toml");
        fs::write(&file, APPLICATION)?;
        let (wasm, file) = (wasm.display().to_string(), file.display().to_string());
        let began = Instant::now();
        while self.farrier(url, &["device", "show", "device-1", "-o", "name"]).is_err() {
            ensure!(
                began.elapsed() < WITHIN,
                "no device came: {}",
                self.log("farrier-agent").display()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        self.farrier(url, &["module", "push", &wasm, "--name", "filter"])?;
        self.farrier(url, &["deploy", "filter", "--all", "--wait"])?;
        // Another module, by a custom section.
        let mut other = MODULE.to_vec();
        other.extend(b"\0\x03\x01xy");
        fs::write(&wasm, other)?;
        self.farrier(url, &["module", "push", &wasm, "--name", "other"])?;
        self.farrier(url, &["app", "apply", &file, "--accept-more"])?;
        Ok(agent)
    }

    fn farrier(&self, url: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.bin.join("farrier"));
        command.args(arguments).args(["--gateway", url, "--token-file"]);
        command.arg(self.dir.join("data/admin.token")).env("XDG_CONFIG_HOME", &self.dir);
        run::output_of(&mut command)
    }
}
