//! `farrier release list`: what waits for a signature, and why.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, plain};
use clap::Args;
use gateway_api::WaitingRelease;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier release list
  farrier release list -o wide")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ListArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let waiting = client.waiting_releases().await?;
    if waiting.items.is_empty() {
        console.note("no release waits for its signature");
    }
    console.show(
        args.output.format(),
        &waiting,
        || waiting.items.iter().map(|release| release.id.clone()).collect(),
        |look| view(&waiting.items, look),
    )
}

fn view(waiting: &[WaitingRelease], look: &Look) -> String {
    if waiting.is_empty() {
        return String::new();
    }
    let mut columns =
        vec![("MODULE", Align::Left), ("TARGET", Align::Left), ("SINCE", Align::Left)];
    if look.wide {
        columns.extend([
            ("BOUNDS", Align::Left),
            ("ARTIFACT", Align::Left),
            ("SIZE", Align::Right),
        ]);
    }
    columns.push(("NOTE", Align::Left));
    let mut grid = Grid::new(look, &columns);
    for release in waiting {
        let mut cells = vec![
            plain(format!("{}@{}", release.app, release.app_version)),
            plain(&release.target),
            plain(format::ago(look.now_ms, release.since_ms)),
        ];
        if look.wide {
            cells.extend([
                plain(&release.bounds_checks),
                plain(&release.artifact),
                plain(format::bytes(release.artifact_bytes)),
            ]);
        }
        cells.push(plain(&release.detail));
        grid.row(cells);
    }
    grid.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::NOW_MS;
    use expect_test::expect;

    #[test]
    fn a_waiting_release_takes_a_line() {
        let release = WaitingRelease {
            id: "ab".into(),
            app: "filter".into(),
            app_version: 2,
            module: "m".into(),
            artifact: "a0".into(),
            artifact_bytes: 2048,
            target: "riscv64-linux".into(),
            bounds_checks: "software".into(),
            since_ms: NOW_MS - 5_000,
            detail: "waits for its release signature by the signer".into(),
            payload: String::new(),
        };
        expect![[r#"
            MODULE    TARGET         SINCE    NOTE
            filter@2  riscv64-linux  5 s ago  waits for its release signature by the signer
        "#]]
        .assert_eq(&view(&[release], &Look::plain(false)));
    }
}
