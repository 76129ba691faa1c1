//! `farrier token`: what programs log in with.

use super::user::RoleArg;
use crate::args::OutputArgs;
use crate::confirm::confirm;
use crate::console::{Console, now_ms};
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, plain};
use clap::{Args, Subcommand};
use gateway_api::NewToken;
use gateway_client::Client;

const DAY_S: u32 = 24 * 3_600;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List one's own tokens; an admin sees all
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Make a token and print it, once
    Add(AddArgs),
    /// End a token, and the sessions that were begun with it
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier token ls\n  farrier token ls -o json")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A token may do what its user may, at most, and less with --role.

Examples:
  farrier token add ci --role developer --valid-days 90 > ci.token
  farrier token add nightly --user robot")]
pub struct AddArgs {
    /// Who or what it is for
    label: String,
    /// What it may do [default: all that you may]
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// How long it is good [default: until it is revoked]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=1_825))]
    valid_days: Option<u32>,
    /// Whose it becomes, if you are an admin [default: your own]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier token revoke 3f09c2d1a4b7")]
pub struct RevokeArgs {
    /// As `farrier token ls` shows it
    id: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => ls(&args, client, console).await,
        Command::Add(args) => add(args, client, console).await,
        Command::Revoke(args) => {
            let id = format::printable(&args.id);
            confirm(&format!("Revoke the token {id}? What uses it is refused."), args.yes)?;
            client
                .revoke_token(&args.id)
                .await
                .map_err(|error| Failure::from(error).if_not_found_try("farrier token ls"))?;
            console.note(format!("{id} is revoked"));
            Ok(())
        }
    }
}

async fn add(args: AddArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let new = NewToken {
        label: args.label,
        role: args.role.map(Into::into),
        valid_s: args.valid_days.map(|days| days * DAY_S),
        user: args.user,
    };
    let issued = client
        .create_token(&new)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier user ls"))?;
    let token = &issued.token;
    let ends = token.expires_at_ms.map(|at| format!(", ends {}", format::ago(now_ms(), at)));
    console.note(format!(
        "token {} as {}{}; it is not shown again",
        token.id,
        token.role,
        ends.unwrap_or_default()
    ));
    let line = || format::printable(&issued.secret.0);
    console.show(args.output.format(), &issued, || vec![line()], |_| line() + "\n")
}

async fn ls(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let list = client.tokens().await?;
    let names = || list.items.iter().map(|token| token.id.clone()).collect();
    console.show(args.output.format(), &list, names, |look| {
        let columns = [
            ("ID", Align::Left),
            ("LABEL", Align::Left),
            ("USER", Align::Left),
            ("ROLE", Align::Left),
            ("LAST USED", Align::Left),
            ("ENDS", Align::Left),
        ];
        let mut grid = Grid::new(look, &columns);
        let when = |at: Option<u64>, none: &str| {
            at.map_or(none.to_owned(), |at| format::ago(look.now_ms, at))
        };
        for token in &list.items {
            grid.row(vec![
                plain(&token.id),
                plain(&token.label),
                plain(token.user.as_deref().unwrap_or("-")),
                plain(token.role.as_str()),
                plain(when(token.last_used_at_ms, "never")),
                plain(when(token.expires_at_ms, "never")),
            ]);
        }
        grid.to_text()
    })
}
