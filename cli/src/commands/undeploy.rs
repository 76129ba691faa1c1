//! `farrier undeploy`: takes an application, or one deployment of it, away.

use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Deployment, DeploymentState, List};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier undeploy filter
  farrier undeploy 5f0c21a9")]
pub struct UndeployArgs {
    /// An application, for all its deployments, or the id of one deployment
    #[arg(value_name = "APP_OR_ID", add = ArgValueCompleter::new(complete::apps))]
    reference: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &UndeployArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let chosen = choose(client.deployments().await?.items, &args.reference);
    if chosen.is_empty() {
        let message = format!("no deployment has the id or application {:?}", args.reference);
        return Err(Failure::new(Exit::NotFound, message).or_try("farrier deployment ls"));
    }
    for deployment in &chosen {
        client.delete_deployment(&deployment.id).await?;
    }
    let removed = List { items: chosen };
    let format = args.output.format();
    if format.is_for_people() {
        for deployment in &removed.items {
            let app = format!("{}@{}", deployment.app, deployment.module_version);
            console.line(&printable(&format!("removed {app} (deployment {})", deployment.id)))?;
        }
        return Ok(());
    }
    let names = || removed.items.iter().map(|deployment| deployment.id.clone()).collect();
    console.show(format, &removed, names, |_| String::new())
}

/// One by its id, or all of an application that are still in force.
fn choose(deployments: Vec<Deployment>, reference: &str) -> Vec<Deployment> {
    if let Some(one) = deployments.iter().find(|deployment| deployment.id == reference) {
        return vec![one.clone()];
    }
    let is_in_force = |deployment: &Deployment| deployment.state != DeploymentState::Replaced;
    deployments.into_iter().filter(|d| d.app == reference && is_in_force(d)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn an_application_means_its_deployments_in_force() {
        let deployment =
            |id: &str, state| Deployment { id: id.to_owned(), state, ..sample::deployment() };
        let all = vec![
            deployment("a", DeploymentState::Replaced),
            deployment("b", DeploymentState::Done),
            deployment("c", DeploymentState::InProgress),
        ];
        let ids = |reference: &str| -> Vec<String> {
            choose(all.clone(), reference).into_iter().map(|d| d.id).collect()
        };
        assert_eq!(ids("filter"), ["b", "c"]);
        assert_eq!(ids("a"), ["a"]);
        assert!(ids("filt").is_empty());
    }
}
