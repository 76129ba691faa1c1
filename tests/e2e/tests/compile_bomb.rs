//! A module made to keep a compile worker busy, and everybody else meanwhile.

use anyhow::{Context, ensure};
use gateway_api::{Artifact, ArtifactState, DeviceSelector};
use gateway_client::{Client, Upload};
use harness::{DeviceClass, Fleet, GatewayOptions, Kit};
use std::time::Instant;

/// The bomb's time. Ours takes three times as long on two processors without it.
const COMPILE_S_MAX: u32 = 10;

/// Functions as large as they may be, until the module is: all their values live over
/// all their accesses.
fn bomb() -> Vec<u8> {
    let mut body = vec![0]; // no locals
    while body.len() < (2 << 20) - 64 {
        // local.get 0; local.get 0; i64.load; i64.const 3; i64.mul; i64.store
        body.extend([0x20, 0, 0x20, 0, 0x29, 0, 0, 0x42, 3, 0x7e, 0x37, 0, 0]);
    }
    body.push(0x0b);
    const FUNCTIONS: usize = 14;
    let mut code = leb128(FUNCTIONS);
    for _ in 0..FUNCTIONS {
        code.extend(leb128(body.len()));
        code.extend(&body);
    }
    let mut functions = leb128(FUNCTIONS);
    functions.extend([0; FUNCTIONS]);
    // Exported, or nobody would need their code.
    let mut exports = leb128(FUNCTIONS);
    for index in 0..FUNCTIONS as u8 {
        exports.extend([1, b'a' + index, 0, index]);
    }
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    let types = vec![1, 0x60, 1, 0x7f, 0];
    for (id, content) in [(1, types), (3, functions), (5, vec![1, 0, 1]), (7, exports), (10, code)]
    {
        wasm.push(id);
        wasm.extend(leb128(content.len()));
        wasm.extend(content);
    }
    wasm
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

async fn artifact(client: &Client, module: &str) -> anyhow::Result<Artifact> {
    let artifacts = client.module(module).await?.artifacts;
    artifacts.into_iter().next().context("the module is compiled for nobody")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_occupies_one_worker_until_its_limit_and_others_go_on() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let options = GatewayOptions {
        compile_workers: Some(2),
        compile_s_max: Some(COMPILE_S_MAX),
        ..GatewayOptions::new(data.path())
    };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let client = fleet.client().clone();
    let upload = Upload::from_bytes(bomb());
    client.push_module(Some("bomb"), &upload, |_, _| {}).await?;
    let new = Fleet::deployment("bomb", DeviceSelector::All);
    let deployment = client.create_deployment(&new).await?;
    let started = Instant::now();

    // Somebody else's upload and deployment, all the way to a running application.
    fleet.deploy_filter().await?;
    let others_took = started.elapsed();
    let meanwhile = artifact(&client, "bomb").await?;
    println!("the others took {others_took:.1?}; the bomb then: {meanwhile:?}");
    ensure!(meanwhile.state == ArtifactState::Compiling, "{meanwhile:?}");

    let ended = fleet.wait_deployment(&deployment.id, |_| {}).await?;
    println!("the bomb ended after {:.1?}: {}", started.elapsed(), ended.progress[0].detail);
    ensure!(ended.progress[0].detail.contains("longer than 10 s"), "{ended:?}");
    let records = client.compiles("bomb").await?.items;
    let refusal = records[0].refusal.as_deref().unwrap_or_default();
    ensure!(records.len() == 1 && refusal.contains("compile_s_max"), "{records:?}");

    // By the command line: the record, and who can run it.
    let output = fleet.farrier().args(["module", "show", "bomb"]).output()?;
    let shown = String::from_utf8(output.stdout)?;
    ensure!(shown.contains("OUTCOME") && shown.contains("longer than 10 s"), "{shown}");
    let output = fleet.farrier().args(["module", "check", "sensor-filter"]).output()?;
    let checked = String::from_utf8(output.stdout)?;
    println!("{checked}");
    ensure!(checked.contains("demo-x86-64") && checked.contains("yes"), "{checked}");
    Ok(())
}
