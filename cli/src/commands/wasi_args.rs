//! What `farrier deploy` gives a module through WASI.

use crate::commands::deploy::parse_bytes;
use crate::failure::{Exit, Failure};
use clap::{Args, ValueEnum};
use gateway_api::{Wasi, WasiDirectory, WasiRestart, WasiStdout};
use std::collections::BTreeMap;

#[derive(Debug, Args)]
#[command(next_help_heading = "WASI (docs/wasi.md)")]
pub struct WasiArgs {
    /// An argument of the program; can be given several times
    #[arg(long = "arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// A variable of its environment; can be given several times
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Where what it prints goes
    #[arg(long, value_name = "WHERE")]
    stdout: Option<Stdout>,
    /// Whether it may read the clocks and wait; has to be said if it imports them
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    clock: Option<bool>,
    /// Whether it gets random bytes; has to be said if it imports them
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    random: Option<bool>,
    /// Only false: deploys a module that imports functions of sockets, which answer notsock
    #[arg(long, value_name = "false", value_parser = parse_sockets)]
    sockets: Option<bool>,
    /// A directory of its own and what it may hold (/data=own:64KiB), or one of the devices'
    /// by its owner's name for it (/site=site, or /site=site:ro to read only)
    #[arg(long = "dir", value_name = "GUEST=WHAT", value_parser = parse_directory)]
    directories: Vec<WasiDirectory>,
    /// What follows its end [default: on-failure]
    #[arg(long, value_name = "WHEN")]
    restart: Option<Restart>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stdout {
    /// Line by line into its log
    Log,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Restart {
    /// Run again after a delay if its exit code was not 0 or it trapped
    OnFailure,
    Never,
    /// The same, and at its interval if all was well
    Always,
}

impl WasiArgs {
    /// `None` where nothing was given.
    pub fn to_wasi(&self) -> Result<Option<Wasi>, Failure> {
        let mut environment = BTreeMap::new();
        for (name, value) in &self.environment {
            if environment.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::new(Exit::Usage, format!("--env {name} is given twice")));
            }
        }
        let wasi = Wasi {
            arguments: self.arguments.clone(),
            environment,
            stdout: self.stdout.map(|Stdout::Log| WasiStdout::Log),
            clock: self.clock,
            random: self.random,
            sockets: self.sockets,
            restart: self.restart.map(|restart| match restart {
                Restart::OnFailure => WasiRestart::OnFailure,
                Restart::Never => WasiRestart::Never,
                Restart::Always => WasiRestart::Always,
            }),
            directories: self.directories.clone(),
        };
        Ok((wasi != Wasi::default()).then_some(wasi))
    }
}

/// As one line of `farrier deployment show`.
pub fn in_words(wasi: &Wasi) -> String {
    let mut words = Vec::new();
    if !wasi.arguments.is_empty() {
        words.push(format!("arguments {}", wasi.arguments.join(" ")));
    }
    let variables = wasi.environment.iter().map(|(name, value)| format!("{name}={value}"));
    words.extend(variables);
    words.extend(wasi.stdout.map(|WasiStdout::Log| "stdout to the log".to_owned()));
    words.extend(wasi.clock.filter(|is| *is).map(|_| "clock".to_owned()));
    words.extend(wasi.random.filter(|is| *is).map(|_| "random".to_owned()));
    words.extend(wasi.directories.iter().map(|directory| match &directory.host {
        Some(host) => format!("{} is the device's {host}", directory.guest),
        None => format!("{} of its own", directory.guest),
    }));
    words.extend(wasi.restart.map(|restart| format!("restart {}", restart.as_str())));
    words.join(", ")
}

fn parse_sockets(text: &str) -> Result<bool, String> {
    match text {
        "false" => Ok(false),
        _ => Err("a module has no network: give false, or publish on a channel".to_owned()),
    }
}

fn parse_directory(text: &str) -> Result<WasiDirectory, String> {
    let (guest, what) = text.split_once('=').ok_or("give a path, '=' and what is there")?;
    let directory = WasiDirectory { guest: guest.to_owned(), ..WasiDirectory::default() };
    Ok(match what.split_once(':') {
        Some(("own", bytes)) => {
            let bytes = u32::try_from(parse_bytes(bytes)?).map_err(|_| "more than 64MiB")?;
            WasiDirectory { private_bytes: Some(bytes), ..directory }
        }
        Some((name, "ro")) => {
            WasiDirectory { host: Some(name.to_owned()), read_only: true, ..directory }
        }
        Some((_, other)) => return Err(format!("{other:?} is neither \"ro\" nor of own:BYTES")),
        None => WasiDirectory { host: Some(what.to_owned()), ..directory },
    })
}

pub fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give a name, '=' and a value".to_owned()),
    }
}
