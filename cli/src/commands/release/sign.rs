//! `farrier release sign`: the release key's answer to a file of `export`.
//!
//! With `--recompile` the module is compiled here, and only what gives the same
//! artifact is signed: builds are reproducible, so nothing of the gateway has to be
//! believed.

use super::bundle::{Bundle, BundledRelease};
use crate::commands::key;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use crate::output_file;
use aot_compiler::{COMPILER_ID, CompileOptions, Metering};
use clap::Args;
use key_file::{KeyFile, Role};
use module_package::{
    ArtifactId, BlobId, Domain, METERING_GAS, ModuleId, NAN_CANONICAL, NO_POLICY, Release, seal,
};
use std::collections::HashMap;
use std::path::PathBuf;
use target_spec::Registry;
use target_spec::profile::NanRule;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --recompile the gateway is believed which machine code is the module's: whoever
controls the gateway chooses what is signed here. With it, every release in the file must
be of one of the modules, and its artifact must be what this program makes of the module.

Examples:
  farrier release sign releases.json --key release.key --recompile filter.wasm
  farrier release sign releases.json --key release.key --file signed.json")]
pub struct SignArgs {
    /// The file of `farrier release export`
    input: PathBuf,
    /// A release key file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Compile this module and sign only what matches; once for each module
    #[arg(long, value_name = "MODULE.wasm")]
    recompile: Vec<PathBuf>,
    /// The file to write [default: the same file]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(args: &SignArgs, console: &Console) -> Result<(), Failure> {
    let key = KeyFile::read_as(&args.key, Role::Release).map_err(key::failure)?;
    let mut bundle = Bundle::read(&args.input)?;
    let modules = read_modules(&args.recompile)?;
    if modules.is_empty() {
        console.warn("nothing was compiled here: the gateway is believed what it built");
    }
    // All are checked before the first is signed.
    let mut signed = Vec::new();
    for bundled in &bundle.releases {
        let (payload, release) = bundled.open()?;
        if !modules.is_empty() {
            check_artifact(bundled, &release, &modules)?;
        }
        console.line(&printable(&in_words(&release, !modules.is_empty())))?;
        signed.push(hex::encode(seal(Domain::Release, payload, &key.key)));
    }
    for (bundled, sealed) in bundle.releases.iter_mut().zip(signed) {
        bundled.sealed = Some(sealed);
    }
    let output = args.file.as_ref().unwrap_or(&args.input);
    output_file::write_whole(output, &bundle.to_bytes()?)?;
    console.note(format!("next, at the gateway: farrier release submit {}", output.display()));
    Ok(())
}

/// What was signed, from the signed bytes themselves.
fn in_words(release: &Release, recompiled: bool) -> String {
    let Release { app, app_version, module, artifact, target, .. } = release;
    let how = if recompiled { "signed, compiled again here" } else { "signed" };
    format!("{how}: {app}@{app_version} for {}, module {module}, artifact {artifact}", target.id)
}

fn read_modules(paths: &[PathBuf]) -> Result<HashMap<ModuleId, Vec<u8>>, Failure> {
    let read = |path: &PathBuf| {
        let wasm = crate::commands::compile::read_module(path)?;
        Ok((ModuleId::of(&wasm), wasm))
    };
    paths.iter().map(read).collect()
}

fn check_artifact(
    bundled: &BundledRelease,
    release: &Release,
    modules: &HashMap<ModuleId, Vec<u8>>,
) -> Result<(), Failure> {
    let name = format!("{}@{} for {}", release.app, release.app_version, release.target.id);
    let refuse = |what: String| {
        Failure::new(Exit::Failed, format!("{} is not signed: {what}", printable(&name)))
    };
    let Some(wasm) = modules.get(&release.module) else {
        return Err(refuse(format!("its module {} is none of those given", bundled.module))
            .or_try("--recompile once for each module, or `release export --app NAME`"));
    };
    if release.compiler != COMPILER_ID {
        return Err(refuse(format!(
            "it was made by {}, and this is {COMPILER_ID}",
            release.compiler
        ))
        .or_try("the `farrier` of the gateway's version"));
    }
    let aot = compile(release, wasm).map_err(&refuse)?;
    let blocks = aot.chunks(release.block_bytes as usize).map(BlobId::of);
    if ArtifactId::of(&aot) != release.artifact || !blocks.eq(release.block_hashes.iter().copied())
    {
        return Err(refuse(format!(
            "the module gives artifact {}, and the release is for {}",
            ArtifactId::of(&aot),
            release.artifact
        ))
        .or_try("look at the gateway: it has an artifact that is not this module"));
    }
    Ok(())
}

fn compile(release: &Release, wasm: &[u8]) -> Result<Vec<u8>, String> {
    let target = Registry::built_in().find(&release.target.id).map_err(|e| e.to_string())?;
    let bounds_checks = release.target.bounds_checks.parse();
    let bounds_checks =
        bounds_checks.map_err(|e: target_spec::InvalidBoundsChecks| e.to_string())?;
    let metering = match release.policy.metering.as_str() {
        METERING_GAS => Metering::Gas,
        NO_POLICY => Metering::None,
        other => return Err(format!("its metering {other:?} is none that this program knows")),
    };
    let nan_rule = match release.policy.nan_canonicalization.as_str() {
        NAN_CANONICAL => NanRule::Canonical,
        NO_POLICY => NanRule::AsComputed,
        other => return Err(format!("its NaN rule {other:?} is none that this program knows")),
    };
    let options = CompileOptions { metering, nan_rule, ..CompileOptions::new(bounds_checks) };
    let artifact = aot_compiler::compile(wasm, target, &options).map_err(|e| e.to_string())?;
    Ok(artifact.aot)
}
