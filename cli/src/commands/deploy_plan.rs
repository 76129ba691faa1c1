//! `farrier deploy --dry-run`: what the gateway says a deployment would do.

use super::app::plan::of_difference;
use crate::args::Format;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use crate::grid::{Align, Grid, Look, Tone, plain};
use gateway_api::{
    DeploymentPlan, DevicePlan, DevicePlanAction, NewDeployment, ReplacedDeployment,
};
use gateway_client::Client;

pub async fn run(
    new: &NewDeployment,
    format: Format,
    client: &Client,
    console: &Console,
) -> Result<(), Failure> {
    let plan = client.plan_deployment(new).await;
    let plan = plan
        .map_err(|e| Failure::from(e).if_not_found_try("farrier module ls; farrier device ls"))?;
    let names = || plan.devices.iter().map(|device| device.device_name.clone()).collect();
    console.show(format, &plan, names, |look| view(&plan, look))?;
    console.note("nothing was changed");
    verdict(&plan)
}

/// Ends as `--wait` would if nothing but these obstacles came between.
fn verdict(plan: &DeploymentPlan) -> Result<(), Failure> {
    let is_refused = |device: &&DevicePlan| device.action == DevicePlanAction::Refuse;
    let refused_count = plan.devices.iter().filter(is_refused).count();
    let device_count = plan.devices.len();
    if refused_count == 0 {
        return Ok(());
    }
    let exit = if refused_count == device_count { Exit::Failed } else { Exit::Partial };
    let message = format!(
        "{}@{} cannot run on {refused_count} of {device_count} devices",
        plan.app, plan.module_version
    );
    Err(Failure::new(exit, message).or_try("do what is said for each device, or leave it out"))
}

fn view(plan: &DeploymentPlan, look: &Look) -> String {
    let module = format!("{}@{}", printable(&plan.app), plan.module_version);
    let others = match plan.other_device_count {
        0 => String::new(),
        count => format!(", {count} of the fleet are left as they are"),
    };
    let compiles = match plan.compile_count {
        0 => "nothing to compile".to_owned(),
        1 => "1 compilation to wait for".to_owned(),
        count => format!("{count} compilations to wait for"),
    };
    let mut text = format!("{module}: {}{others}; {compiles}\n", devices(plan.devices.len()));
    let mut grid = Grid::new(
        look,
        &[
            ("DEVICE", Align::Left),
            ("TARGET", Align::Left),
            ("ACTION", Align::Left),
            ("INSTEAD OF", Align::Left),
            ("NOTE", Align::Left),
        ],
    );
    for device in &plan.devices {
        let tone = match device.action {
            DevicePlanAction::Add | DevicePlanAction::Change => Tone::Busy,
            DevicePlanAction::Keep => Tone::Good,
            DevicePlanAction::Refuse => Tone::Bad,
        };
        grid.row(vec![
            plain(&device.device_name),
            plain(&device.target),
            (device.action.as_str().to_owned(), tone),
            plain(device.replaces.as_deref().unwrap_or("-")),
            plain(note(device)),
        ]);
    }
    text += &grid.to_section();
    plan.replaces.iter().for_each(|replaced| text += &of_replaced(replaced, &plan.app));
    text += &said_of_devices(plan);
    text
}

fn devices(count: usize) -> String {
    if count == 1 { "1 device".to_owned() } else { format!("{count} devices") }
}

fn note(device: &DevicePlan) -> String {
    let obstacles = match device.obstacles.len() {
        0 => None,
        1 => Some("1 obstacle".to_owned()),
        count => Some(format!("{count} obstacles")),
    };
    let compile = device.needs_compile.then(|| "has to be compiled".to_owned());
    obstacles.into_iter().chain(compile).collect::<Vec<_>>().join("; ")
}

fn of_replaced(replaced: &ReplacedDeployment, app: &str) -> String {
    let ReplacedDeployment { id, module_version, device_count, differences } = replaced;
    let head =
        format!("instead of {id} ({app}@{module_version}) on {}", devices(*device_count as usize));
    if differences.is_empty() {
        return format!("\n{}: the same\n", printable(&head));
    }
    let mut text = format!("\n{}:\n", printable(&head));
    for difference in differences {
        text += &format!("{}\n", printable(&of_difference(difference)));
    }
    text
}

fn said_of_devices(plan: &DeploymentPlan) -> String {
    let mut text = String::new();
    for device in &plan.devices {
        for obstacle in &device.obstacles {
            text += &format!("\n{}\n", printable(&obstacle.detail));
            text += &format!("  try: {}\n", printable(&obstacle.advice));
        }
        for remark in &device.remarks {
            text += &format!("\n{}: {}\n", printable(&device.device_name), printable(remark));
        }
    }
    text
}
