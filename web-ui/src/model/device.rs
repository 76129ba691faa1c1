//! Devices, and what they report.

use crate::json::json_struct;

json_struct! {
    pub struct Device {
        id: String,
        name: String,
        target: String,
        target_name: String,
        bounds_checks: String,
        cpu_features: Vec<String>,
        agent: String,
        runtime: String,
        emulated: bool,
        sensors: Vec<String>,
        scheduling: Option<Allowance>,
        enrolled_at_ms: u64,
        /// `new`, `online` or `offline`.
        connection: String,
        last_seen_ms: Option<u64>,
        generation_wanted: u64,
        generation: u64,
        uptime_ms: u64,
        cpu_percent: Option<f64>,
        memory_total_bytes: u64,
        memory_available_bytes: u64,
        agent_rss_bytes: u64,
        store_bytes: u64,
        revoked_at_ms: Option<u64>,
        fingerprint: Option<String>,
        undeployable: Option<String>,
        refused_messages: Option<u64>,
        refusal: Option<Refusal>,
        apps: Vec<AppStatus>,
        alarms: Vec<Alarm>,
        reports_refused: Option<u64>,
        root_version: Option<u32>,
        clock: Option<String>,
        system: Option<SystemStatus>,
        builds: Option<BuildStatus>,
        capabilities: Option<DeviceCapabilities>,
    }

    /// What is known of a device that was only counted.
    pub struct DeviceName {
        id: String,
        name: String,
    }

    pub struct DeviceSensors {
        sensors: Vec<String>,
    }

    /// What its owner lets modules ask for.
    pub struct Allowance {
        policies: Vec<String>,
        utilization_percent_max: u32,
        priority_max: u32,
        cpus: Vec<u32>,
    }

    pub struct DeviceCapabilities {
        actuators: Vec<String>,
        accelerators: Vec<String>,
        labels: Vec<(String, String)>,
        unavailable: Vec<(String, String)>,
    }

    pub struct SystemStatus {
        /// Over 1, 5 and 15 minutes.
        load: Vec<f64>,
        cpus: Option<u32>,
        temperature_c: Option<f64>,
        storage_total_bytes: Option<u64>,
        storage_free_bytes: Option<u64>,
        uptime_s: Option<u64>,
    }

    pub struct BuildStatus {
        agent: String,
        agent_sha256_start: Option<String>,
        runtime: String,
        runtime_sha256_start: Option<String>,
        wamr_version: String,
        aot_version: u32,
    }

    pub struct Alarm {
        kind: String,
        text: String,
    }

    pub struct Refusal {
        code: u32,
        title: String,
        advice: String,
        detail: String,
    }

    /// One application on one device, as the device reported it.
    pub struct AppStatus {
        device: String,
        device_name: String,
        target: String,
        app: String,
        version: u32,
        module: Option<String>,
        artifact: Option<String>,
        artifact_bytes: Option<u64>,
        compile_ms: Option<u64>,
        /// As `running` or `stopped: time limit`.
        state: String,
        refusal: Option<Refusal>,
        detail: String,
        cpu_percent: Option<f64>,
        cpu_us: u64,
        memory_bytes: u64,
        memory_peak_bytes: u64,
        worker_rss_bytes: u64,
        calls: u64,
        traps: u64,
        restarts: u64,
        published: u64,
        publishes_dropped: u64,
        log_lines: u64,
        log_lines_dropped: u64,
        checks_passed: u64,
        checks_failed: u64,
        gas_used: Option<u64>,
        host_calls: Vec<HostCalls>,
        metrics: Vec<Metric>,
        storage: Option<Storage>,
        inboxes: Vec<Inbox>,
        outlets: Vec<Outlet>,
        emulated: bool,
        fallback: bool,
        report_boot_id: String,
        report_counter: u64,
        reported_at_ms: u64,
        limit_hits: Vec<LimitHit>,
        throttled: bool,
        /// `None` without a worker, and from older agents.
        confinement: Option<Vec<String>>,
        trap_kinds: Vec<TrapCount>,
        overhead_bytes: Option<u64>,
        ticks: Option<Ticks>,
        last_trap: Option<Trap>,
        /// What the kernel says that its thread has.
        scheduling: Option<InForce>,
        company: Option<Company>,
    }

    pub struct HostCalls {
        import: String,
        calls: u64,
        bytes: u64,
        time_ns: u64,
    }

    pub struct Metric {
        name: String,
        value: f64,
    }

    pub struct Storage {
        used_bytes: u64,
        quota_bytes: u64,
    }

    /// A channel that a module subscribes to.
    pub struct Inbox {
        channel: String,
        depth: u32,
        received: u64,
        dropped: u64,
    }

    /// A channel that a module publishes on.
    pub struct Outlet {
        channel: String,
        depth: u32,
        published: u64,
        dropped: u64,
    }

    pub struct LimitHit {
        limit: String,
        hits: u64,
    }

    pub struct TrapCount {
        kind: String,
        count: u64,
    }

    pub struct Ticks {
        period_us: u64,
        deadline_us: u64,
        ticks: u64,
        missed: u64,
        skipped: u64,
        overran: u64,
        response_max_us: u64,
        last: Option<TickWindow>,
    }

    /// Since the report before.
    pub struct TickWindow {
        ticks: u32,
        missed: u32,
        start: Spread,
        response: Spread,
        jitter_us: u64,
    }

    pub struct Spread {
        mean_us: u64,
        p99_us: u64,
        max_us: u64,
    }

    pub struct Trap {
        export: String,
        kind: Option<String>,
        detail: String,
        place: Option<TrapPlace>,
    }

    pub struct TrapPlace {
        function: u32,
        name: Option<String>,
        offset: Option<u64>,
    }

    pub struct InForce {
        policy: Option<String>,
        priority: Option<u32>,
        runtime_us: Option<u64>,
        deadline_us: Option<u64>,
        period_us: Option<u64>,
        cpus: Vec<u32>,
        cpu_weight: Option<u32>,
    }

    /// A worker's process that several modules share.
    pub struct Company {
        modules: u32,
        displaced: u32,
    }

    /// What a device's charts are drawn from, oldest first.
    pub struct History {
        device: Vec<DeviceSample>,
        apps: Vec<AppSample>,
    }

    pub struct DeviceSample {
        device: String,
        time_ms: u64,
        report_counter: u64,
        cpu_percent: Option<f64>,
        memory_used_bytes: u64,
    }

    pub struct AppSample {
        app: String,
        time_ms: u64,
        report_counter: u64,
        cpu_percent: Option<f64>,
        memory_bytes: u64,
    }

    /// Series over the same buckets; bucket `n` is from `from_ms + n * step_ms`.
    pub struct HistoryRange {
        from_ms: u64,
        step_ms: u64,
        series: Vec<HistorySeries>,
    }

    /// Empty where nothing was measured, in all columns alike.
    pub struct HistorySeries {
        metric: String,
        /// None for a device or the fleet as a whole.
        app: Option<String>,
        min: Vec<Option<f64>>,
        avg: Vec<Option<f64>>,
        max: Vec<Option<f64>>,
        p95: Vec<Option<f64>>,
    }

    pub struct LogLine {
        device: String,
        /// Empty for the agent itself.
        app: String,
        level: String,
        text: String,
        time_ms: u64,
    }
}
