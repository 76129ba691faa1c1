//! `farrier-sim`: many simulated devices, and the benchmark of delivery with them.

use anyhow::Context;
use clap::{Parser, Subcommand};
use farrier_sim::fleet::{FleetOptions, SimFleet, runtime_of};
use farrier_sim::{bench, page, raw};
use gateway_client::Client;
use harness::Kit;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Parser)]
#[command(
    about = "Many simulated devices in one process, with the real protocol and verification."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect devices to a running gateway, until Ctrl-C.
    Run {
        #[arg(long)]
        gateway: String,
        #[arg(long)]
        token_file: PathBuf,
        #[arg(long, default_value = "100")]
        devices: usize,
        #[arg(long, default_value = "5000")]
        report_interval_ms: u64,
        /// Begins the devices' names.
        #[arg(long, default_value = "sim")]
        name: String,
    },
    /// Deliver one artifact of a megabyte to fleets of these sizes.
    Bench {
        #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,5000")]
        devices: Vec<usize>,
        /// With blocks compressed, or only as they are; by default both.
        #[arg(long)]
        compressed: Option<bool>,
        /// A `farrier-gateway` instead of the kit's, for one that is built for speed.
        #[arg(long)]
        gateway: Option<PathBuf>,
        /// Write docs/benchmark-delivery.md.
        #[arg(long)]
        write_docs: bool,
    },
    /// The broker that the benchmark compares with.
    #[command(hide = true)]
    RawBroker,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let level = std::env::var("FARRIER_LOG").unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Run { gateway, token_file, devices, report_interval_ms, name } => {
            let token = std::fs::read_to_string(&token_file).context("read the token")?;
            let client = Client::builder(&gateway).token(token.trim()).build()?;
            let directory = tempfile::tempdir()?;
            let options = FleetOptions {
                gateway_url: gateway,
                count: devices,
                report_interval_ms,
                directory: directory.path().to_owned(),
                name,
                attack: None,
            };
            let kit = Kit::for_tests()?;
            let fleet = SimFleet::start(options, &client, runtime_of(&kit).await?).await?;
            report_until_interrupted(&fleet).await;
            fleet.stop();
            Ok(())
        }
        Command::Bench { devices, compressed, gateway, write_docs } => {
            let kit = Kit::for_tests()?;
            let kit = match gateway {
                Some(gateway) => kit.with_gateway(&gateway)?,
                None => kit,
            };
            let mut rows = Vec::new();
            let kinds = compressed.map_or(vec![false, true], |only| vec![only]);
            for compressed in kinds {
                for count in &devices {
                    let row = bench::run(&kit, *count, compressed).await?;
                    println!("{}", page::table(std::slice::from_ref(&row)));
                    rows.push(row);
                }
            }
            println!("{}\n{}", page::goals(&rows), page::table(&rows));
            if write_docs {
                page::write(Path::new("docs/benchmark-delivery.md"), &rows)?;
            }
            Ok(())
        }
        Command::RawBroker => raw::serve().await,
    }
}

async fn report_until_interrupted(fleet: &SimFleet) {
    loop {
        let seen = fleet.seen();
        let connected = seen.iter().filter(|seen| seen.connected_at.is_some()).count();
        let verified = seen.iter().filter(|seen| seen.verified.is_some()).count();
        let bytes: u64 = seen.iter().map(|seen| seen.received_bytes).sum();
        let repeated: u64 = seen.iter().map(|seen| seen.repeated_blocks).sum();
        println!(
            "{connected} of {} connected, {verified} with an artifact verified, {bytes} bytes received, {repeated} blocks more than once",
            seen.len()
        );
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            _ = tokio::signal::ctrl_c() => return,
        }
    }
}
