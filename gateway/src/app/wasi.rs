//! WASI preview 1 in deployments: what is given, and whether that is all said.

use super::AppError;
use crate::store::record::ModuleRecord;
use gateway_api::{Wasi, WasiDirectory, WasiRestart, WasiStdout};
use module_package::{ConfigEntry, WasiPlace, WasiProvisions};
use std::collections::BTreeSet;
use worker_protocol::{WASI_MODULE, WasiCall, WasiCapability};

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
        sockets: wasi.sockets,
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
        sockets: None,
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

/// What a module's imports of WASI are for.
pub fn needs_of(module: &ModuleRecord) -> BTreeSet<WasiCapability> {
    let names: Vec<String> = of_wasi(module).map(|call| call.import_name()).collect();
    WasiCapability::needed_by(names.iter().map(String::as_str))
}

fn of_wasi(module: &ModuleRecord) -> impl Iterator<Item = WasiCall> + '_ {
    let of_wasi = module.imports.iter().filter(|import| import.module == WASI_MODULE);
    of_wasi
        .filter_map(|import| WasiCall::from_import_name(&format!("{WASI_MODULE}.{}", import.name)))
}

/// What most programs do not expect to be denied has to be given or denied by name, so
/// that nobody finds out on a device.
pub fn check_is_said(wasi: Option<&Wasi>, module: &ModuleRecord) -> Result<(), AppError> {
    let (name, version) = (&module.name, module.version);
    if wasi.is_some_and(|wasi| wasi.sockets == Some(true)) {
        return Err(AppError::bad_request(
            "Not deployed: sockets = true, and there are none to give. A module has no network; \
             it can publish on channels (docs/guest-api.md)."
                .to_owned(),
        ));
    }
    for (capability, is_said, advice) in [
        (
            WasiCapability::Clock,
            wasi.is_some_and(|wasi| wasi.clock.is_some()),
            "give clock = true or clock = false under wasi (with false the function answers \
             notcapable)",
        ),
        (
            WasiCapability::Random,
            wasi.is_some_and(|wasi| wasi.random.is_some()),
            "give random = true or random = false under wasi (with false the function answers \
             notcapable)",
        ),
        (
            WasiCapability::Sockets,
            wasi.is_some_and(|wasi| wasi.sockets.is_some()),
            "a module has no network. Build it without sockets and publish on channels \
             (docs/guest-api.md), or give sockets = false under wasi, and the function answers \
             notsock",
        ),
    ] {
        let imported = of_wasi(module).find(|call| call.capability() == Some(capability));
        if let (false, Some(imported)) = (is_said, imported) {
            let import = imported.import_name();
            return Err(AppError::conflict(format!(
                "{name}@{version} imports {import}, and it is not said whether it gets that: \
                 {advice}. docs/wasi.md lists what each function needs."
            )));
        }
    }
    Ok(())
}
