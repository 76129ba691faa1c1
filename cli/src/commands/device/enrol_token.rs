//! `farrier device enrol-token`: what an operator hands to a new device.

use crate::args::OutputArgs;
use crate::console::{Console, now_ms};
use crate::failure::Failure;
use crate::format;
use clap::Args;
use gateway_api::NewClaimToken;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier device enrol-token > claim-token
  farrier device enrol-token --valid-s 600")]
pub struct EnrolTokenArgs {
    /// How long it is good [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    valid_s: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &EnrolTokenArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let token = client.create_claim_token(&NewClaimToken { valid_s: args.valid_s }).await?;
    console.note(format!(
        "good for one device, and ends {}; it is not shown again",
        format::ago(now_ms(), token.expires_at_ms)
    ));
    let line = || format::printable(&token.token);
    console.show(args.output.format(), &token, || vec![line()], |_| line() + "\n")
}
