//! Where an artifact came from: an in-toto statement for each, in a signed envelope.
//!
//! `docs/provenance.md` describes it. It is made when the artifact is, and signed by
//! the gateway's assign key: it is the gateway's word on what the gateway did. What
//! code devices run is decided by the release, which another key may sign.

use super::{App, AppError, State};
use crate::store::record::{ArtifactRecord, CompileRecord, ModuleRecord, ProvenanceRecord};
use crate::store::{Change, StoreError};
use module_package::{ArtifactId, BlobId};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// Names the meaning of the parameters; described in `docs/provenance.md`.
const BUILD_TYPE: &str = "urn:farrier:aot-compile:1";
const BUILDER: &str = "urn:farrier:gateway";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'a str,
    subject: [Value; 1],
    predicate_type: &'a str,
    predicate: Value,
}

impl App {
    /// The change that keeps the provenance of an artifact that was just made.
    pub(super) fn to_provenance(
        &self,
        state: &State,
        artifact: &ArtifactRecord,
        compile: &CompileRecord,
    ) -> Result<Option<Change>, StoreError> {
        let Some(module) = state.model.modules.get(&artifact.key.module) else { return Ok(None) };
        let finished_at_ms = compile.started_at_ms + compile.compile_ms;
        let statement = to_statement(module, artifact, compile, finished_at_ms);
        // Plain structs of text and numbers, which JSON can always hold.
        let statement = serde_json::to_vec(&statement).unwrap_or_default();
        let root = state.model.root.as_ref();
        let Some(envelope) = self.rooms.signing.seal_envelope(root, &statement) else {
            return Ok(None);
        };
        let envelope = self.put_blob(&serde_json::to_vec(&envelope).unwrap_or_default())?;
        let (artifact, module) = (artifact.artifact, module.module);
        Ok(Some(Change::Provenance(ProvenanceRecord { artifact, module, envelope })))
    }

    /// The envelope as JSON.
    pub fn provenance(&self, artifact: &str) -> Result<Vec<u8>, AppError> {
        let artifact: ArtifactId =
            artifact.parse().map_err(|e| AppError::bad_request(format!("{e}.")))?;
        let envelope: BlobId = {
            let state = self.state();
            let record = state.model.provenances.get(&artifact);
            record.map(|record| record.envelope).ok_or_else(|| {
                AppError::not_found(format!(
                    "There is no provenance of artifact {artifact}: it was not made here, or by a \
                     gateway from before there was any."
                ))
            })?
        };
        Ok(self.rooms.blobs.get(envelope)?)
    }
}

fn to_statement<'a>(
    module: &ModuleRecord,
    artifact: &ArtifactRecord,
    compile: &CompileRecord,
    finished_at_ms: u64,
) -> Statement<'a> {
    let key = &artifact.key;
    let mut external = json!({
        "target": key.target,
        "cpuFeatures": key.cpu_features,
        "boundsChecks": key.bounds_checks,
        "metering": key.policy.metering,
        "nanCanonicalization": key.policy.nan_canonicalization,
        "aotVersion": key.aot_version,
    });
    if let Some(developer) = module.developer {
        external["developerKey"] = json!(developer.to_string());
    }
    let name = format!("{}@{}", module.name, module.version);
    let mut dependencies = vec![json!({
        "name": format!("{name}.wasm"),
        "digest": { "sha256": key.module.to_string() },
    })];
    // What that one was linked of, by this gateway.
    for input in module.linked.iter().flatten() {
        let mut dependency = json!({
            "name": format!("{}.wasm", input.name.as_deref().unwrap_or(&module.name)),
            "digest": { "sha256": input.module.to_string() },
        });
        let link_name = input.name.as_deref().unwrap_or_default();
        dependency["annotations"] = match input.developer {
            Some(key) => json!({ "linkName": link_name, "developerKey": key.to_string() }),
            None => json!({ "linkName": link_name }),
        };
        dependencies.push(dependency);
    }
    Statement {
        kind: STATEMENT_TYPE,
        subject: [json!({
            "name": format!("{name}.{}.aot", key.target),
            "digest": { "sha256": artifact.artifact.to_string() },
        })],
        predicate_type: PREDICATE_TYPE,
        predicate: json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external,
                "internalParameters": { "threads": compile.threads },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "version": {
                        "farrier-gateway": env!("CARGO_PKG_VERSION"),
                        "compiler": key.compiler,
                    },
                },
                "metadata": {
                    "invocationId": format!("{}/{}", key.module, hex::encode(key.hash())),
                    "startedOn": to_rfc3339(compile.started_at_ms),
                    "finishedOn": to_rfc3339(finished_at_ms),
                },
            },
        }),
    }
}

/// `2026-11-27T13:42:57Z`.
fn to_rfc3339(time_ms: u64) -> String {
    let seconds = i64::try_from(time_ms / 1_000).unwrap_or(i64::MAX);
    // Out of range is a clock beyond the year 9999.
    let time = OffsetDateTime::from_unix_timestamp(seconds);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_statement_wants_them() {
        assert_eq!(to_rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(to_rfc3339(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(to_rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(to_rfc3339(1_795_786_977_000), "2026-11-27T13:42:57Z");
    }
}
