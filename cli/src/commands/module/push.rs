//! `farrier module push`: a file becomes a module of the gateway.

use super::link::{self, Inputs, NamedFile};
use super::name_of;
use crate::args::OutputArgs;
use crate::commands::{compile, key};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::{format, progress};
use clap::Args;
use gateway_api::{LinkPart, LinkedUpload};
use gateway_client::{Client, PushedModule, Upload};
use key_file::{KeyFile, Role};
use module_package::{ModuleId, ModuleStatement};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier module push target/wasm32-unknown-unknown/release/filter.wasm
  farrier module push xxhash.wasm --name xxhash --known-answers xxhash.toml
  farrier module push level.wasm --link signal=signal.wasm --name level-meter
  farrier module push filter.wasm --sign-key alice.key")]
pub struct PushArgs {
    /// The Wasm file
    file: PathBuf,
    /// A library that the gateway links it with: what it is imported as, and its Wasm file;
    /// can be given several times (docs/linking.md)
    #[arg(long = "link", value_name = "NAME=FILE")]
    libraries: Vec<NamedFile>,
    /// The application that it is a version of [default: the file's name without .wasm]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// TOML file of steps that show on each device that it computes what it should
    #[arg(long, value_name = "FILE")]
    known_answers: Option<PathBuf>,
    /// Sign it with this developer's key, from `farrier key new --role developer`
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &PushArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_from(&args.file)?,
    };
    // Read first: a wrong path should not leave half a push behind.
    let known_answers = args.known_answers.as_deref().map(read_text).transpose()?;

    let key = args.sign_key.as_deref();
    let pushed = push(&name, &args.file, &args.libraries, key, client, console).await?;

    let mut module = pushed.module;
    if let Some(text) = known_answers {
        module = client.put_known_answers(&module.id, &text).await.map_err(|error| {
            console.note(format!("{} is pushed, without known answers", name_of(&module)));
            Failure::from(error)
        })?;
    }
    let told = if pushed.is_new { "pushed" } else { "already there" };
    console.show(
        args.output.format(),
        &module,
        || vec![name_of(&module)],
        |look| {
            let id = if look.wide { &module.id } else { format::short_id(&module.id) };
            let size = format::bytes(module.bytes);
            format!("{}  {id}  {size}  {told}\n", format::printable(&name_of(&module)))
        },
    )
}

/// A file, or what the gateway makes of it and its libraries.
pub async fn push(
    name: &str,
    file: &Path,
    libraries: &[NamedFile],
    key: Option<&Path>,
    client: &Client,
    console: &Console,
) -> Result<PushedModule, Failure> {
    if !libraries.is_empty() {
        return push_linked(name, file, libraries, key, client, console).await;
    }
    let signature = key.map(|key| sign(name, file, key)).transpose()?;
    let upload = Upload::from_file(file).await?;
    let bar = progress::upload_bar(console, &file.to_string_lossy(), upload.len_bytes());
    let moved = bar.clone();
    let pushed = client
        .push_signed_module(Some(name), signature.as_deref(), &upload, move |sent, _| {
            moved.set_position(sent)
        })
        .await;
    bar.finish_and_clear();
    Ok(pushed?)
}

/// Linked here too, so that what cannot be is said before anything is sent, and so that a
/// developer signs the whole beside its parts.
async fn push_linked(
    name: &str,
    file: &Path,
    libraries: &[NamedFile],
    key: Option<&Path>,
    client: &Client,
    console: &Console,
) -> Result<PushedModule, Failure> {
    let inputs = Inputs::read(file, libraries)?;
    let linked = inputs.link().map_err(|error| link::failure(file, &error))?;
    let key = key.map(|key| KeyFile::read_as(key, Role::Developer).map_err(key::failure));
    let key = key.transpose()?;
    let sign = |name: &str, wasm: &[u8]| {
        let key = &key.as_ref()?.key;
        let sealed = ModuleStatement::new(name, ModuleId::of(wasm)).seal(key);
        Some(hex::encode(sealed))
    };
    let main = LinkPart {
        name: None,
        bytes: inputs.main.len() as u64,
        signature: sign(name, &inputs.main),
    };
    let named = inputs.libraries.iter().map(|(name, wasm)| LinkPart {
        name: Some(name.clone()),
        bytes: wasm.len() as u64,
        signature: sign(name, wasm),
    });
    let upload = LinkedUpload {
        name: name.to_owned(),
        signature: sign(name, &linked),
        inputs: std::iter::once(main).chain(named).collect(),
    };
    let mut modules: Vec<&[u8]> = vec![&inputs.main];
    modules.extend(inputs.libraries.iter().map(|(_, wasm)| wasm.as_slice()));
    let bytes = upload.inputs.iter().map(|input| input.bytes).sum();
    let bar = progress::upload_bar(console, &file.to_string_lossy(), bytes);
    let moved = bar.clone();
    let pushed =
        client.push_linked_module(&upload, &modules, move |sent, _| moved.set_position(sent)).await;
    bar.finish_and_clear();
    Ok(pushed?)
}

/// The developer's sealed statement that this module is his, under this name.
fn sign(name: &str, file: &Path, key: &Path) -> Result<Vec<u8>, Failure> {
    let key = KeyFile::read_as(key, Role::Developer).map_err(key::failure)?;
    let wasm = compile::read_module(file)?;
    Ok(ModuleStatement::new(name, ModuleId::of(&wasm)).seal(&key.key))
}

fn name_from(file: &Path) -> Result<String, Failure> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{} gives the module no name", file.display()))
            .or_try("give one with --name")
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::of_reading(path, &error))
}
