//! The dashboard in a real browser: `tests/browser/run.mjs` against a fleet.

use anyhow::{Context, ensure};
use gateway_api::{AppStatus, DeviceSelector, NewDeployment, NewUser, Role, Secret};
use harness::{DeviceClass, Fleet, Kit};
use std::path::Path;
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_uploads_deploys_and_watches_in_the_browser() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    for class in DeviceClass::ALL {
        fleet.start_device(class).await?;
    }
    for class in DeviceClass::ALL {
        fleet.wait_online(&class.device_name()).await?;
    }
    let xxhash = fleet.push_xxhash().await?;
    let new = Fleet::deployment(&xxhash.id, DeviceSelector::All);
    fleet.client().create_deployment(&new).await?;
    for class in DeviceClass::ALL {
        fleet.wait_running(&class.device_name(), "xxhash", 1).await?;
    }
    let late = "gt_u (global.get $ticks) (i32.const 5)";
    let spin = fleet.push_wat("spin", "gt_u (global.get $ticks) (i32.const 1)", late).await?;
    let there = DeviceSelector::These(vec!["demo-x86-64".into()]);
    let new = NewDeployment { interval_ms: Some(20), ..Fleet::deployment(&spin.id, there) };
    fleet.client().create_deployment(&new).await?;
    let is_stopped = |app: &AppStatus| app.state == "stopped: time limit";
    fleet.wait_app("the time limit", "demo-x86-64", "spin", is_stopped).await?;
    let login = fleet.client().create_login_link().await?.url;
    let password = "four words of mine";
    let user = NewUser {
        name: "olga".into(),
        role: Role::Operator,
        password: Some(Secret(password.into())),
    };
    fleet.client().create_user(&user).await?;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser");
    let mut node = Command::new("node");
    node.arg("run.mjs")
        .current_dir(&scripts)
        .env("FARRIER_URL", fleet.gateway().url())
        .env("FARRIER_LOGIN_URL", login)
        .env("FARRIER_USER", &user.name)
        .env("FARRIER_PASSWORD", password)
        .env("FARRIER_CLI", fleet.kit.command_line())
        .env("FARRIER_TOKEN_FILE", fleet.gateway().token_file())
        .env("FARRIER_GATEWAY", fleet.gateway().url())
        .env("FARRIER_WASM", fleet.kit.module("sensor-filter.wasm"))
        .env("FARRIER_SCREENSHOTS", scripts.join("../../target/screenshots"))
        .env("FARRIER_REFUSED_APP", "spin")
        .env("CHROMIUM", "/usr/bin/chromium");
    let status = tokio::task::spawn_blocking(move || node.status()).await?.context("start node")?;
    ensure!(status.success(), "the browser's checks ended with {status}\n{}", fleet.logs());
    Ok(())
}
