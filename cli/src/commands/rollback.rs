//! `farrier rollback`: what ran before runs again.

use super::deploy;
use crate::args::{OutputArgs, WaitArgs};
use crate::complete;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Deployment, earlier_deployment};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
The gateway makes a new deployment with the module's version, the devices, the limits and
the grants of the earlier one. Twice in a row leads there and back. Modules of an
application go back together: farrier app apply with the earlier file.

Examples:
  farrier rollback filter --wait
  farrier rollback filter --to 3
  farrier rollback filter --to d-0007")]
pub struct RollbackArgs {
    /// The application
    #[arg(add = ArgValueCompleter::new(complete::apps))]
    app: String,
    /// A version of the module, or the id of a deployment [default: what ran before and was
    /// something else]
    #[arg(long, value_name = "VERSION|ID")]
    to: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &RollbackArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let deployments = client.deployments().await?.items;
    let earlier = choose(&deployments, &args.app, args.to.as_deref())?;
    console.note(printable(&format!(
        "back to {}@{} of deployment {}",
        earlier.app, earlier.module_version, earlier.id
    )));
    let creation = async { Ok(client.repeat_deployment(&earlier.id).await?) };
    deploy::make(args.wait.timeout_s(), args.output.format(), client, console, creation).await
}

fn choose<'a>(
    deployments: &'a [Deployment],
    app: &str,
    to: Option<&str>,
) -> Result<&'a Deployment, Failure> {
    let not_found = |what: String| {
        Failure::new(Exit::NotFound, what)
            .or_try("farrier deployment ls; farrier deploy APP@VERSION")
    };
    let mut of_app = deployments.iter().rev().filter(|d| d.app == app).peekable();
    if of_app.peek().is_none() {
        return Err(not_found(format!("no deployment is of {app:?}")));
    }
    let Some(to) = to else {
        let found = earlier_deployment(deployments.iter().rev(), app).map(|(_, earlier)| earlier);
        return found
            .ok_or_else(|| not_found(format!("nothing else than now ran before of {app:?}")));
    };
    let is_wanted = |d: &&Deployment| d.id == to || d.module_version.to_string() == to;
    of_app
        .find(is_wanted)
        .ok_or_else(|| not_found(format!("no deployment of {app:?} has the version or id {to:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use gateway_api::DeploymentState;

    fn deployments(all: &[(&str, u32, DeploymentState)]) -> Vec<Deployment> {
        let one = |(id, module_version, state): &(&str, u32, DeploymentState)| Deployment {
            id: (*id).to_owned(),
            module_version: *module_version,
            state: *state,
            ..sample::deployment()
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn what_ran_before_is_what_was_something_else() {
        use DeploymentState::{Done, Failed, Replaced};
        let id = |all: &[(&str, u32, DeploymentState)], to: Option<&str>| {
            let all = deployments(all);
            choose(&all, "filter", to).map(|d| d.id.clone()).map_err(|failure| failure.exit)
        };
        let all = [("a", 1, Replaced), ("b", 2, Replaced), ("c", 3, Replaced), ("d", 3, Failed)];
        assert_eq!(id(&all, None).as_deref(), Ok("b"));
        assert_eq!(id(&all, Some("1")).as_deref(), Ok("a"));
        assert_eq!(id(&all, Some("c")).as_deref(), Ok("c"));
        assert_eq!(id(&all, Some("3")).as_deref(), Ok("d"));
        assert_eq!(id(&all, Some("9")), Err(Exit::NotFound));
        // There and back.
        let back = [("a", 1, Replaced), ("b", 2, Replaced), ("c", 1, Done)];
        assert_eq!(id(&back, None).as_deref(), Ok("b"));
        assert_eq!(id(&[("a", 1, Done)], None), Err(Exit::NotFound));
        assert_eq!(id(&[("a", 1, Replaced)], None), Err(Exit::NotFound));
        assert_eq!(id(&[], None), Err(Exit::NotFound));
    }
}
