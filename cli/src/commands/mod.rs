//! The subcommands, one file each, and which of them need a gateway.

pub mod app;
pub mod audit;
pub mod compile;
pub mod completion;
pub mod context;
pub mod dashboard;
pub mod deploy;
mod deploy_plan;
pub mod deployment;
pub mod device;
pub mod doctor;
pub mod inspect;
pub mod key;
pub mod login;
pub mod logs;
pub mod man;
pub mod module;
pub mod new;
pub mod provenance;
pub mod ps;
pub mod published;
pub mod release;
pub mod rollback;
pub mod root;
pub mod run;
mod run_program;
pub mod send;
pub mod session;
mod tail;
pub mod test;
pub mod token;
pub mod trust;
pub mod undeploy;
pub mod user;
pub mod version;
pub mod wasi_args;
mod watch;

use crate::args::{Command, GlobalArgs};
use crate::connect::connect;
use crate::console::Console;
use crate::failure::{Exit, Failure};

pub fn run(command: Command, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Compile(args) => compile::run(&args, console),
        Command::Inspect(args) => inspect::run(&args, console),
        Command::Version(args) => version::run(&args, console),
        Command::New(args) => new::run(&args, console),
        Command::Context(command) => context::run(command, global, console),
        Command::Completion(args) => completion::run(&args, console),
        Command::Man(args) => man::run(&args, console),
        Command::Login(args) => on_runtime(login::login(&args, global, console)),
        Command::Logout(_) => on_runtime(login::logout(global, console)),
        Command::Doctor(args) => on_runtime(doctor::run(&args, global, console)),
        Command::Run(args) => on_runtime(run::run(args, console)),
        Command::Test(args) => on_runtime(test::run(args, console)),
        Command::Key(command) => key::run(&command, console),
        Command::Root(command) => match root::run_offline(command, console)? {
            None => Ok(()),
            Some(publish) => {
                block_on(Command::Root(root::Command::Publish(publish)), global, console)
            }
        },
        Command::App(command) => match app::run_offline(command, console)? {
            None => Ok(()),
            Some(command) => block_on(Command::App(command), global, console),
        },
        Command::Module(command) => match module::run_offline(command, console)? {
            None => Ok(()),
            Some(command) => block_on(Command::Module(command), global, console),
        },
        Command::Release(command) => match release::run_offline(command, console)? {
            None => Ok(()),
            Some(command) => block_on(Command::Release(command), global, console),
        },
        command => block_on(command, global, console),
    }
}

fn block_on(command: Command, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    on_runtime(run_with_gateway(command, global, console))
}

fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Failure::new(Exit::Failed, "start the runtime").because(&e))?;
    runtime.block_on(work)
}

async fn run_with_gateway(
    command: Command,
    global: &GlobalArgs,
    console: &Console,
) -> Result<(), Failure> {
    let client = connect(global, console)?;
    match command {
        Command::App(command) => app::run(command, &client, console).await,
        Command::Module(command) => module::run(command, &client, console).await,
        Command::Deploy(args) => deploy::run(args, &client, console).await,
        Command::Rollback(args) => rollback::run(&args, &client, console).await,
        Command::Undeploy(args) => undeploy::run(&args, &client, console).await,
        Command::Deployment(command) => deployment::run(command, &client, console).await,
        Command::Device(command) => device::run(command, &client, console).await,
        Command::Audit(command) => audit::run(command, &client, console).await,
        Command::Ps(args) => ps::run(&args, &client, console).await,
        Command::Logs(args) => logs::run(args, &client, console).await,
        Command::Send(args) => send::run(args, &client, console).await,
        Command::Published(args) => published::run(args, &client, console).await,
        Command::Dashboard(args) => dashboard::run(&args, &client, console).await,
        Command::Whoami(args) => login::whoami(&args, &client, console).await,
        Command::User(command) => user::run(command, &client, console).await,
        Command::Token(command) => token::run(command, &client, console).await,
        Command::Session(command) => session::run(command, &client, console).await,
        Command::Trust(command) => trust::run(command, &client, console).await,
        Command::Provenance(args) => provenance::run(&args, &client, console).await,
        Command::Release(command) => release::run(command, &client, console).await,
        Command::Root(root::Command::Publish(args)) => root::publish(&args, &client, console).await,
        Command::Compile(_)
        | Command::Inspect(_)
        | Command::Version(_)
        | Command::Context(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Doctor(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::New(_)
        | Command::Run(_)
        | Command::Test(_)
        | Command::Key(_)
        | Command::Root(_) => {
            unreachable!("`run` has taken these")
        }
    }
}
