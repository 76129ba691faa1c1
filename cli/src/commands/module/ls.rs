//! `farrier module ls`: every module in a line.

use super::name_of;
use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, Tone, plain};
use clap::Args;
use gateway_api::{ArtifactState, Module};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier module ls
  farrier module ls -o name")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let modules = client.modules().await?;
    if modules.items.is_empty() {
        console.note("no modules yet; push one: farrier module push FILE");
    }
    console.show(
        args.output.format(),
        &modules,
        || modules.items.iter().map(name_of).collect(),
        |look| view(&modules.items, look),
    )
}

fn view(modules: &[Module], look: &Look) -> String {
    if modules.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        ("MODULE", Align::Left),
        ("ID", Align::Left),
        ("SIZE", Align::Right),
        ("ARTIFACTS", Align::Left),
        ("PUSHED", Align::Left),
    ];
    if look.wide {
        columns.extend([
            ("FUNCTIONS", Align::Right),
            ("IMPORTS", Align::Right),
            ("KNOWN ANSWERS", Align::Right),
            ("PROPOSALS", Align::Left),
        ]);
    }
    let mut grid = Grid::new(look, &columns);
    for module in modules {
        let id = if look.wide { &module.id } else { format::short_id(&module.id) };
        let mut cells = vec![
            plain(name_of(module)),
            plain(id),
            plain(format::bytes(module.bytes)),
            artifacts_in_short(module),
            plain(format::ago(look.now_ms, module.uploaded_at_ms)),
        ];
        if look.wide {
            cells.extend([
                plain(module.function_count.to_string()),
                plain(module.imports.len().to_string()),
                plain(module.known_answers.len().to_string()),
                plain(module.proposals.join(", ")),
            ]);
        }
        grid.row(cells);
    }
    grid.to_text()
}

fn artifacts_in_short(module: &Module) -> (String, Tone) {
    let count = |state| module.artifacts.iter().filter(|a| a.state == state).count();
    let (all, ready) = (module.artifacts.len(), count(ArtifactState::Ready));
    match count(ArtifactState::Refused) {
        _ if all == 0 => plain("-"),
        0 if ready == all => (format!("{ready}/{all} ready"), Tone::Good),
        0 => (format!("{ready}/{all} ready"), Tone::Busy),
        refused => (format!("{ready}/{all} ready, {refused} refused"), Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn a_module_takes_a_line() {
        expect![[r#"
            MODULE    ID                SIZE  ARTIFACTS             PUSHED
            filter@2  9f86d081884c  18.0 KiB  1/2 ready, 1 refused  5 min ago
        "#]]
        .assert_eq(&view(&[sample::module()], &Look::plain(false)));
        expect![[r#"
            MODULE    ID                                                                    SIZE  ARTIFACTS             PUSHED     FUNCTIONS  IMPORTS  KNOWN ANSWERS  PROPOSALS
            filter@2  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  18.0 KiB  1/2 ready, 1 refused  5 min ago         37        1              2  bulk-memory, sign-extension
        "#]].assert_eq(&view(&[sample::module()], &Look::plain(true)));
    }
}
