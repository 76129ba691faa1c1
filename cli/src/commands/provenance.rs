//! `farrier provenance`: where an artifact came from.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use crate::grid::facts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use gateway_client::Client;
use serde_json::Value;

#[derive(Debug, Args)]
#[command(after_help = "\
With --json the signed envelopes are printed as the gateway has them, one a line, for
tools that verify DSSE. docs/provenance.md describes what they hold.

Examples:
  farrier provenance filter@2
  farrier provenance 9f86d081884c7d65… --json > filter.intoto.jsonl")]
pub struct ProvenanceArgs {
    /// An artifact's id; or a module: NAME@VERSION, NAME for its newest, or an id
    #[arg(value_name = "ARTIFACT|MODULE")]
    reference: String,
    /// Print the signed envelopes
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &ProvenanceArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    for (index, artifact) in find_artifacts(&args.reference, client).await?.iter().enumerate() {
        let envelope = client.provenance(artifact).await?;
        if args.json {
            console.json_line(&envelope)?;
            continue;
        }
        let between = if index == 0 { "" } else { "\n" };
        console.text(&format!("{between}{}", view(&envelope)?))?;
    }
    Ok(())
}

/// A module stands for its artifacts.
async fn find_artifacts(reference: &str, client: &Client) -> Result<Vec<String>, Failure> {
    let module = match client.module(reference).await {
        Ok(module) => module,
        Err(error) if error.is_not_found() => return Ok(vec![reference.to_owned()]),
        Err(error) => return Err(error.into()),
    };
    let artifacts: Vec<String> = module.artifacts.into_iter().filter_map(|a| a.artifact).collect();
    if artifacts.is_empty() {
        let message = format!("{}@{} is not compiled yet", module.name, module.version);
        return Err(Failure::new(Exit::NotFound, message)
            .or_try(format!("farrier deploy {} --all", module.name)));
    }
    Ok(artifacts)
}

fn view(envelope: &Value) -> Result<String, Failure> {
    let failure = || Failure::new(Exit::Failed, "the provenance cannot be read");
    let payload = envelope["payload"].as_str().ok_or_else(failure)?;
    let payload = STANDARD.decode(payload).map_err(|e| failure().because(&e))?;
    let statement: Value = serde_json::from_slice(&payload).map_err(|e| failure().because(&e))?;
    let definition = &statement["predicate"]["buildDefinition"];
    let run = &statement["predicate"]["runDetails"];
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let parameters = definition["externalParameters"].as_object().cloned().unwrap_or_default();
    let parameters = parameters.iter().map(|(name, value)| format!("{name} {}", text(value)));
    let signatures = envelope["signatures"].as_array().cloned().unwrap_or_default();
    let signers = signatures.iter().map(|signature| text(&signature["keyid"]));
    let versions = &run["builder"]["version"];
    Ok(facts(&[
        ("artifact", text(&statement["subject"][0]["digest"]["sha256"])),
        ("as", text(&statement["subject"][0]["name"])),
        ("from module", text(&definition["resolvedDependencies"][0]["digest"]["sha256"])),
        ("compiler", text(&versions["compiler"])),
        ("gateway", text(&versions["farrier-gateway"])),
        ("with", parameters.collect::<Vec<_>>().join(", ")),
        ("finished", text(&run["metadata"]["finishedOn"])),
        ("signed by key", printable(&signers.collect::<Vec<_>>().join(", "))),
    ]))
}
