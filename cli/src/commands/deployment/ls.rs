//! `farrier deployment ls`: every deployment in a line.

use crate::args::OutputArgs;
use crate::commands::watch::Watched;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, plain};
use crate::state;
use clap::Args;
use gateway_api::{Deployment, DeviceSelector, Event, ProgressState};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier deployment ls
  farrier deployment ls --watch
  farrier deployment ls -o wide")]
pub struct LsArgs {
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    if args.watch {
        return WATCHED.watch(format, client, console, async || client.deployments().await).await;
    }
    let deployments = client.deployments().await?;
    if deployments.items.is_empty() {
        console.note("no deployments yet; make one: farrier deploy MODULE --all");
    }
    WATCHED.show(format, &deployments, console)
}

const WATCHED: Watched<Deployment> = Watched {
    concerns: |event| {
        matches!(event, Event::Resync | Event::Deployment { .. } | Event::DeploymentRemoved { .. })
    },
    name: |deployment| deployment.id.clone(),
    view,
};

fn view(deployments: &[Deployment], look: &Look) -> String {
    if deployments.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        ("ID", Align::Left),
        ("MODULE", Align::Left),
        ("STATE", Align::Left),
        ("RUNNING ON", Align::Left),
        ("MADE", Align::Left),
    ];
    if look.wide {
        columns.extend([
            ("ASKED FOR", Align::Left),
            ("INTERVAL", Align::Right),
            ("CALL MAX", Align::Right),
            ("MEMORY MAX", Align::Right),
        ]);
    }
    let mut grid = Grid::new(look, &columns);
    for deployment in deployments {
        let is_running = |state| state == ProgressState::Running;
        let running = deployment.progress.iter().filter(|d| is_running(d.state)).count();
        let mut cells = vec![
            plain(&deployment.id),
            plain(format!("{}@{}", deployment.app, deployment.module_version)),
            state::deployment(deployment.state),
            plain(format!("{running} of {} devices", deployment.progress.len())),
            plain(format::ago(look.now_ms, deployment.created_at_ms)),
        ];
        if look.wide {
            cells.extend([
                plain(asked_for(deployment)),
                plain(format::millis(deployment.interval_ms.into())),
                plain(format::millis(deployment.call_ms_max.into())),
                plain(format::bytes(deployment.memory_bytes_max)),
            ]);
        }
        grid.row(cells);
    }
    grid.to_text()
}

pub fn asked_for(deployment: &Deployment) -> String {
    let devices = match &deployment.devices {
        DeviceSelector::All => "all".to_owned(),
        DeviceSelector::These(devices) => devices.join(", "),
    };
    match deployment.targets.as_slice() {
        [] => devices,
        targets => format!("{devices} of {}", targets.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn a_deployment_takes_a_line() {
        expect![[r#"
            ID      MODULE    STATE   RUNNING ON      MADE      ASKED FOR  INTERVAL  CALL MAX  MEMORY MAX
            d-0007  filter@2  failed  1 of 2 devices  60 s ago  all         1000 ms   1000 ms    16.0 MiB
        "#]].assert_eq(&view(&[sample::deployment()], &Look::plain(true)));
    }
}
