//! `farrier device pending`, `accept` and `reject`: devices without a claim token.

use crate::args::OutputArgs;
use crate::console::{Console, now_ms};
use crate::failure::Failure;
use crate::format;
use clap::Args;
use gateway_client::{Client, ClientError};

#[derive(Debug, Args)]
#[command(after_help = "\
The device's agent logs its fingerprint. Accept only one that you have read there.

Examples:
  farrier device pending")]
pub struct PendingArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier device accept 7QK2M-0ZT4V-8HJ3N-D5R1X")]
pub struct DecideArgs {
    /// As the device's agent logs it
    fingerprint: String,
}

pub async fn list(args: &PendingArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let pending = client.pending_enrolments().await?;
    if pending.turned_away > 0 {
        console.note(format!(
            "{} requests were turned away; a device that is not in the list can be accepted by its fingerprint all the same",
            pending.turned_away
        ));
    }
    let lines: Vec<String> = pending
        .items
        .iter()
        .map(|item| {
            format!(
                "{}  {}  {}  asked {}",
                item.fingerprint,
                format::printable(&item.name),
                format::printable(&item.target),
                format::ago(now_ms(), item.last_asked_ms)
            )
        })
        .collect();
    let text =
        if lines.is_empty() { "no device waits\n".to_owned() } else { lines.join("\n") + "\n" };
    console.show(args.output.format(), &pending, || lines.clone(), |_| text.clone())
}

pub async fn accept(args: &DecideArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let accepted = client.accept_enrolment(&args.fingerprint).await.map_err(not_there)?;
    console.note(match accepted.device {
        Some(device) => format!("{} is enrolled", format::printable(&device.name)),
        None => format!(
            "no device with {} has asked yet; it gets in when it does so within an hour",
            format::printable(&accepted.fingerprint)
        ),
    });
    Ok(())
}

fn not_there(error: ClientError) -> Failure {
    Failure::from(error).if_not_found_try("farrier device pending")
}

pub async fn reject(args: &DecideArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    client.reject_enrolment(&args.fingerprint).await.map_err(not_there)?;
    console.note("it is sent away for an hour".to_owned());
    Ok(())
}
