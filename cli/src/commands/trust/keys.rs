//! `farrier trust keys`: what `root init` and `root rotate` have to name.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::grid::{Align, Grid, Look, plain};
use clap::Args;
use gateway_api::{ReleaseKeyPlace, Trust};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier trust keys
  farrier trust keys --json")]
pub struct KeysArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &KeysArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let trust = client.trust().await?;
    match (trust.summary.release_key_place, &trust.signer) {
        (ReleaseKeyPlace::Offline, _) => console.note(
            "the release key is kept offline; `farrier key show FILE` prints its public half there",
        ),
        (ReleaseKeyPlace::Signer, Some(signer)) => {
            if let Some(problem) = &signer.problem {
                console.warn(problem);
            }
        }
        _ => {}
    }
    let keys = || {
        let all = trust.gateway_assign_keys.iter().chain(&trust.gateway_release_keys);
        all.map(|key| key.public_key.clone()).collect()
    };
    console.show(args.output.format(), &trust, keys, |look| view(&trust, look))
}

fn view(trust: &Trust, look: &Look) -> String {
    let columns =
        [("ROLE", Align::Left), ("PUBLIC KEY", Align::Left), ("IN THE ROOT DOCUMENT", Align::Left)];
    let mut grid = Grid::new(look, &columns);
    let assign = trust.gateway_assign_keys.iter().map(|key| ("assign", key));
    let release = trust.gateway_release_keys.iter().map(|key| ("release", key));
    for (role, key) in assign.chain(release) {
        let named = if key.valid { "yes" } else { "no" };
        grid.row(vec![plain(role), plain(&key.public_key), plain(named)]);
    }
    grid.to_text()
}
