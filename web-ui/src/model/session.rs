//! Who is logged in, to what.

use crate::json::json_struct;

json_struct! {
    pub struct Session {
        gateway: String,
        compiler: String,
        targets: Vec<String>,
        upload_bytes_max: u64,
        storage_full: bool,
        trust: TrustSummary,
    }

    pub struct TrustSummary {
        root_id: String,
        /// 0 while the gateway waits for its first root document.
        root_version: u32,
        epoch: u32,
        threshold: u32,
        root_key_count: u32,
        release_key_online: bool,
        release_key_place: Option<String>,
        signer_recompiles: bool,
    }

    pub struct Overview {
        devices_online: u32,
        devices_offline: u32,
        devices_new: u32,
        modules: u32,
        deployments_in_progress: u32,
        deployments_failed: u32,
        apps_running: u32,
        apps_not_running: u32,
        app_cpu_percent: f64,
        app_memory_bytes: u64,
        artifacts_ready: u32,
        artifacts_in_work: u32,
        artifacts_refused: u32,
    }

    pub struct Problem {
        title: String,
        detail: String,
        code: String,
        request_id: Option<String>,
    }

    /// Of the audit log.
    pub struct AuditPage {
        end: String,
        records: Vec<AuditRecord>,
    }

    pub struct AuditRecord {
        seq: u64,
        time_ms: u64,
        actor: String,
        actions: Vec<AuditAction>,
    }

    pub struct AuditAction {
        what: String,
        subject: String,
    }
}
