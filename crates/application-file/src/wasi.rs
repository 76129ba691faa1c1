//! What a module may reach through WASI: bounds of what is written under `[module.wasi]`.

use crate::error::{Errors, excerpt};
use crate::model::{Located, Wasi, WasiDirectory, WasiRestart};
use crate::names::{GRANT_NAME_RULE, is_grant_name};
use crate::shape;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use toml::Spanned;

const DIRECTORIES_MAX: usize = 8;
const GUEST_PATH_BYTES_MAX: usize = 128;
const PRIVATE_BYTES: RangeInclusive<u32> = 1..=64 * 1024 * 1024;
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
        sockets: wasi.sockets.as_ref().map(|sockets| is_given(sockets, errors)),
        restart: wasi.restart.as_ref().map(|restart| to_restart(restart, errors)),
        directories: to_directories(&wasi.directories, errors),
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

fn is_given(sockets: &Spanned<bool>, errors: &mut Errors<'_>) -> bool {
    if *sockets.get_ref() {
        let what = "there are no sockets to give: a module has no network; publish on a channel, \
                    or give false to have their functions answer \"notsock\"";
        errors.add(&sockets.span(), what.to_owned());
    }
    false
}

fn to_directories(
    directories: &[Spanned<shape::WasiDirectory>],
    errors: &mut Errors<'_>,
) -> Vec<WasiDirectory> {
    if let Some(surplus) = directories.get(DIRECTORIES_MAX) {
        let count = directories.len();
        let what = format!("there are {count} directories, and {DIRECTORIES_MAX} are the most");
        errors.add(&surplus.span(), what);
    }
    for (index, directory) in directories.iter().enumerate() {
        check_directory(directory, errors);
        let guest = &directory.get_ref().guest;
        let is_same = |other: &Spanned<shape::WasiDirectory>| {
            other.get_ref().guest.get_ref() == guest.get_ref()
        };
        if directories[..index].iter().any(is_same) {
            let what = format!("there is a directory at {:?} already", excerpt(guest.get_ref()));
            errors.add(&guest.span(), what);
        }
    }
    let to_directory = |directory: &Spanned<shape::WasiDirectory>| {
        let directory = directory.get_ref();
        WasiDirectory {
            guest: directory.guest.get_ref().clone(),
            private_bytes: directory.private_bytes.as_ref().map(|bytes| *bytes.get_ref()),
            host: directory.host.as_ref().map(|host| host.get_ref().clone()),
            read_only: directory.read_only.as_ref().is_some_and(|only| *only.get_ref()),
        }
    };
    directories.iter().map(to_directory).collect()
}

fn check_directory(directory: &Spanned<shape::WasiDirectory>, errors: &mut Errors<'_>) {
    let shape::WasiDirectory { guest, private_bytes, host, read_only } = directory.get_ref();
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(char::is_control);
    let is_path = guest.get_ref().strip_prefix('/').is_some_and(|rest| {
        rest.len() < GUEST_PATH_BYTES_MAX && (rest.is_empty() || rest.split('/').all(is_name))
    });
    if !is_path {
        let what = format!(
            "{:?} is no path for a directory: begin it with '/', without empty parts, '.' and '..', \
             in at most {GUEST_PATH_BYTES_MAX} bytes",
            excerpt(guest.get_ref())
        );
        errors.add(&guest.span(), what);
    }
    if private_bytes.is_some() == host.is_some() {
        let what = "give either private_bytes, for a directory of its own, or host, the name of one \
                    of the device's";
        errors.add_absence(&directory.span(), what);
    }
    if let Some(bytes) = private_bytes
        && !PRIVATE_BYTES.contains(bytes.get_ref())
    {
        let what = format!(
            "private_bytes is {}; it has to be {} to {}",
            bytes.get_ref(),
            PRIVATE_BYTES.start(),
            PRIVATE_BYTES.end()
        );
        errors.add(&bytes.span(), what);
    }
    if let Some(host) = host
        && !is_grant_name(host.get_ref())
    {
        let what = format!("{:?} is no name: {GRANT_NAME_RULE}", excerpt(host.get_ref()));
        errors.add(&host.span(), what);
    }
    if let (Some(read_only), Some(_)) = (read_only, private_bytes) {
        let what = "read_only goes with host; a directory of its own would stay empty";
        errors.add(&read_only.span(), what);
    }
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
