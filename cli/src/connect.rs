//! From the global options to a client with a token.

use crate::args::GlobalArgs;
use crate::console::Console;
use crate::contexts::{self, Place};
use crate::failure::{Exit, Failure};
use crate::format;
use gateway_api::TraceContext;
use gateway_client::{Client, ClientBuilder, Exchange};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest token file that is read; a token is below a tenth of it.
const TOKEN_BYTES_MAX: u64 = 4096;

pub fn connect(global: &GlobalArgs, console: &Console) -> Result<Client, Failure> {
    connect_to(&contexts::place(global)?, global, console)
}

pub fn connect_to(
    place: &Place,
    global: &GlobalArgs,
    console: &Console,
) -> Result<Client, Failure> {
    let token = find_token(global, place, console)?;
    let has_token = token.is_some();
    let mut builder = begin(place, console);
    if let Some(token) = token {
        builder = builder.token(token);
    }
    let client = builder.build()?;
    if has_token && client.sends_in_clear() {
        console.warn(format!(
            "the token travels unencrypted to {}; use an https address",
            client.gateway()
        ));
    }
    Ok(client)
}

/// For logging in: a client that has no token yet, and will send a password.
pub fn connect_without_token(place: &Place, console: &Console) -> Result<Client, Failure> {
    let client = begin(place, console).build()?;
    if client.sends_in_clear() {
        console.warn(format!(
            "the password travels unencrypted to {}; use an https address",
            client.gateway()
        ));
    }
    Ok(client)
}

fn begin(place: &Place, console: &Console) -> ClientBuilder {
    let mut builder =
        Client::builder(&place.gateway).user_agent(concat!("farrier/", env!("CARGO_PKG_VERSION")));
    let trace = begin_trace();
    if let Some(trace) = trace {
        builder = builder.trace(trace);
    }
    if console.verbose {
        if let Some(trace) = trace {
            console.aside(format!("trace id: {}", trace.trace_id()));
        }
        builder = builder.observer(tell_exchange);
    }
    builder
}

/// The trace that whoever started this command names in TRACEPARENT, or one of its own.
fn begin_trace() -> Option<TraceContext> {
    let span_id = getrandom::u64().ok()?;
    let of_caller = std::env::var("TRACEPARENT").ok().and_then(|text| text.parse().ok());
    if let Some(of_caller) = of_caller {
        return Some(TraceContext::below(of_caller, span_id));
    }
    let (high, low) = (getrandom::u64().ok()?, getrandom::u64().ok()?);
    Some(TraceContext::begin(u128::from(high) << 64 | u128::from(low), span_id))
}

fn tell_exchange(exchange: &Exchange) {
    let outcome = exchange.status.map_or("no answer".to_owned(), |status| status.to_string());
    let elapsed = format::millis(u64::try_from(exchange.elapsed.as_millis()).unwrap_or(u64::MAX));
    let attempt = match exchange.attempt {
        1 => String::new(),
        attempt => format!(", attempt {attempt}"),
    };
    use std::io::Write;
    let line = format!("{}: {outcome} in {elapsed}{attempt}\n", exchange.request);
    // Only a courtesy; there is nowhere to complain to.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn find_token(
    global: &GlobalArgs,
    place: &Place,
    console: &Console,
) -> Result<Option<String>, Failure> {
    if let Some(path) = &global.token_file {
        return read_token(path, console).map(Some);
    }
    if let Some(token) = contexts::variable("FARRIER_TOKEN")? {
        return Ok(Some(token));
    }
    match std::env::var_os("FARRIER_TOKEN_FILE").filter(|path| !path.is_empty()) {
        Some(path) => read_token(&PathBuf::from(path), console).map(Some),
        None => place.token_file.as_ref().map(|path| read_token(path, console)).transpose(),
    }
}

fn read_token(path: &Path, console: &Console) -> Result<String, Failure> {
    let failure = || {
        Failure::new(Exit::Usage, format!("read the token file {}", path.display()))
            .or_try("give a readable file that holds the gateway's token and nothing else")
    };
    let file = File::open(path).map_err(|e| failure().because(&e))?;
    if is_open_to_others(&file) {
        console.warn(format!("other users may read {}: chmod 600 it", path.display()));
    }
    let mut token = String::new();
    let read = file.take(TOKEN_BYTES_MAX).read_to_string(&mut token);
    read.map_err(|e| failure().because(&e))?;
    match token.trim() {
        "" => Err(Failure { causes: vec!["the file is empty".to_owned()], ..failure() }),
        token => Ok(token.to_owned()),
    }
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> bool {
    false
}
