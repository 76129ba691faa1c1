//! `farrier trust new-key`: the first step of replacing a key of the gateway.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use gateway_api::{GatewayKeyRole, NewGatewayKey};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
The new key is used as soon as a published root document names it.

Examples:
  farrier trust new-key --role assign")]
pub struct NewKeyArgs {
    /// What it is for
    #[arg(long)]
    role: Role,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Assign,
    /// Where the gateway itself signs releases
    Release,
}

pub async fn run(args: &NewKeyArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let (role, option) = match args.role {
        Role::Assign => (GatewayKeyRole::Assign, "assign"),
        Role::Release => (GatewayKeyRole::Release, "release"),
    };
    let key = client.create_gateway_key(&NewGatewayKey { role }).await?;
    console.note(format!(
        "next: farrier root rotate PREVIOUS --{option}-key {} --revoke OLD-KEY -o NEXT",
        key.public_key
    ));
    let line = || key.public_key.clone();
    console.show(args.output.format(), &key, || vec![line()], |_| line() + "\n")
}
