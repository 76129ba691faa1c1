//! Documents for tests.

use device_protocol::{BuildReport, FileBuild};
use module_package::{
    ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, ModuleId, Release,
    ReleaseLimits, ReleaseTarget, RuntimeProfile,
};

/// A release of these artifact bytes that fits [`profile`].
pub fn release_of(app: &str, app_version: u32, artifact: &[u8]) -> Release {
    Release {
        version: DOCUMENT_VERSION,
        app: app.into(),
        app_version,
        module: ModuleId::of(artifact),
        artifact: ArtifactId::of(artifact),
        artifact_bytes: artifact.len() as u64,
        block_bytes: BLOCK_BYTES,
        block_hashes: artifact.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect(),
        target: ReleaseTarget {
            id: "x86_64-linux".into(),
            abi: "sysv".into(),
            cpu_features: vec![],
            aot_version: 6,
            bounds_checks: "software".into(),
        },
        policy: CompilePolicy { metering: "none".into(), nan_canonicalization: "none".into() },
        imports: vec!["farrier.log".into()],
        limits: ReleaseLimits {
            memory_bytes_max: 1 << 20,
            stack_bytes: 1 << 16,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..ReleaseLimits::default()
        },
        known_answers: vec![],
        compiler: "test".into(),
        developer: None,
    }
}

pub fn profile() -> RuntimeProfile {
    RuntimeProfile {
        target: "x86_64-linux".into(),
        bounds_checks: "software".into(),
        aot_version: 6,
        cpu_features: vec![],
        imports: vec!["farrier.log".into()],
    }
}

pub fn builds() -> BuildReport {
    let file = |version: &str| FileBuild { version: version.into(), sha256_start: Some([7; 8]) };
    BuildReport {
        agent: file("farrier-agent 0.1.0"),
        runtime: file("farrier-runtime 0.1.0"),
        wamr_version: "2.4.3".into(),
        aot_version: 6,
        target: "x86_64-linux".into(),
        bounds_checks: "software".into(),
    }
}
