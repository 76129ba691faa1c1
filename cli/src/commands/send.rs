//! `farrier send`: a message to a module on a device.

use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::NewMessage;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
The application has to subscribe to the channel: farrier deploy APP --subscribe CHANNEL.
The message is sent once; a device that is not online does not get it.

Examples:
  farrier send fan speed 80 --device kitchen
  farrier send fan raw --hex 00ff17 --device kitchen")]
pub struct SendArgs {
    /// The application
    #[arg(add = ArgValueCompleter::new(complete::apps))]
    app: String,
    /// The channel that it subscribes to
    channel: String,
    /// The message, as text
    #[arg(required_unless_present = "hex", conflicts_with = "hex")]
    payload: Option<String>,
    /// The message, as hexadecimal digits
    #[arg(long, value_name = "DIGITS")]
    hex: Option<String>,
    /// The device, by name or id
    #[arg(short, long, value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    device: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: SendArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let payload = match (args.payload, args.hex) {
        (_, Some(digits)) => digits,
        (text, None) => hex::encode(text.unwrap_or_default()),
    };
    if hex::decode(&payload).is_err() {
        return Err(Failure::new(Exit::Usage, "--hex needs two hexadecimal digits for each byte"));
    }
    let new = NewMessage { app: args.app, channel: args.channel, payload };
    let sent = client.send_message(&args.device, &new).await.map_err(|error| {
        Failure::from(error).if_not_found_try("farrier device ls; farrier deployment ls")
    })?;
    console.show(
        args.output.format(),
        &sent,
        || vec![sent.counter.to_string()],
        |_| format!("sent {} bytes to {}\n", sent.payload_bytes, args.device),
    )
}
