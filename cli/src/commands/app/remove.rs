//! `farrier app remove`: takes an application and all its modules from the devices.

use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier app remove climate")]
pub struct RemoveArgs {
    /// The application's name
    #[arg(add = ArgValueCompleter::new(complete::applications))]
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &RemoveArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let not_found = |error| Failure::from(error).if_not_found_try("farrier app ls");
    // What it was is what is shown.
    let application = client.application(&args.name).await.map_err(not_found)?;
    client.delete_application(&args.name).await.map_err(not_found)?;
    let format = args.output.format();
    if !format.is_for_people() {
        return console.show(format, &application, || vec![args.name.clone()], |_| String::new());
    }
    let modules: Vec<&str> =
        application.modules.iter().map(|module| module.name.as_str()).collect();
    console.line(&format!("removed {} ({})", application.name, modules.join(", ")))
}
