//! WASI preview 1 in deployments: what is given, and whether that is all said.

use super::AppError;
use crate::store::record::ModuleRecord;
use gateway_api::{Wasi, WasiDirectory, WasiRestart, WasiStdout};
use module_package::{ConfigEntry, WasiPlace, WasiProvisions};
use worker_protocol::{WASI_MODULE, WasiCall};

pub fn to_provisions(wasi: &Wasi) -> Result<WasiProvisions, AppError> {
    let entry =
        |(key, value): (&String, &String)| ConfigEntry { key: key.clone(), value: value.clone() };
    let is_given = |given: Option<bool>| given.filter(|given| *given);
    let directories = wasi.directories.iter().map(to_directory).collect::<Result<_, _>>()?;
    Ok(WasiProvisions {
        arguments: wasi.arguments.clone(),
        environment: wasi.environment.iter().map(entry).collect(),
        log: wasi.stdout.map(|WasiStdout::Log| true),
        clock: is_given(wasi.clock),
        random: is_given(wasi.random),
        restart: match wasi.restart {
            // The usual is said by nothing.
            None | Some(WasiRestart::OnFailure) => None,
            Some(WasiRestart::Never) => Some(module_package::WasiRestart::Never),
            Some(WasiRestart::Always) => Some(module_package::WasiRestart::Always),
        },
        directories,
    })
}

fn to_directory(directory: &WasiDirectory) -> Result<module_package::WasiDirectory, AppError> {
    let WasiDirectory { guest, private_bytes, host, read_only } = directory.clone();
    let place = match (private_bytes, host) {
        (Some(bytes_max), None) if !read_only => WasiPlace::Private { bytes_max },
        (None, Some(name)) => WasiPlace::Host { name, read_only },
        _ => {
            return Err(AppError::bad_request(format!(
                "Not deployed: the directory {guest:?} needs either private_bytes or host; read_only \
                 goes with host alone."
            )));
        }
    };
    Ok(module_package::WasiDirectory { guest, place })
}

fn to_directory_view(directory: module_package::WasiDirectory) -> WasiDirectory {
    let guest = directory.guest;
    match directory.place {
        WasiPlace::Private { bytes_max } => {
            WasiDirectory { guest, private_bytes: Some(bytes_max), ..WasiDirectory::default() }
        }
        WasiPlace::Host { name, read_only } => {
            WasiDirectory { guest, host: Some(name), read_only, private_bytes: None }
        }
    }
}

/// Of an application file.
pub fn of_file(wasi: &application_file::Wasi) -> Wasi {
    Wasi {
        arguments: wasi.arguments.clone(),
        environment: wasi.environment.clone(),
        stdout: wasi.stdout_to_log.then_some(WasiStdout::Log),
        clock: wasi.clock,
        random: wasi.random,
        restart: wasi.restart.map(|restart| match restart {
            application_file::WasiRestart::OnFailure => WasiRestart::OnFailure,
            application_file::WasiRestart::Never => WasiRestart::Never,
            application_file::WasiRestart::Always => WasiRestart::Always,
        }),
        directories: wasi.directories.iter().map(of_file_directory).collect(),
    }
}

fn of_file_directory(directory: &application_file::WasiDirectory) -> WasiDirectory {
    WasiDirectory {
        guest: directory.guest.clone(),
        private_bytes: directory.private_bytes,
        host: directory.host.clone(),
        read_only: directory.read_only,
    }
}

pub fn to_view(wasi: WasiProvisions) -> Wasi {
    let environment = wasi.environment.into_iter();
    Wasi {
        arguments: wasi.arguments,
        environment: environment.map(|entry| (entry.key, entry.value)).collect(),
        stdout: wasi.log.unwrap_or(false).then_some(WasiStdout::Log),
        clock: wasi.clock,
        random: wasi.random,
        restart: wasi.restart.map(to_restart),
        directories: wasi.directories.into_iter().map(to_directory_view).collect(),
    }
}

pub fn to_restart(restart: module_package::WasiRestart) -> WasiRestart {
    match restart {
        module_package::WasiRestart::OnFailure => WasiRestart::OnFailure,
        module_package::WasiRestart::Never => WasiRestart::Never,
        module_package::WasiRestart::Always => WasiRestart::Always,
    }
}

/// What most programs do not expect to be denied has to be given or denied by name, so
/// that nobody finds out on a device.
pub fn check_is_said(wasi: Option<&Wasi>, module: &ModuleRecord) -> Result<(), AppError> {
    let imports = |wanted: &[WasiCall]| {
        let of_wasi = module.imports.iter().filter(|import| import.module == WASI_MODULE);
        of_wasi
            .map(|import| import.name.as_str())
            .find(|name| wanted.iter().any(|call| call.name() == *name))
    };
    let clocks = [WasiCall::ClockTimeGet, WasiCall::ClockResGet, WasiCall::PollOneoff];
    for (field, is_said, imported) in [
        ("clock", wasi.is_some_and(|wasi| wasi.clock.is_some()), imports(&clocks)),
        ("random", wasi.is_some_and(|wasi| wasi.random.is_some()), imports(&[WasiCall::RandomGet])),
    ] {
        if let (false, Some(imported)) = (is_said, imported) {
            return Err(AppError::conflict(format!(
                "{}@{} imports {WASI_MODULE}.{imported}, and it is not said whether it gets that: \
                 give {field} = true or {field} = false under wasi (with false the function answers \
                 notcapable). docs/wasi.md lists what each function needs.",
                module.name, module.version
            )));
        }
    }
    Ok(())
}
