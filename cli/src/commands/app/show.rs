//! `farrier app show`: one application, module by module and device by device.

use crate::args::{Format, OutputArgs};
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, facts, plain};
use crate::{refusal, state};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::Application;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier app show climate
  farrier app show climate --file > climate.toml")]
pub struct ShowArgs {
    /// The application's name
    #[arg(add = ArgValueCompleter::new(complete::applications))]
    name: String,
    /// Print the file as it was applied
    #[arg(long, conflicts_with_all = ["output", "json"])]
    file: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ShowArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let application = client
        .application(&args.name)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier app ls"))?;
    if args.file {
        return console.text(&application.file);
    }
    show_one(args.output.format(), &application, console)
}

/// Also what `farrier app apply` ends with.
pub fn show_one(
    format: Format,
    application: &Application,
    console: &Console,
) -> Result<(), Failure> {
    let names = || vec![application.name.clone()];
    console.show(format, application, names, |look| view(application, look))
}

fn view(application: &Application, look: &Look) -> String {
    let mut text = facts(&[
        ("application", application.name.clone()),
        ("version", application.version.to_string()),
        ("state", state::deployment(application.state).0),
        ("applied", format::ago(look.now_ms, application.applied_at_ms)),
    ]);
    text += &format!("\n{}", modules_view(application, look));
    for module in &application.modules {
        for device in &module.deployment.progress {
            if let Some(refusal) = &device.refusal {
                let who = format!("{} on {}", module.name, device.device_name);
                text += &refusal::explain(&who, refusal);
            }
        }
    }
    text
}

fn modules_view(application: &Application, look: &Look) -> String {
    let columns = [
        ("MODULE", Align::Left),
        ("DEVICE", Align::Left),
        ("TARGET", Align::Left),
        ("STATE", Align::Left),
        ("NOTE", Align::Left),
    ];
    let mut grid = Grid::new(look, &columns);
    for module in &application.modules {
        let deployment = &module.deployment;
        let build = format!("{}@{}", module.name, deployment.module_version);
        if deployment.progress.is_empty() {
            let nobody = "no device is concerned yet";
            grid.row(vec![
                plain(build),
                plain("-"),
                plain("-"),
                state::deployment(deployment.state),
                plain(nobody),
            ]);
            continue;
        }
        for device in &deployment.progress {
            let refused = device.refusal.as_ref().map(refusal::short);
            let notes = refused.into_iter().chain(Some(device.detail.clone()));
            let notes: Vec<_> = notes.filter(|note| !note.is_empty()).collect();
            grid.row(vec![
                plain(device.build.clone().unwrap_or_else(|| build.clone())),
                plain(&device.device_name),
                plain(&device.target),
                state::progress(device.state),
                plain(notes.join("; ")),
            ]);
        }
    }
    grid.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;
    use gateway_api::{ApplicationModule, DeploymentState};

    #[test]
    fn each_module_has_a_line_for_each_device() {
        let deployment = sample::deployment();
        let application = Application {
            name: "climate".into(),
            version: 3,
            applied_at_ms: deployment.created_at_ms,
            state: DeploymentState::Failed,
            modules: vec![ApplicationModule { name: "filter".into(), deployment }],
            file: String::new(),
        };
        expect![[r#"
            application:  climate
            version:      3
            state:        failed
            applied:      60 s ago

            MODULE    DEVICE  TARGET         STATE    NOTE
            filter@2  pi      aarch64-linux  running
            filter@2  vision  riscv64-linux  refused  refusal 15

            filter on vision: refusal 15: The device's store has no room.
              detail: 40960 bytes wanted, 1000 free
              try: Remove an application, or raise the store's limit.
        "#]]
        .assert_eq(&view(&application, &Look::plain(false)));
    }
}
