//! `farrier logs`: what modules and agents said.

use super::tail::{self, Tail, is_wanted};
use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{clock, date_time, printable};
use crate::since::{self, parse_since};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Event, List, LogLine};
use gateway_client::{Client, ClientError, LogQuery, Since};

#[derive(Debug, Args)]
#[command(after_help = "\
Times are the gateway's, in UTC. With -f, -o json writes one line of the log a line.

Examples:
  farrier logs -f
  farrier logs --device pi --app filter --limit 20
  farrier logs --since 10m
  farrier logs --since 2026-03-01T14:00:00Z -o jsonl")]
pub struct LogsArgs {
    /// Only this device, by name or id
    #[arg(short, long, add = ArgValueCompleter::new(complete::devices))]
    device: Option<String>,
    /// Only this application
    #[arg(short, long, add = ArgValueCompleter::new(complete::apps))]
    app: Option<String>,
    /// Only what came in the last 30s, 10m, 2h or 3d, or since a time such as
    /// 2026-03-01T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Since>,
    /// The newest lines only [default: 200, with --since 5000, which is the most]
    #[arg(short = 'n', long, value_name = "LINES")]
    limit: Option<u32>,
    /// Go on with new lines, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: LogsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    let LogsArgs { device, app, since, limit, follow, .. } = args;
    let query = LogQuery { device, app, since, limit: since::limit(since, limit) };
    tail::show(&query, format, follow, client, console).await
}

impl Tail for LogQuery {
    type Line = LogLine;

    async fn read(&self, client: &Client) -> Result<List<LogLine>, ClientError> {
        client.logs(self).await
    }

    fn line_of(&self, event: Event) -> Option<LogLine> {
        let Event::Log { line } = event else { return None };
        let is_of_device = is_wanted(&self.device, &[&line.device, &line.device_name]);
        let is_of_app = is_wanted(&self.app, &[&line.app]);
        (is_of_device && is_of_app && since::is_reached(self.since, line.time_ms)).then_some(line)
    }

    fn in_words(line: &LogLine, is_wide: bool) -> String {
        let time = if is_wide { date_time(line.time_ms) } else { clock(line.time_ms) };
        let app = if line.app.is_empty() { "(agent)" } else { &line.app };
        let text = format!("{time} {} {app} {}: {}", line.device_name, line.level, line.text);
        printable(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(app: &str, text: &str) -> LogLine {
        LogLine {
            device: "0a1b".to_owned(),
            device_name: "pi".to_owned(),
            app: app.to_owned(),
            level: "info".to_owned(),
            text: text.to_owned(),
            time_ms: crate::sample::NOW_MS,
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(
            LogQuery::in_words(&line("filter", "hot\nand \x1b[31mred"), false),
            "14:03:07.250 pi filter info: hot\\nand \\u{1b}[31mred"
        );
        assert_eq!(
            LogQuery::in_words(&line("", "started"), true),
            "2026-03-01T14:03:07.250Z pi (agent) info: started"
        );
    }

    #[test]
    fn events_pass_the_same_filter_as_the_list() {
        let query = |device: &str, app: &str| LogQuery {
            device: Some(device.to_owned()),
            app: Some(app.to_owned()),
            ..LogQuery::default()
        };
        let event = || Event::Log { line: line("filter", "x") };
        assert!(query("pi", "filter").line_of(event()).is_some());
        assert!(query("0a1b", "filter").line_of(event()).is_some());
        assert!(query("pi", "other").line_of(event()).is_none());
        assert!(query("gate", "filter").line_of(event()).is_none());
        assert!(LogQuery::default().line_of(Event::Resync).is_none());
    }
}
