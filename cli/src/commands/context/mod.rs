//! `farrier context`: gateways by name.

use crate::args::{GlobalArgs, OutputArgs};
use crate::complete;
use crate::console::Console;
use crate::contexts::{self, Context, Contexts};
use crate::failure::{Exit, Failure};
use crate::grid::{Align, Grid, facts, plain};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Name a gateway; the first one is used from then on
    Add(AddArgs),
    /// Use a context from now on
    Use(UseArgs),
    /// List the contexts
    Ls(LsArgs),
    /// Show which gateway would be asked, and why that one
    Show(ShowArgs),
    /// Forget a context
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The context is --gateway with --token-file, under a name. The file stays where it is;
no token is copied.

Examples:
  farrier context add lab --gateway https://gateway.lab:8443 --token-file ~/lab.token
  farrier context add here --gateway http://127.0.0.1:8080 --replace")]
pub struct AddArgs {
    #[arg(value_parser = contexts::parse_name)]
    name: String,
    /// If there is one of that name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier context use lab")]
pub struct UseArgs {
    #[arg(add = ArgValueCompleter::new(complete::contexts))]
    name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier context ls\n  farrier context ls -o name")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier context show\n  farrier context show --context lab")]
pub struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier context remove lab")]
pub struct RemoveArgs {
    #[arg(add = ArgValueCompleter::new(complete::contexts))]
    name: String,
}

/// What `-o json` says of one.
#[derive(Serialize)]
struct Listed {
    name: String,
    gateway: String,
    token_file: Option<PathBuf>,
    in_use: bool,
}

#[derive(Serialize)]
struct Shown {
    gateway: String,
    token_file: Option<PathBuf>,
    decided_by: String,
    file: PathBuf,
}

pub fn run(command: Command, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(args, global, console),
        Command::Use(args) => {
            let mut contexts = Contexts::load()?;
            contexts.get(&args.name)?;
            contexts.current = Some(args.name);
            contexts.save()
        }
        Command::Ls(args) => ls(&args, console),
        Command::Show(args) => show(&args, global, console),
        Command::Remove(args) => {
            let mut contexts = Contexts::load()?;
            contexts.get(&args.name)?;
            contexts.contexts.remove(&args.name);
            if contexts.current.as_ref() == Some(&args.name) {
                contexts.current = None;
                console.note("it was the one in use; now none is");
            }
            contexts.save()
        }
    }
}

fn add(args: AddArgs, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    let Some(gateway) = global.gateway.clone() else {
        return Err(Failure::new(Exit::Usage, "a context needs the address of its gateway")
            .or_try(format!("farrier context add {} --gateway URL", args.name)));
    };
    // Wrong addresses are found now, and not at the first use.
    gateway_client::Client::builder(&gateway).build()?;
    let token_file = global.token_file.as_ref().map(std::path::absolute).transpose();
    let token_file =
        token_file.map_err(|e| Failure::new(Exit::Usage, "find the token file").because(&e))?;
    if let Some(path) = &token_file
        && !path.is_file()
    {
        console.warn(format!("{} is no file yet", path.display()));
    }
    let mut contexts = Contexts::load()?;
    if contexts.contexts.contains_key(&args.name) && !args.replace {
        let message = format!("there is a context {:?} already", args.name);
        return Err(Failure::new(Exit::Failed, message).or_try("--replace, or another name"));
    }
    contexts.contexts.insert(args.name.clone(), Context { gateway, token_file });
    if contexts.current.is_none() {
        console.note(format!("{} is in use from now on", args.name));
        contexts.current = Some(args.name);
    }
    contexts.save()
}

fn ls(args: &LsArgs, console: &Console) -> Result<(), Failure> {
    let contexts = Contexts::load()?;
    let current = contexts.current;
    let listed = |(name, context): (String, Context)| Listed {
        in_use: current.as_ref() == Some(&name),
        name,
        gateway: context.gateway,
        token_file: context.token_file,
    };
    let list: Vec<Listed> = contexts.contexts.into_iter().map(listed).collect();
    if list.is_empty() {
        console.note("there are none; farrier context add NAME --gateway URL");
    }
    let names = || list.iter().map(|context| context.name.clone()).collect();
    console.show(args.output.format(), &list, names, |look| {
        if list.is_empty() {
            return String::new();
        }
        let columns = [
            ("NAME", Align::Left),
            ("IN USE", Align::Left),
            ("GATEWAY", Align::Left),
            ("TOKEN FILE", Align::Left),
        ];
        let mut grid = Grid::new(look, &columns);
        for context in &list {
            let file =
                context.token_file.as_ref().map_or("-".to_owned(), |f| f.display().to_string());
            let in_use = if context.in_use { "yes" } else { "" };
            grid.row(vec![
                plain(&context.name),
                plain(in_use),
                plain(&context.gateway),
                plain(file),
            ]);
        }
        grid.to_text()
    })
}

fn show(args: &ShowArgs, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    let place = contexts::place(global)?;
    let shown = Shown {
        gateway: place.gateway,
        token_file: place.token_file,
        decided_by: place.by,
        file: contexts::path()?,
    };
    console.show(
        args.output.format(),
        &shown,
        || vec![shown.gateway.clone()],
        |_| {
            let file =
                shown.token_file.as_ref().map_or("-".to_owned(), |f| f.display().to_string());
            facts(&[
                ("gateway", shown.gateway.clone()),
                ("token file", file),
                ("decided by", shown.decided_by.clone()),
                ("contexts in", shown.file.display().to_string()),
            ])
        },
    )
}
