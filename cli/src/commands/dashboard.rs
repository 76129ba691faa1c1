//! `farrier dashboard`: the way from a token to a logged-in browser.

use crate::args::OutputArgs;
use crate::console::{Console, now_ms};
use crate::failure::Failure;
use crate::format;
use clap::Args;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier dashboard
  xdg-open \"$(farrier dashboard -q)\"")]
pub struct DashboardArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &DashboardArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let link = client.create_login_link().await?;
    console.note(format!(
        "the link logs in one browser, once, and ends {}",
        format::ago(now_ms(), link.expires_at_ms)
    ));
    let line = || format::printable(&link.url);
    console.show(args.output.format(), &link, || vec![line()], |_| line() + "\n")
}
