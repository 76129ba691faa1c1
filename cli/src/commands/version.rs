//! `farrier version`: what this build is and can compile for.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::grid::facts;
use clap::Args;
use serde::Serialize;
use target_spec::Registry;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier version
  farrier version -o json")]
pub struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Version {
    farrier: &'static str,
    compiler: &'static str,
    aot_version: u32,
    targets: Vec<String>,
}

pub fn run(args: &VersionArgs, console: &Console) -> Result<(), Failure> {
    let targets = Registry::built_in().all().iter();
    let version = Version {
        farrier: env!("CARGO_PKG_VERSION"),
        compiler: aot_compiler::COMPILER_ID,
        aot_version: aot_compiler::AOT_VERSION,
        targets: targets.map(|target| target.id.to_string()).collect(),
    };
    console.show(
        args.output.format(),
        &version,
        || vec![version.farrier.to_owned()],
        |_| {
            facts(&[
                ("farrier", version.farrier.to_owned()),
                ("compiler", version.compiler.to_owned()),
                ("AoT format", version.aot_version.to_string()),
                ("targets", version.targets.join(", ")),
            ])
        },
    )
}
