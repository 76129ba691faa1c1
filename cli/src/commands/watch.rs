//! `--watch` of the commands that show a list: it is read and drawn again when an event
//! says that it has changed.

use crate::args::Format;
use crate::commands::tail::telling;
use crate::console::Console;
use crate::failure::Failure;
use crate::grid::Look;
use futures_util::StreamExt;
use gateway_api::{Event, List};
use gateway_client::{Client, ClientError};
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;

/// Devices report each on its own; one drawing takes up what came meanwhile.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

/// To the first place of the screen, and everything below it away.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[J";

/// One list: what its events are, and how it is drawn.
pub struct Watched<T> {
    pub concerns: fn(&Event) -> bool,
    pub name: fn(&T) -> String,
    pub view: fn(&[T], &Look) -> String,
}

impl<T: Serialize> Watched<T> {
    pub fn show(&self, format: Format, list: &List<T>, console: &Console) -> Result<(), Failure> {
        let names = || list.items.iter().map(self.name).collect();
        console.show(format, list, names, |look| (self.view)(&list.items, look))
    }

    /// Until Ctrl-C.
    pub async fn watch(
        &self,
        format: Format,
        client: &Client,
        console: &Console,
        read: impl AsyncFn() -> Result<List<T>, ClientError>,
    ) -> Result<(), Failure> {
        let is_screen = format.is_for_people() && std::io::stdout().is_terminal();
        // Before the list is read, so that no change after it is missed.
        let mut events = client.events_with(telling(console)).await?.ready_chunks(1024);
        loop {
            match read().await {
                Ok(list) if is_screen => {
                    let drawn = (self.view)(&list.items, &console.look(format));
                    console.text(&format!("{CLEAR_SCREEN}{drawn}"))?;
                }
                Ok(list) if format.is_document() => console.next_document(format, &list)?,
                Ok(list) => self.show(format, &list, console)?,
                Err(error) if error.is_transient() => console.note(&error),
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(REDRAW_INTERVAL).await;
            let mut has_changed = false;
            while !has_changed {
                let Some(chunk) = events.next().await else { return Ok(()) };
                for event in chunk {
                    has_changed |= (self.concerns)(&event?);
                }
            }
        }
    }
}
