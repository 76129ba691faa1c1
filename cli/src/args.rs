//! The command line's grammar: global options and the tree of commands.

use crate::commands::{
    app, audit, compile, completion, context, dashboard, deploy, deployment, device, doctor,
    inspect, key, login, logs, man, module, new, provenance, ps, published, release, rollback,
    root, run, send, session, test, token, trust, undeploy, user, version,
};
use crate::complete;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

pub const DEFAULT_GATEWAY: &str = "http://127.0.0.1:8080";

const AFTER_HELP: &str = "\
Gateway:
  --gateway, else --context, else the variable FARRIER_GATEWAY, else the context in
  FARRIER_CONTEXT, else the one of `farrier context use`, else http://127.0.0.1:8080.

Login:
  `farrier login NAME` keeps a token for the gateway's context. Otherwise
  the token is read from --token-file FILE, else from the variable FARRIER_TOKEN, else
  from the file that FARRIER_TOKEN_FILE names, else from the context's token file. A
  context's token goes to the context's gateway only.

Exit codes:
  0    done
  1    failed; the error on stderr says why
  2    wrong usage
  3    the module, device, deployment or context does not exist
  4    login needed, or the token is not good for this
  5    in part: `deploy --wait` ended with some devices running and some not
  6    the application file asks for more than what runs, and nobody said yes
  124  out of time
  `farrier run` of a program ends with the program's own code.

Examples:
  farrier module push filter.wasm --name filter
  farrier deploy filter --all --sensor temperature --channel average --wait
  farrier ps --watch";

#[derive(Debug, Parser)]
#[command(
    name = "farrier",
    version,
    about = "Put WebAssembly modules on devices, compiled ahead of time",
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The gateway's address [env: FARRIER_GATEWAY] [default: the context's]
    #[arg(long, global = true, value_name = "URL")]
    pub gateway: Option<String>,
    /// The context to use, see `farrier context` [env: FARRIER_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "gateway",
          add = ArgValueCompleter::new(complete::contexts))]
    pub context: Option<String>,
    /// File that holds the login token [env: FARRIER_TOKEN_FILE, or the token in FARRIER_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// When to use colours; NO_COLOR counts as never, CLICOLOR_FORCE as always
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Only data and errors: no notes, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell each request on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// How data is written; `compile` has its own `-o`.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// How to write the data on stdout; json is what the gateway's API answers
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Short for -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// With more columns and whole ids
    Wide,
    /// For programs
    Json,
    /// For programs that read line by line: an item of a list a line
    Jsonl,
    /// As json, easier to read
    Yaml,
    /// Names only, one a line
    Name,
}

impl Format {
    /// Whether people read it; the others are for programs.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Whether it holds all that the data has.
    pub fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }
}

/// Of commands that make a deployment.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Wait until it runs on every device, or has failed
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "wait")]
    timeout: u64,
}

impl WaitArgs {
    /// None if nobody waits.
    pub fn timeout_s(&self) -> Option<u64> {
        self.wait.then_some(self.timeout)
    }
}

impl OutputArgs {
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Link modules, push them and look at them
    #[command(subcommand)]
    Module(module::Command),
    /// Run applications of several modules, each from a file
    #[command(subcommand)]
    App(app::Command),
    /// Run a module on devices
    Deploy(deploy::DeployArgs),
    /// Run again what ran before
    Rollback(rollback::RollbackArgs),
    /// Take an application from its devices
    Undeploy(undeploy::UndeployArgs),
    /// Look at deployments and their progress
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// Look at devices, and let new ones in
    #[command(subcommand)]
    Device(device::Command),
    /// Show what runs where, and what it uses
    Ps(ps::PsArgs),
    /// Who changed what, what was signed, and whether the log of it is unharmed
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show what modules and agents logged
    Logs(logs::LogsArgs),
    /// Send a message to a module on a device
    Send(send::SendArgs),
    /// Show what modules published
    Published(published::PublishedArgs),
    /// Compile a module for a target; needs no gateway
    Compile(compile::CompileArgs),
    /// Begin a module of your own; needs no gateway
    New(new::NewArgs),
    /// Run a module on a device that is this machine; needs no gateway
    Run(run::RunArgs),
    /// Give a module recorded input and compare what it makes of it; needs no gateway
    Test(test::TestArgs),
    /// Show what a compiled file holds; needs no gateway
    Inspect(inspect::InspectArgs),
    /// Explain what devices trust, and print the gateway's keys
    #[command(subcommand)]
    Trust(trust::Command),
    /// Make, sign, rotate and publish root documents
    #[command(subcommand)]
    Root(root::Command),
    /// Sign releases where the release key is kept offline
    #[command(subcommand)]
    Release(release::Command),
    /// Make private keys in files; needs no gateway
    #[command(subcommand)]
    Key(key::Command),
    /// Show where an artifact came from
    Provenance(provenance::ProvenanceArgs),
    /// Get a token for this machine by name and password
    Login(login::LoginArgs),
    /// End what `login` has begun
    Logout(login::LogoutArgs),
    /// Show who you are to the gateway, and what you may do
    Whoami(login::WhoamiArgs),
    /// Users, and what each of them may do
    #[command(subcommand)]
    User(user::Command),
    /// Tokens, for programs
    #[command(subcommand)]
    Token(token::Command),
    /// Browsers that are logged in
    #[command(subcommand)]
    Session(session::Command),
    /// Print a link that opens the dashboard logged in
    Dashboard(dashboard::DashboardArgs),
    /// Name gateways, and choose the one to talk to
    #[command(subcommand)]
    Context(context::Command),
    /// Look for what is wrong between this command, the gateway and the fleet
    Doctor(doctor::DoctorArgs),
    /// Print what makes a shell complete commands, devices and modules
    Completion(completion::CompletionArgs),
    /// Write manual pages
    Man(man::ManArgs),
    /// Print the versions of this build
    Version(version::VersionArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_leaf = command.get_subcommands().next().is_none();
            assert!(!is_leaf || help.contains("Examples:"), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
