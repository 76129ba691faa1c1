//! What `logs` and `published` share: a list, then the events behind it.

use crate::args::Format;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::follow::Follow;
use futures_util::StreamExt;
use gateway_api::{Event, List};
use gateway_client::{Client, ClientError, EventOptions};
use serde::Serialize;
use std::sync::Arc;

/// One kind of line, and which of them are wanted.
pub trait Tail {
    type Line: Clone + PartialEq + Serialize;

    async fn read(&self, client: &Client) -> Result<List<Self::Line>, ClientError>;

    /// The event's line, if it is one and wanted.
    fn line_of(&self, event: Event) -> Option<Self::Line>;

    fn in_words(line: &Self::Line, is_wide: bool) -> String;
}

pub async fn show<T: Tail>(
    tail: &T,
    format: Format,
    follow: bool,
    client: &Client,
    console: &Console,
) -> Result<(), Failure> {
    if format == Format::Name {
        return Err(Failure::new(Exit::Usage, "these lines have no names")
            .or_try("-o table, wide, json or yaml"));
    }
    if follow {
        return follow_lines(tail, format, client, console).await;
    }
    let lines = tail.read(client).await.map_err(not_there)?;
    if format.is_document() {
        return console.document(format, &lines);
    }
    lines.items.iter().try_for_each(|line| show_line::<T>(line, format, console))
}

async fn follow_lines<T: Tail>(
    tail: &T,
    format: Format,
    client: &Client,
    console: &Console,
) -> Result<(), Failure> {
    let mut events = client.events_with(telling(console)).await?;
    let mut follow = Follow::new();
    let lines = tail.read(client).await.map_err(not_there)?;
    for line in follow.take_list(lines.items) {
        show_line::<T>(&line, format, console)?;
    }
    while let Some(event) = events.next().await {
        match event? {
            Event::Resync => {
                for line in follow.take_list(tail.read(client).await?.items) {
                    show_line::<T>(&line, format, console)?;
                }
            }
            event => {
                if let Some(line) = tail.line_of(event)
                    && follow.is_new(&line)
                {
                    show_line::<T>(&line, format, console)?;
                }
            }
        }
    }
    Ok(())
}

/// Only a device can be asked for that is none.
fn not_there(error: ClientError) -> Failure {
    Failure::from(error).if_not_found_try("farrier device ls")
}

fn show_line<T: Tail>(line: &T::Line, format: Format, console: &Console) -> Result<(), Failure> {
    if format.is_document() {
        return console.next_document(format, line);
    }
    console.line(&T::in_words(line, format == Format::Wide))
}

/// Events whose interruptions are told as notes.
pub fn telling(console: &Console) -> EventOptions {
    let console = *console;
    EventOptions {
        on_interruption: Some(Arc::new(move |error, delay| {
            console.note(format!("{error}; trying again in {:.1} s", delay.as_secs_f32()));
        })),
        ..EventOptions::default()
    }
}

/// Whether a filter by name or id lets this through.
pub fn is_wanted(filter: &Option<String>, values: &[&str]) -> bool {
    filter.as_deref().is_none_or(|wanted| values.contains(&wanted))
}
