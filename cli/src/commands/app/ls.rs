//! `farrier app ls`: every application in a line.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, plain};
use crate::state;
use clap::Args;
use gateway_api::Application;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier app ls
  farrier app ls -o json")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let applications = client.applications().await?;
    if applications.items.is_empty() {
        console.note("no applications yet; make one: farrier app apply FILE");
    }
    console.show(
        args.output.format(),
        &applications,
        || applications.items.iter().map(|application| application.name.clone()).collect(),
        |look| view(&applications.items, look),
    )
}

fn view(applications: &[Application], look: &Look) -> String {
    if applications.is_empty() {
        return String::new();
    }
    let columns = [
        ("NAME", Align::Left),
        ("VERSION", Align::Right),
        ("STATE", Align::Left),
        ("MODULES", Align::Left),
        ("APPLIED", Align::Left),
    ];
    let mut grid = Grid::new(look, &columns);
    for application in applications {
        let modules: Vec<&str> =
            application.modules.iter().map(|module| module.name.as_str()).collect();
        grid.row(vec![
            plain(&application.name),
            plain(application.version.to_string()),
            state::deployment(application.state),
            plain(modules.join(", ")),
            plain(format::ago(look.now_ms, application.applied_at_ms)),
        ]);
    }
    grid.to_text()
}
