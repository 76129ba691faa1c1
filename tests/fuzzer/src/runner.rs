//! A fuzzer in one file: change an input, check it, keep it if its outcome is new.
//!
//! All chance comes from the seed, so a run with the same seed tries the same inputs
//! in the same order, as far as its time goes. An input that panics is written to a
//! file. So is the one that is being checked, before it is: a crash that takes the
//! process along (a full stack, no more memory) leaves it behind, and a watchdog
//! ends the process with it when one input takes too long.

use crate::mutate::{INPUT_BYTES_MAX, mutate};
use crate::random::Random;
use crate::{Outcome, Target};
use anyhow::Context;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest that one input may take, on a busy machine with an unoptimised build. A
/// worker process gets far less for a module of this size.
const INPUT_TIME_MAX: Duration = Duration::from_secs(60);

/// Inputs that are kept at most; beyond, each new one takes an old one's place.
const CORPUS_MAX: usize = 4_096;

pub struct Limits {
    pub time: Duration,
    pub seed: u64,
    /// Where findings are written; made if it is not there.
    pub findings: PathBuf,
}

#[derive(Debug)]
pub struct Ran {
    pub executions: u64,
    pub outcomes: usize,
    pub slowest: Duration,
}

/// An input for which the function panicked.
#[derive(Debug, thiserror::Error)]
#[error("{target} panicked ({message}) on an input that is now in {}; seed {seed}. Let a test run it again from now on (fuzz/README.md says where), with the fix", input.display())]
pub struct Finding {
    pub target: &'static str,
    pub message: String,
    pub input: PathBuf,
    pub seed: u64,
}

/// Fuzzes one target until its time is over or something is found.
pub fn run(target: Target, limits: &Limits) -> anyhow::Result<Ran> {
    std::fs::create_dir_all(&limits.findings)
        .with_context(|| format!("make {}", limits.findings.display()))?;
    let current_path =
        limits.findings.join(format!("{}-running-{}", target.name, std::process::id()));
    let current = File::create(&current_path);
    let current = current.with_context(|| format!("write {}", current_path.display()))?;
    let beat = watch(target.name, current_path.clone());
    let mut fuzzer = Fuzzer {
        target,
        limits,
        current,
        current_path: &current_path,
        beat,
        corpus: Vec::new(),
        seen: HashSet::new(),
        ran: Ran { executions: 0, outcomes: 0, slowest: Duration::ZERO },
    };
    let outcome = fuzzer.run();
    fuzzer.ran.outcomes = fuzzer.seen.len();
    let ran = fuzzer.ran;
    // What is left there after this line was left by a crash.
    let _ = std::fs::remove_file(&current_path);
    outcome.map(|()| ran)
}

struct Fuzzer<'l> {
    target: Target,
    limits: &'l Limits,
    /// The input that is being checked.
    current: File,
    current_path: &'l Path,
    beat: Sender<()>,
    corpus: Vec<Vec<u8>>,
    seen: HashSet<Outcome>,
    ran: Ran,
}

impl Fuzzer<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut random = Random::new(self.limits.seed);
        self.check(Vec::new(), &mut random)?;
        for seed in (self.target.seeds)() {
            self.check(seed, &mut random)?;
        }
        while started.elapsed() < self.limits.time {
            let input = self.next_input(&mut random);
            self.check(input, &mut random)?;
        }
        Ok(())
    }

    /// Mostly something like what was new before, sometimes nothing like it.
    fn next_input(&self, random: &mut Random) -> Vec<u8> {
        if self.corpus.is_empty() || random.below(8) == 0 {
            let length_max = 1 << random.below(13);
            let length = random.below(length_max);
            return random.bytes(length);
        }
        let input = self.corpus[random.below(self.corpus.len())].clone();
        let other = &self.corpus[random.below(self.corpus.len())];
        mutate(random, input, other)
    }

    fn check(&mut self, input: Vec<u8>, random: &mut Random) -> anyhow::Result<()> {
        self.leave(&input).with_context(|| format!("write {}", self.current_path.display()))?;
        let _ = self.beat.send(());
        let started = Instant::now();
        // The functions keep nothing between two calls.
        let checked = catch_unwind(AssertUnwindSafe(|| (self.target.check)(&input)));
        self.ran.executions += 1;
        self.ran.slowest = self.ran.slowest.max(started.elapsed());
        match checked {
            Ok(outcome) => {
                if self.seen.insert(outcome) && input.len() <= INPUT_BYTES_MAX {
                    self.keep(input, random);
                }
                Ok(())
            }
            Err(panic) => Err(self.report(&input, message_of(&*panic))?.into()),
        }
    }

    /// The file stays open: closing one that was cut makes a file system write it out.
    fn leave(&self, input: &[u8]) -> std::io::Result<()> {
        self.current.write_all_at(input, 0)?;
        self.current.set_len(input.len() as u64)
    }

    fn keep(&mut self, input: Vec<u8>, random: &mut Random) {
        match self.corpus.len() < CORPUS_MAX {
            true => self.corpus.push(input),
            false => self.corpus[random.below(CORPUS_MAX)] = input,
        }
    }

    fn report(&self, input: &[u8], message: String) -> anyhow::Result<Finding> {
        let name = format!("{}-{:016x}", self.target.name, hash(input));
        let path = self.limits.findings.join(name);
        std::fs::write(&path, input).with_context(|| format!("write {}", path.display()))?;
        Ok(Finding { target: self.target.name, message, input: path, seed: self.limits.seed })
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// FNV-1a, only for a file's name.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Ends the process if no beat came for too long. It ends with its channel.
fn watch(target: &'static str, current: PathBuf) -> Sender<()> {
    let (beat, beats) = channel();
    std::thread::spawn(move || {
        loop {
            match beats.recv_timeout(INPUT_TIME_MAX) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = INPUT_TIME_MAX.as_secs();
                    eprintln!("{target} takes more than {seconds} s for {}", current.display());
                    std::process::abort();
                }
            }
        }
    });
    beat
}
