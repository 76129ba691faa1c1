//! Waiting for a state, never for a time.

use anyhow::bail;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until `look` gives something, and fails with what it saw last.
pub async fn wait_for<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let seen = match look().await? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() > deadline {
            bail!("{what} did not happen within {within:?}; the last state was: {seen}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Looks until `look` is true.
pub async fn wait_until(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    wait_for(what, within, async || {
        Ok(if look().await? { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await
}
