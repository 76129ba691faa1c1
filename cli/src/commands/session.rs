//! `farrier session`: browsers that are logged in.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, plain};
use clap::{Args, Subcommand};
use gateway_client::Client;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List one's own sessions; an admin sees all
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Log a browser out
    End(EndArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier session ls\n  farrier session ls -o wide")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier session end 3f09c2d1a4b7")]
pub struct EndArgs {
    /// As `farrier session ls` shows it
    id: String,
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => ls(&args, client, console).await,
        Command::End(args) => {
            client
                .end_session(&args.id)
                .await
                .map_err(|error| Failure::from(error).if_not_found_try("farrier session ls"))?;
            console.note(format!("{} has ended", format::printable(&args.id)));
            Ok(())
        }
    }
}

async fn ls(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let list = client.sessions().await?;
    if list.items.is_empty() {
        console.note("no browser is logged in; farrier dashboard prints a link");
    }
    let names = || list.items.iter().map(|session| session.id.clone()).collect();
    console.show(args.output.format(), &list, names, |look| {
        if list.items.is_empty() {
            return String::new();
        }
        let mut columns = vec![
            ("ID", Align::Left),
            ("USER", Align::Left),
            ("ROLE", Align::Left),
            ("FROM", Align::Left),
            ("LAST USED", Align::Left),
            ("ENDS", Align::Left),
        ];
        if look.wide {
            columns.push(("BROWSER", Align::Left));
        }
        let mut grid = Grid::new(look, &columns);
        for session in &list.items {
            let mut row = vec![
                plain(&session.id),
                plain(session.user.as_deref().unwrap_or("-")),
                plain(session.role.as_str()),
                plain(session.address.as_deref().unwrap_or("-")),
                plain(format::ago(look.now_ms, session.last_used_at_ms)),
                plain(format::ago(look.now_ms, session.ends_at_ms)),
            ];
            if look.wide {
                row.push(plain(session.browser.as_deref().unwrap_or("-")));
            }
            grid.row(row);
        }
        grid.to_text()
    })
}
