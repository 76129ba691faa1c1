//! `farrier completion`: the lines that a shell reads once.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

#[derive(Debug, Args)]
#[command(after_help = "\
The shell then asks this command for what could come next, and it asks the gateway for
the names of devices, modules and deployments; which gateway, FARRIER_GATEWAY or the
context in use says. Without an answer within 0.8 seconds no names are offered.

Examples:
  farrier completion bash > ~/.local/share/bash-completion/completions/farrier
  farrier completion zsh > ~/.zfunc/_farrier
  farrier completion fish > ~/.config/fish/completions/farrier.fish")]
pub struct CompletionArgs {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

pub fn run(args: &CompletionArgs, console: &Console) -> Result<(), Failure> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
    };
    let mut script = Vec::new();
    let written =
        shell.write_registration("COMPLETE", "farrier", "farrier", "farrier", &mut script);
    written.map_err(|e| Failure::new(Exit::Failed, "write the script").because(&e))?;
    console.text(&String::from_utf8_lossy(&script))
}
