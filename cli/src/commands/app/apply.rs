//! `farrier app apply`: uploads what the gateway lacks, shows what would change, asks
//! for a yes where one is due, and has the gateway do all of it at once.

use super::file::Loaded;
use super::{file, plan, show, wait};
use crate::args::OutputArgs;
use crate::commands::module;
use crate::confirm;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::Args;
use gateway_api::{ApplicationPlan, NewApplication, ProblemCode};
use gateway_client::{Client, ClientError};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal it asks before it changes anything. Elsewhere it goes on, unless the file
asks for more than what runs now: that needs --accept-more, and ends with 6 without.

Examples:
  farrier app apply climate.toml
  farrier app apply climate.toml --yes --wait --timeout 60
  farrier app apply climate.toml --accept-more")]
pub struct ApplyArgs {
    /// The application file
    file: PathBuf,
    /// Do not ask; what asks for more is still refused
    #[arg(short, long)]
    yes: bool,
    /// Say yes to everything, also to what asks for more than what runs now
    #[arg(long)]
    accept_more: bool,
    /// Sign modules that are uploaded with this developer's key
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// Wait until every module runs on every device, or has failed
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "wait")]
    timeout: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ApplyArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let loaded = file::load(&args.file)?;
    let new = loaded.to_new();
    let mut planned = look(client, &loaded, &new).await?;
    if !planned.missing.is_empty() {
        for wasm_name in &planned.missing {
            upload(args, client, &loaded, wasm_name, console).await?;
        }
        planned = look(client, &loaded, &new).await?;
    }
    console.say(&plan::view(&planned));
    let accept_more = decide(args, &planned)?;
    let expected_version = Some(planned.from_version);
    let new = NewApplication { accept_more, expected_version, ..new };
    let applied = client.apply_application(&new).await;
    let applied = applied.map_err(|error| match asks_for_more(&error) {
        // Between looking and applying something else has changed.
        true => needs_yes(&planned, args),
        false => loaded.failure(error),
    })?;
    let format = args.output.format();
    if !args.wait {
        console.note(format!("follow it: farrier app show {}", applied.application.name));
        return show::show_one(format, &applied.application, console);
    }
    let timeout = Duration::from_secs(args.timeout);
    let (application, ended) =
        wait::until_settled(client, applied.application, timeout, console).await?;
    show::show_one(format, &application, console)?;
    wait::verdict(&application, ended, timeout)
}

async fn look(
    client: &Client,
    loaded: &Loaded,
    new: &NewApplication,
) -> Result<ApplicationPlan, Failure> {
    client.plan_application(new).await.map_err(|error| loaded.failure(error))
}

async fn upload(
    args: &ApplyArgs,
    client: &Client,
    loaded: &Loaded,
    wasm_name: &str,
    console: &Console,
) -> Result<(), Failure> {
    let Some(wasm) = loaded.uploads.get(wasm_name) else {
        let message = format!("the gateway asks for {wasm_name:?}, which the file does not name");
        return Err(Failure::new(Exit::Failed, message));
    };
    let key = args.sign_key.as_deref();
    let pushed = module::push(&wasm.name, &wasm.path, &wasm.libraries, key, client, console);
    let module = pushed.await?.module;
    // What the gateway has linked may be of another version of the linker.
    if wasm.libraries.is_empty() && module.id != wasm.id.to_string() {
        let message = format!("{} has changed since it was looked at", wasm.path.display());
        return Err(Failure::new(Exit::Failed, message).or_try("apply again"));
    }
    console.note(format!("uploaded {wasm_name} as {}@{}", module.name, module.version));
    Ok(())
}

/// Whether to say yes to more; a failure if nobody says yes where that is needed.
fn decide(args: &ApplyArgs, planned: &ApplicationPlan) -> Result<bool, Failure> {
    let is_change = planned.from_version != planned.to_version;
    if !is_change || args.accept_more {
        return Ok(args.accept_more);
    }
    if args.yes {
        return if planned.asks_for_more { Err(needs_yes(planned, args)) } else { Ok(false) };
    }
    match (confirm::can_ask(), planned.asks_for_more) {
        (false, true) => Err(needs_yes(planned, args)),
        (false, false) => Ok(false),
        (true, asks_for_more) => match ask(asks_for_more) {
            true => Ok(asks_for_more),
            false => Err(Failure::new(Exit::Failed, "nothing was changed: there was no yes")),
        },
    }
}

fn ask(asks_for_more: bool) -> bool {
    confirm::ask(match asks_for_more {
        true => "It asks for more, see the lines with !. Apply it?",
        false => "Apply it?",
    })
}

fn asks_for_more(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| problem.code == ProblemCode::AsksForMore)
}

fn needs_yes(planned: &ApplicationPlan, args: &ApplyArgs) -> Failure {
    let message = format!(
        "{} asks for more than what runs now, and nobody said yes; nothing was changed",
        planned.application
    );
    let advice = format!(
        "look at the lines with !, then: farrier app apply {} --accept-more",
        args.file.display()
    );
    Failure::new(Exit::NeedsYes, message).or_try(advice)
}
