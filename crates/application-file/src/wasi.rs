//! What a module may reach through WASI: bounds of what is written under `[module.wasi]`.

use crate::error::{Errors, excerpt};
use crate::model::{Located, Wasi, WasiRestart};
use crate::shape;
use std::collections::BTreeMap;
use toml::Spanned;

const STRINGS_MAX: usize = 32;
const STRING_BYTES_MAX: usize = 512;
const STRINGS_BYTES_MAX: usize = 4 * 1024;

pub fn read(wasi: &Spanned<shape::Wasi>, errors: &mut Errors<'_>) -> Located<Wasi> {
    let at = errors.place_of(&wasi.span());
    let wasi = wasi.get_ref();
    let value = Wasi {
        arguments: to_arguments(&wasi.arguments, errors),
        environment: to_environment(wasi.environment.as_ref(), errors),
        stdout_to_log: wasi.stdout.as_ref().is_some_and(|stdout| is_log(stdout, errors)),
        clock: wasi.clock,
        random: wasi.random,
        restart: wasi.restart.as_ref().map(|restart| to_restart(restart, errors)),
    };
    Located { value, at }
}

fn to_arguments(arguments: &[Spanned<String>], errors: &mut Errors<'_>) -> Vec<String> {
    for argument in arguments {
        check_string("the argument", argument, 0, errors);
    }
    let bytes = arguments.iter().map(|argument| argument.get_ref().len()).sum();
    if let Some(last) = arguments.last() {
        check_count("arguments", last, (arguments.len(), bytes), errors);
    }
    arguments.iter().map(|argument| argument.get_ref().clone()).collect()
}

type Environment = BTreeMap<String, Spanned<String>>;

fn to_environment(
    environment: Option<&Spanned<Environment>>,
    errors: &mut Errors<'_>,
) -> BTreeMap<String, String> {
    let Some(environment) = environment else { return BTreeMap::new() };
    let variables = environment.get_ref();
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            let what = format!(
                "{:?} is no name for a variable: it needs a character or more, and no '='",
                excerpt(name)
            );
            errors.add(&value.span(), what);
        }
        check_string("the variable", value, name.len(), errors);
    }
    let bytes = variables.iter().map(|(name, value)| name.len() + value.get_ref().len()).sum();
    check_count("variables", environment, (variables.len(), bytes), errors);
    variables.iter().map(|(name, value)| (name.clone(), value.get_ref().clone())).collect()
}

fn check_string(what: &str, text: &Spanned<String>, name_bytes: usize, errors: &mut Errors<'_>) {
    let bytes = text.get_ref().len() + name_bytes;
    if bytes > STRING_BYTES_MAX {
        let what = format!("{what} has {bytes} bytes, and {STRING_BYTES_MAX} are the most");
        errors.add(&text.span(), what);
    }
    if text.get_ref().contains('\0') {
        errors.add(&text.span(), format!("{what} has a NUL in it, which ends strings"));
    }
}

fn check_count<T>(
    what: &str,
    at: &Spanned<T>,
    (count, bytes): (usize, usize),
    errors: &mut Errors<'_>,
) {
    if count > STRINGS_MAX || bytes > STRINGS_BYTES_MAX {
        let what = format!(
            "there are {count} {what} of {bytes} bytes together; {STRINGS_MAX} of \
             {STRINGS_BYTES_MAX} bytes are the most"
        );
        errors.add(&at.span(), what);
    }
}

fn is_log(stdout: &Spanned<String>, errors: &mut Errors<'_>) -> bool {
    let is_log = stdout.get_ref() == "log";
    if !is_log {
        let what = format!(
            "stdout cannot go to {:?}; give \"log\", or leave it out to deny it",
            excerpt(stdout.get_ref())
        );
        errors.add(&stdout.span(), what);
    }
    is_log
}

fn to_restart(restart: &Spanned<String>, errors: &mut Errors<'_>) -> WasiRestart {
    match restart.get_ref().as_str() {
        "on-failure" => WasiRestart::OnFailure,
        "never" => WasiRestart::Never,
        "always" => WasiRestart::Always,
        other => {
            let what = format!(
                "restart is {:?}; there are \"on-failure\", \"never\" and \"always\"",
                excerpt(other)
            );
            errors.add(&restart.span(), what);
            WasiRestart::OnFailure
        }
    }
}
