//! The queue of compile jobs and checks, and the workers that take them.
//!
//! The rules ask for jobs by [`Workshop`] and get results by `finish_*`; between
//! the two, a job is in a channel or in the hands of one worker. Compiling happens
//! in a process of its own (`worker_process`), checking in a sandboxed runtime
//! (`check`); whatever happens to those is a result.

mod job;
mod worker_process;

pub use job::run_worker;
pub use worker_process::{CompileLimits, CompileProcess};

use crate::app::{App, Workshop};
use crate::check::CheckBench;
use crate::store::record::KeyHash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

/// The rules' end of the queues. Bounded by the rules: a job is queued once.
pub struct Queues {
    compiles: mpsc::UnboundedSender<KeyHash>,
    checks: mpsc::UnboundedSender<KeyHash>,
    receivers: Mutex<Option<Receivers>>,
}

struct Receivers {
    compiles: mpsc::UnboundedReceiver<KeyHash>,
    checks: mpsc::UnboundedReceiver<KeyHash>,
}

impl Default for Queues {
    fn default() -> Self {
        let (compiles, compile_receiver) = mpsc::unbounded_channel();
        let (checks, check_receiver) = mpsc::unbounded_channel();
        let receivers = Receivers { compiles: compile_receiver, checks: check_receiver };
        Self { compiles, checks, receivers: Mutex::new(Some(receivers)) }
    }
}

impl Workshop for Queues {
    // A closed queue means that the gateway is ending; the next start asks again.
    fn compile(&self, job: KeyHash) {
        let _ = self.compiles.send(job);
    }

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
    let receivers = queues.receivers.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Receivers { compiles, checks }) = receivers else { return workers };
    let compiles = Arc::new(AsyncMutex::new(compiles));
    let checks = Arc::new(AsyncMutex::new(checks));
    let (process, bench) = (Arc::new(process), Arc::new(bench));
    for _ in 0..worker_count {
        let (app_, jobs, process) = (app.clone(), compiles.clone(), process.clone());
        workers.spawn(async move {
            while let Some(job) = next(&jobs).await {
                compile(&app_, job, &process).await;
            }
        });
        let (app_, jobs, bench) = (app.clone(), checks.clone(), bench.clone());
        workers.spawn(async move {
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

async fn compile(app: &Arc<App>, job: KeyHash, process: &CompileProcess) {
    let begin = app.clone();
    let input = match spawn_blocking(move || begin.begin_compile(job)).await {
        Ok(Ok(Some(input))) => input,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return app.abandon_compile(job, fault(&error)),
        Err(error) => return app.abandon_compile(job, fault(&error)),
    };
    let started = Instant::now();
    let result = process.compile(input).await;
    let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let finish = app.clone();
    match spawn_blocking(move || finish.finish_compile(job, result, compile_ms)).await {
        Ok(Ok(())) => {}
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
