//! Measures one artifact through our wrapper and through bare WAMR, in turns.
//!
//! ```text
//! device-probe times OURS BARE ROUNDS
//! device-probe density ARTIFACT ours|bare BYTES
//! ```
//!
//! Prints one line of JSON. The artifacts are those of `tests/device-bench/src/guest.wat`.

mod density;
mod times;

use anyhow::{Context, bail};

/// WAMR touches all of it. The stack of guests on devices, and room for the host.
const STACK_BYTES: usize = 384 * 1024;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["times", ours, bare, rounds] => {
            let (ours, bare, rounds) = (read(ours)?, read(bare)?, rounds.parse()?);
            on_runtime(move |runtime| times::measure(runtime, &ours, &bare, rounds))
        }
        ["density", artifact, which, bytes] => {
            let (artifact, bytes) = (read(artifact)?, bytes.parse()?);
            match *which {
                "ours" => on_runtime(move |runtime| density::ours(runtime, &artifact, bytes)),
                "bare" => on_runtime(move |runtime| density::bare(runtime, &artifact, bytes)),
                other => bail!("{other} is neither ours nor bare"),
            }
        }
        _ => bail!("usage: device-probe times OURS BARE ROUNDS | density ARTIFACT ours|bare BYTES"),
    }
}

fn read(path: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {path}"))
}

fn on_runtime<T: serde::Serialize + Send + 'static>(
    body: impl FnOnce(&wamr::Runtime) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<()> {
    let thread = wamr::Runtime::spawn("probe", STACK_BYTES, body)?;
    let result = thread.join().map_err(|_| anyhow::anyhow!("the probe panicked"))???;
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}
