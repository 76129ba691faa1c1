//! How long it takes from bytes to a call.

use anyhow::{Context, anyhow, ensure};
use ed25519_dalek::SigningKey;
use module_package::{
    ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, Domain, ModuleId, PublicKey,
    RELEASE_BYTES_MAX, Release, ReleaseLimits, ReleaseTarget, Signer, check_release, open, seal,
};
use serde::Serialize;
use std::hint::black_box;
use std::time::{Duration, Instant};
use wamr::bare::{BareModule, FreshMemory};
use wamr::{FuncType, HostFunction, Instance, InstanceConfig, Module, Runtime, Value, ValueType};

/// Calls of a host function in one call of the module.
const HOST_CALLS: i32 = 1_000;

/// A page of WebAssembly, and the addresses that WAMR takes with hardware checks.
const PAGE_BYTES: usize = 64 << 10;
const RESERVED_BYTES: usize = 8 << 30;

/// Nanoseconds, each the median of its rounds.
#[derive(Debug, Default, Serialize)]
pub struct Times {
    /// Signature and hashes checked, loaded, instantiated, first call returned.
    signed_to_call: f64,
    load_to_call: f64,
    bare_load_to_call: f64,
    /// From a loaded module.
    instance_to_call: f64,
    bare_instance_to_call: f64,
    /// The kernel's part of it: addresses, rights, the first touch of a page.
    fresh_memory: f64,
    call: f64,
    bare_call: f64,
    host_call: f64,
    bare_host_call: f64,
}

pub fn measure(
    runtime: &Runtime,
    artifact: &[u8],
    bare_artifact: &[u8],
    rounds: usize,
) -> anyhow::Result<Times> {
    let same = FuncType::new([ValueType::I32], [ValueType::I32]);
    let function = HostFunction::new("ours", "same", same, |_, args| Ok(Some(args[0])));
    runtime.register(function)?;
    ensure!(wamr::bare::register(runtime), "WAMR takes no native function");
    let signed = Signed::new(artifact);
    let config = InstanceConfig::default;

    let module = Module::load(runtime, artifact)?;
    let mut instance = Instance::new(&module, config())?;
    let bare_module = BareModule::load(runtime, bare_artifact).map_err(|e| anyhow!(e))?;
    let mut bare_instance = bare_module.instantiate().map_err(|e| anyhow!(e))?;
    let one = [Value::I32(1)];
    let many = [Value::I32(HOST_CALLS)];
    ensure!(instance.call("tick", &one)? == one, "tick gives back what it got");
    ensure!(bare_instance.call(c"tick", 1) == Ok(1), "tick gives back what it got");

    // In turns, so that what else the machine does meets all alike.
    let is_hardware = runtime.profile().bounds_checks.to_string() == "hardware";
    let reserved_bytes = if is_hardware { RESERVED_BYTES } else { PAGE_BYTES };
    let mut samples: [Vec<f64>; 10] = Default::default();
    for _ in 0..rounds {
        let taken = [
            time(|watch| {
                signed.verify(artifact)?;
                let module = Module::load(runtime, artifact)?;
                let mut instance = Instance::new(&module, config())?;
                black_box(instance.call("tick", &one)?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                let module = Module::load(runtime, artifact)?;
                let mut instance = Instance::new(&module, config())?;
                black_box(instance.call("tick", &one)?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                let module = BareModule::load(runtime, bare_artifact).map_err(|e| anyhow!(e))?;
                let mut instance = module.instantiate().map_err(|e| anyhow!(e))?;
                black_box(instance.call(c"tick", 1).map_err(|e| anyhow!(e))?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                let mut instance = Instance::new(&module, config())?;
                black_box(instance.call("tick", &one)?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                let mut instance = bare_module.instantiate().map_err(|e| anyhow!(e))?;
                black_box(instance.call(c"tick", 1).map_err(|e| anyhow!(e))?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                let _memory = black_box(FreshMemory::touched(reserved_bytes, PAGE_BYTES)?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                black_box(instance.call("tick", &one)?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                black_box(bare_instance.call(c"tick", 1).map_err(|e| anyhow!(e))?);
                Ok(watch.elapsed())
            })?,
            time(|watch| {
                black_box(instance.call("call_host", &many)?);
                Ok(watch.elapsed())
            })? / f64::from(HOST_CALLS),
            time(|watch| {
                let called = bare_instance.call(c"call_host", HOST_CALLS);
                black_box(called.map_err(|e| anyhow!(e))?);
                Ok(watch.elapsed())
            })? / f64::from(HOST_CALLS),
        ];
        samples.iter_mut().zip(taken).for_each(|(samples, ns)| samples.push(ns));
    }
    let [
        signed_to_call,
        load,
        bare_load,
        fresh,
        bare_fresh,
        memory,
        call,
        bare_call,
        host,
        bare_host,
    ] = samples.map(median);
    Ok(Times {
        signed_to_call,
        load_to_call: load,
        bare_load_to_call: bare_load,
        instance_to_call: fresh,
        bare_instance_to_call: bare_fresh,
        fresh_memory: memory,
        call,
        bare_call,
        host_call: host,
        bare_host_call: bare_host,
    })
}

/// Nanoseconds until the body reads its watch: what it takes down at its end is no part.
fn time(body: impl FnOnce(Instant) -> anyhow::Result<Duration>) -> anyhow::Result<f64> {
    Ok(body(Instant::now())?.as_nanos() as f64)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A release as a gateway seals it.
struct Signed {
    sealed: Vec<u8>,
    key: PublicKey,
}

impl Signed {
    fn new(artifact: &[u8]) -> Self {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let blocks = artifact.chunks(BLOCK_BYTES as usize);
        let release = Release {
            version: DOCUMENT_VERSION,
            app: "probe".into(),
            app_version: 1,
            module: ModuleId::of(b"module"),
            artifact: ArtifactId::of(artifact),
            artifact_bytes: artifact.len() as u64,
            block_bytes: BLOCK_BYTES,
            block_hashes: blocks.map(BlobId::of).collect(),
            target: ReleaseTarget {
                id: "x86_64-linux".into(),
                abi: "sysv".into(),
                cpu_features: vec![],
                aot_version: 6,
                bounds_checks: "hardware".into(),
            },
            policy: CompilePolicy::default(),
            imports: vec![],
            limits: ReleaseLimits::default(),
            known_answers: vec![],
            compiler: "probe".into(),
            developer: None,
        };
        let mut payload = Vec::new();
        // Writing to memory cannot fail.
        let _ = minicbor::encode(&release, &mut payload);
        Self { sealed: seal(Domain::Release, payload, &signer), key: signer.public_key() }
    }

    fn verify(&self, artifact: &[u8]) -> anyhow::Result<()> {
        let payload = open(Domain::Release, &self.sealed, RELEASE_BYTES_MAX, |_| Ok(self.key))?;
        let release = check_release(&payload)?;
        ensure!(ArtifactId::of(artifact) == release.artifact, "another artifact");
        release.block_hashes.first().context("a release has blocks").map(drop)
    }
}
