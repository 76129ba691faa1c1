//! Offers releases that wait to the signer in another process, for as long as it takes.
//!
//! Woken when a build was checked or a root document came. While the signer is away it
//! asks again, less and less often; what waits goes on by itself when it is back.

use crate::app::{App, SigningPass};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// Until it is aborted; ends at once where no other process signs.
pub async fn run(app: Arc<App>) {
    if app.remote_signer().is_none() {
        return;
    }
    let mut again = AGAIN_MIN;
    loop {
        let asking = app.clone();
        let pass = spawn_blocking(move || asking.ask_signer()).await;
        match pass {
            Ok(Ok(SigningPass::Done)) => {
                again = AGAIN_MIN;
                app.signing_wanted().await;
                continue;
            }
            Ok(Ok(SigningPass::Again)) => {}
            Ok(Err(error)) => tracing::error!(%error, "releases wait longer for the signer"),
            Err(error) => tracing::error!(%error, "asking the signer brought out a bug"),
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}
