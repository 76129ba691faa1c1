//! `cargo xtask`: the commands of the README.
//!
//! Plain: it installs what is missing, builds, and starts programs of the
//! workspace. What the product does stands elsewhere.

mod api;
mod bench;
mod check;
mod differential;
mod executors;
mod faults;
mod firmware;
mod fuzz;
mod kit;
mod programs;
mod run;
mod system;
mod test;
mod test_binaries;
mod web;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, demonstrates and tests Farrier.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and run the main job: a gateway and three devices on this machine.
    Demo {
        /// End with status 0 once everything was verified, else with the reason.
        #[arg(long)]
        once: bool,
        /// Print the summary as JSON on standard output.
        #[arg(long)]
        json: bool,
        /// Where the gateway and the devices keep their data; a new directory by default.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Take the two pictures of the README from the browser's test, with its real devices.
    Screenshots,
    /// Build and run all tests; the last line is `N passed, N failed`.
    Test,
    /// Hold the rules of ARCHITECTURE.md, formatting and lints.
    Check,
    /// Run the official WebAssembly specification suite on WAMR.
    Spec {
        /// Handed to the runner, such as `--suite 1 --target aarch64 --bounds software`;
        /// without any, everything runs.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compile real programs from packages and other compilers, and run them on WAMR.
    Programs {
        /// Handed to the runner, such as `--all`, `--filter usvg` or
        /// `--machine riscv64-software`; without any, those of CI run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure what this project makes against what it could use instead.
    #[command(subcommand)]
    Bench(Bench),
    /// Hold a running gateway to its OpenAPI document, with Schemathesis from PyPI.
    Api {
        /// Generated requests for each operation.
        #[arg(long, default_value = "30")]
        examples: u32,
        /// The same seed sends the same requests.
        #[arg(long, default_value = "1")]
        seed: u32,
        /// Only this path of the document, such as `/api/v1/devices`.
        #[arg(long, value_name = "PATH")]
        only: Option<String>,
        /// A folder with gateway, command line, agent and runtime, instead of building them.
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
    },
    /// Look for inputs that break the compiler, the readers and the decoders.
    Fuzz {
        /// Of all functions together.
        #[arg(long, default_value = "10")]
        minutes: f64,
        /// The same seed tries the same inputs; by default another one each time.
        #[arg(long)]
        seed: Option<u64>,
        /// Only this function of `tests/fuzz-targets`.
        #[arg(long, value_name = "TARGET")]
        only: Option<String>,
    },
    /// Inject faults into real programs: kills, power cuts, flipped bits, partitions.
    Faults {
        /// Handed to the runner, such as `--only agent-kills`, `--seeds 1..100`,
        /// `--minutes 30` or `--write-docs`; `--list` names the kinds.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run random modules compiled and in two interpreters, and compare.
    Differential {
        #[arg(long, default_value = "60")]
        seconds: f64,
        /// Only the module of this seed, again.
        #[arg(long)]
        seed: Option<u64>,
        /// Only modules of this kind: smith, simd or bounds.
        #[arg(long, value_name = "KIND")]
        only: Option<String>,
    },
    /// Install what is missing on this machine, by name.
    Setup,
    /// Build the binaries for all devices into `target/kit`.
    Devices,
    /// Build the tests' executors for all machines into `target/kit/executors`.
    Executors,
    /// Build the example modules into `target/kit/modules` and `target/kit/examples`.
    Firmware,
    /// Build the dashboard into `target/web-dist`.
    Web {
        /// Unoptimised, for the warm loop.
        #[arg(long)]
        dev: bool,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// One artifact to 1, 10, 100, 1,000 and 5,000 simulated devices, against the same bytes
    /// raw through the same broker.
    Delivery {
        /// Handed to the benchmark, such as `--devices 10,100 --write-docs`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A good module's latency beside attackers, and how long each attack lasts.
    Isolation {
        /// Handed to the benchmark, such as `--rounds 9 --write-docs`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A real-time module's late ticks beside best-effort ones that spin, with and without
    /// a class.
    RealTime {
        /// Handed to the benchmark, such as `--rounds 9 --write-docs`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Time to the first call, memory and sizes of a device's programs, against bare WAMR.
    Device {
        /// Handed to the benchmark, such as `--rounds 2000 --runs 5 --write-docs`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compile time, size and speed of compiled modules: native code, ours, wasmtime.
    Compiler {
        /// Handed to the benchmark, such as `--filter sha --quick`; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run_command(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `{error:?}`: its backtrace would hide what to do.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: Command) -> anyhow::Result<()> {
    let workspace = workspace_root()?;
    match command {
        Command::Demo { once, json, data } => demo(&workspace, once, json, data),
        Command::Screenshots => test::take_screenshots(&workspace),
        Command::Test => test::run(&workspace),
        Command::Check => {
            check::dependencies(&workspace)?;
            check::style(&workspace)
        }
        Command::Spec { arguments } => {
            system::install(&[
                system::Need::Runtimes,
                system::Need::CrossCompilers,
                system::Need::Emulators,
            ])?;
            test::spec(&workspace, &arguments)
        }
        Command::Programs { arguments } => {
            system::install(&[
                system::Need::Runtimes,
                system::Need::CrossCompilers,
                system::Need::Emulators,
                system::Need::Programs,
            ])?;
            programs::run(&workspace, &arguments)
        }
        Command::Bench(Bench::Delivery { arguments }) => {
            use system::Need;
            system::install(&[Need::WasmTarget, Need::Modules])?;
            system::install(&[Need::Runtimes, Need::CrossCompilers])?;
            kit::build(&workspace)?;
            bench::delivery(&workspace, &arguments)
        }
        Command::Bench(Bench::Isolation { arguments }) => {
            use system::Need;
            system::install(&[Need::WasmTarget, Need::Modules])?;
            system::install(&[Need::Runtimes, Need::CrossCompilers])?;
            kit::build(&workspace)?;
            bench::isolation(&workspace, &arguments)
        }
        Command::Bench(Bench::RealTime { arguments }) => {
            use system::Need;
            system::install(&[Need::WasmTarget, Need::Modules])?;
            system::install(&[Need::Runtimes, Need::CrossCompilers])?;
            kit::build(&workspace)?;
            bench::real_time(&workspace, &arguments)
        }
        Command::Bench(Bench::Device { arguments }) => {
            use system::Need;
            system::install(&[Need::WasmTarget, Need::Modules])?;
            system::install(&[Need::Runtimes, Need::CrossCompilers])?;
            kit::build(&workspace)?;
            bench::device(&workspace, &arguments)
        }
        Command::Bench(Bench::Compiler { arguments }) => {
            system::install(&[system::Need::Runtimes, system::Need::WasmTarget])?;
            bench::compiler(&workspace, &arguments)
        }
        Command::Api { examples, seed, only, programs } => {
            api::run(&workspace, &api::Wish { examples, seed, only, programs })
        }
        Command::Fuzz { minutes, seed, only } => {
            fuzz::run(&workspace, minutes, seed, only.as_deref())
        }
        Command::Faults { arguments } => {
            system::install(system::Need::ALL)?;
            faults::run(&workspace, &arguments)
        }
        Command::Differential { seconds, seed, only } => {
            system::install(&[
                system::Need::Runtimes,
                system::Need::CrossCompilers,
                system::Need::Emulators,
            ])?;
            differential::run(&workspace, seconds, seed, only.as_deref())
        }
        Command::Setup => system::install(system::Need::ALL),
        Command::Devices => {
            system::install(&[system::Need::Runtimes, system::Need::CrossCompilers])?;
            kit::build_devices(&workspace)
        }
        Command::Executors => {
            system::install(&[system::Need::Runtimes, system::Need::CrossCompilers])?;
            executors::build(&workspace)?;
            println!("{}", kit::directory(&workspace).join("executors").display());
            Ok(())
        }
        Command::Firmware => {
            system::install(&[system::Need::Modules, system::Need::Programs])?;
            firmware::build(&workspace)?;
            firmware::build_examples(&workspace, true)
        }
        Command::Web { dev } => {
            system::install(&[system::Need::WasmTarget])?;
            let profile = if dev { web::WebProfile::Dev } else { web::WebProfile::Release };
            web::build(&workspace, profile).map(|_| ())
        }
    }
}

fn demo(workspace: &Path, once: bool, json: bool, data: Option<PathBuf>) -> anyhow::Result<()> {
    use system::Need;
    system::install(&[
        Need::WasmTarget,
        Need::Modules,
        Need::Runtimes,
        Need::CrossCompilers,
        Need::Emulators,
    ])?;
    kit::build(workspace)?;
    let mut command =
        std::process::Command::new(kit::directory(workspace).join("bin/farrier-demo"));
    command.arg("--kit").arg(kit::directory(workspace));
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    if once {
        command.arg("--once");
    }
    if json {
        command.arg("--json");
    }
    // The demo takes this process's place, so that Ctrl-C reaches it alone.
    Err(std::os::unix::process::CommandExt::exec(&mut command)).context("start the demo")
}

fn workspace_root() -> anyhow::Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask.parent().context("xtask has no parent folder")?.to_owned())
}
