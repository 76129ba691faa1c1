//! `farrier published`: the values that modules sent on their channels.

use super::tail::{self, Tail, is_wanted};
use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{clock, date_time, payload, printable};
use crate::since::{self, parse_since};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Event, List, Published};
use gateway_client::{Client, ClientError, PublishedQuery, Since};

#[derive(Debug, Args)]
#[command(after_help = "\
A payload is shown as text if it is some, else as hexadecimal bytes; -o json always
has the bytes. Times are the gateway's, in UTC.

Examples:
  farrier published -f
  farrier published --device pi --app filter --channel average --limit 10
  farrier published --since 10m")]
pub struct PublishedArgs {
    /// Only from this device, by name or id
    #[arg(short, long, add = ArgValueCompleter::new(complete::devices))]
    device: Option<String>,
    /// Only of this application
    #[arg(short, long, add = ArgValueCompleter::new(complete::apps))]
    app: Option<String>,
    /// Only on this channel
    #[arg(short, long)]
    channel: Option<String>,
    /// Only what came in the last 30s, 10m, 2h or 3d, or since a time such as
    /// 2026-03-01T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Since>,
    /// The newest values only [default: 200, with --since 5000, which is the most]
    #[arg(short = 'n', long, value_name = "VALUES")]
    limit: Option<u32>,
    /// Go on with new values, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: PublishedArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    let PublishedArgs { device, app, channel, since, limit, follow, .. } = args;
    let limit = since::limit(since, limit);
    let query = PublishedQuery { device, app, channel, since, limit };
    tail::show(&query, format, follow, client, console).await
}

impl Tail for PublishedQuery {
    type Line = Published;

    async fn read(&self, client: &Client) -> Result<List<Published>, ClientError> {
        client.published(self).await
    }

    fn line_of(&self, event: Event) -> Option<Published> {
        let Event::Published { published: value } = event else { return None };
        let is_of_device = is_wanted(&self.device, &[&value.device, &value.device_name]);
        let is_of_app = is_wanted(&self.app, &[&value.app]);
        let is_on_channel = is_wanted(&self.channel, &[&value.channel]);
        let is_late_enough = since::is_reached(self.since, value.time_ms);
        (is_of_device && is_of_app && is_on_channel && is_late_enough).then_some(value)
    }

    fn in_words(value: &Published, is_wide: bool) -> String {
        let time = if is_wide { date_time(value.time_ms) } else { clock(value.time_ms) };
        let source = format!("{} {} {}", value.device_name, value.app, value.channel);
        format!("{time} {} #{}: {}", printable(&source), value.seq, payload(&value.payload))
    }
}
