//! The workers that take compile jobs and checks.
//!
//! The rules tell of jobs by [`Workshop`] and get results by `finish_*`. Which compile
//! job is next the rules say when a worker is free (`App::take_compile`). Compiling
//! happens in a process of its own (`worker_process`), checking in a sandboxed runtime
//! (`check`); whatever happens to those is a result.

mod probe;
mod worker_process;

pub use compile_worker::{
    CANNOT_CONFINE_STATUS, OPEN_FILES_MAX, WorkerError, WorkerLimits, run_worker,
};
pub use probe::{Tries, run_probe};
pub use worker_process::{CompileLimits, CompileProcess};

use crate::app::{App, Workshop};
use crate::check::CheckBench;
use crate::store::record::KeyHash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

/// The rules' end of the queues. Bounded by the rules: a job is queued once.
pub struct Queues {
    /// A permit for each compile job that the rules told of.
    compiles: Arc<Semaphore>,
    checks: mpsc::UnboundedSender<KeyHash>,
    check_receiver: Mutex<Option<mpsc::UnboundedReceiver<KeyHash>>>,
}

impl Default for Queues {
    fn default() -> Self {
        let (checks, check_receiver) = mpsc::unbounded_channel();
        let check_receiver = Mutex::new(Some(check_receiver));
        Self { compiles: Arc::new(Semaphore::new(0)), checks, check_receiver }
    }
}

impl Workshop for Queues {
    fn compile(&self) {
        self.compiles.add_permits(1);
    }

    // A closed queue means that the gateway is ending; the next start asks again.
    fn check(&self, job: KeyHash) {
        let _ = self.checks.send(job);
    }
}

/// Starts the workers. They end when the set is dropped, and their processes with
/// them.
pub fn start_workers(
    app: &Arc<App>,
    queues: &Queues,
    process: CompileProcess,
    bench: CheckBench,
    worker_count: usize,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let checks = queues.check_receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(checks) = checks else { return workers };
    let checks = Arc::new(AsyncMutex::new(checks));
    let (process, bench) = (Arc::new(process), Arc::new(bench));
    for _ in 0..worker_count {
        let (app_, jobs, process) = (app.clone(), queues.compiles.clone(), process.clone());
        let present = app.metrics().open_worker();
        workers.spawn(async move {
            let _present = present;
            while let Ok(permit) = jobs.acquire().await {
                permit.forget();
                compile_next(&app_, &process).await;
            }
        });
        let (app_, jobs, bench) = (app.clone(), checks.clone(), bench.clone());
        let present = app.metrics().open_worker();
        workers.spawn(async move {
            let _present = present;
            while let Some(job) = next(&jobs).await {
                check(&app_, job, &bench).await;
            }
        });
    }
    workers
}

async fn next(jobs: &AsyncMutex<mpsc::UnboundedReceiver<KeyHash>>) -> Option<KeyHash> {
    jobs.lock().await.recv().await
}

/// Nothing, if what a permit was for is no longer wanted.
async fn compile_next(app: &Arc<App>, process: &CompileProcess) {
    let taker = app.clone();
    let (job, input) = match spawn_blocking(move || taker.take_compile()).await {
        Ok(Some((job, Ok(input)))) => (job, input),
        Ok(Some((job, Err(error)))) => return app.abandon_compile(job, fault(&error)),
        Ok(None) => return,
        Err(error) => return drop(fault(&error)),
    };
    let teller = app.clone();
    // A short wait for the rules, four times a second at most.
    let on_progress = move |done, total| teller.note_compile_progress(job, done, total);
    let outcome = process.compile(input, on_progress).await;
    let finish = app.clone();
    match spawn_blocking(move || finish.finish_compile(job, outcome)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_full() => app.defer_compile(job),
        Ok(Err(error)) => app.abandon_compile(job, fault(&error)),
        Err(error) => app.abandon_compile(job, fault(&error)),
    }
}

async fn check(app: &Arc<App>, job: KeyHash, bench: &Arc<CheckBench>) {
    let begin = app.clone();
    let input = match spawn_blocking(move || begin.begin_check(job)).await {
        Ok(Ok(Some(input))) => input,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return app.abandon_check(job, fault(&error)),
        Err(error) => return app.abandon_check(job, fault(&error)),
    };
    let bench = bench.clone();
    let finish = app.clone();
    let done = spawn_blocking(move || {
        let result = bench.check(input).map_err(|refusal| refusal.to_string());
        finish.finish_check(job, result)
    });
    match done.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_full() => app.defer_check(job),
        Ok(Err(error)) => app.abandon_check(job, fault(&error)),
        Err(error) => app.abandon_check(job, fault(&error)),
    }
}

/// The text of a fault of ours, with its causes; the log has it too.
fn fault(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = text, "a job failed by a fault of the gateway");
    format!("the gateway has a fault: {text}; deploy again after it is mended")
}
