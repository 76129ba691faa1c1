//! What a developer can get wrong. Each is refused where the user is, by API and
//! command line, and the module that runs goes on running.

use anyhow::{Context, ensure};
use gateway_api::{DeviceSelector, ProblemCode};
use gateway_client::Upload;
use harness::{Fleet, Kit};

const DEVICE: &str = "demo-x86-64";

/// What it is called here, the bytes, the problem's code, and a part of its text.
type BadModule = (&'static str, Vec<u8>, ProblemCode, &'static str);

fn bad_modules(fleet: &Fleet) -> anyhow::Result<Vec<BadModule>> {
    let filter = fleet.kit.read_module("sensor-filter.wasm")?;
    let gc = wat::parse_str("(module (type (struct (field i32))))")?;
    let import = wat::parse_str(r#"(module (import "env" "launch_missiles" (func)))"#)?;
    let invalid = wat::parse_str("(module (func (result i32) (i64.const 1)))")?;
    let half = filter[..filter.len() / 2].to_vec();
    Ok(vec![
        (
            "not Wasm",
            b"#!/bin/sh\necho hello\n".to_vec(),
            ProblemCode::NotWasm,
            "not a WebAssembly",
        ),
        ("empty", vec![], ProblemCode::NotWasm, "empty"),
        ("truncated", half, ProblemCode::TruncatedModule, "ends"),
        ("unsupported", gc, ProblemCode::UnsupportedProposal, "\"gc\""),
        ("unknown import", import, ProblemCode::UnknownImport, "env.launch_missiles"),
        ("invalid", invalid, ProblemCode::InvalidModule, "type mismatch"),
        ("too large", vec![0; 33 * 1024 * 1024], ProblemCode::TooLarge, "larger than"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_modules_are_refused_by_name_and_the_running_one_goes_on() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    for (what, bytes, code, says) in bad_modules(&fleet)? {
        let before = fleet.status(DEVICE, "sensor-filter").await?;
        let file = data.path().join("bad.wasm");
        std::fs::write(&file, &bytes)?;

        let upload = Upload::from_bytes(bytes);
        let refused = fleet.client().push_module(Some("bad"), &upload, |_, _| {});
        let error = refused.await.err().with_context(|| format!("{what} was accepted"))?;
        let problem = error.problem().with_context(|| format!("{what}: {error:?}"))?;
        ensure!(problem.code == code, "{what}: {problem:?}");
        ensure!(problem.detail.contains(says), "{what} should say {says:?}: {}", problem.detail);
        ensure!(problem.request_id.is_some(), "{what}: {problem:?}");

        let output = fleet.farrier().args(["module", "push"]).arg(&file).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1), "{what}: {output:?}");
        ensure!(
            text.contains("error:") && text.contains(says),
            "{what} should say {says:?}: {text}"
        );
        ensure!(output.stdout.is_empty(), "{what}: {output:?}");

        fleet.check_filter_went_on(&before).await?;
    }
    ensure!(fleet.client().modules().await?.items.len() == 1, "nothing bad was stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_and_nothing_changes() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let client = fleet.client().clone();

    let nothing = client.module("no-such-module").await.err().context("found")?;
    ensure!(nothing.problem().is_some_and(|p| p.code == ProblemCode::NotFound), "{nothing:?}");

    let unknown = Fleet::deployment("no-such-module", DeviceSelector::All);
    ensure!(client.create_deployment(&unknown).await.is_err());
    let nowhere = DeviceSelector::These(vec!["no-such-device".into()]);
    ensure!(client.create_deployment(&Fleet::deployment("sensor-filter", nowhere)).await.is_err());

    let steps = client.put_known_answers("sensor-filter", "format = 1\n[[step]]\ncall = 5").await;
    let steps = steps.err().context("accepted")?;
    let code = steps.problem().map(|p| p.code);
    ensure!(code == Some(ProblemCode::InvalidKnownAnswers), "{steps:?}");

    let stranger = gateway_client::Client::new(fleet.gateway().url())?;
    let refused = stranger.modules().await.err().context("let in")?;
    ensure!(refused.is_login_required(), "{refused:?}");
    let output = fleet.farrier().env_remove("FARRIER_TOKEN_FILE").args(["ps"]).output()?;
    ensure!(output.status.code() == Some(4), "{output:?}");

    ensure!(client.deployments().await?.items.len() == 1);
    fleet.wait_running(DEVICE, "sensor-filter", 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_known_answer_is_caught_by_the_gateway_before_any_device_sees_it()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let module = fleet.push("xxhash", "xxhash.wasm").await?;
    let steps = "format = 1\n[[step]]\ncall = \"xxh32\"\nargs = [\"i32:0\", \"i32:0\", \"i32:0\"]\nexpect = [\"i32:1\"]\n";
    fleet.client().put_known_answers(&module.id, steps).await?;
    let new = Fleet::deployment(&module.id, DeviceSelector::All);
    let deployment = fleet.client().create_deployment(&new).await?;
    let ended = fleet.wait_deployment(&deployment.id, |_| {}).await?;
    ensure!(ended.state == gateway_api::DeploymentState::Failed, "{ended:?}");
    let artifact = fleet.client().module(&module.id).await?.artifacts.remove(0);
    ensure!(artifact.state == gateway_api::ArtifactState::Refused, "{artifact:?}");
    ensure!(artifact.detail.contains("step 1"), "{artifact:?}");
    let apps = fleet.client().ps().await?.items;
    ensure!(apps.iter().all(|app| app.app != "xxhash"), "the device never heard of it: {apps:?}");
    Ok(())
}
