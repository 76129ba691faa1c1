//! WASI preview 1 in deployments: what is given, and whether that is all said.

use super::AppError;
use crate::store::record::ModuleRecord;
use gateway_api::{Wasi, WasiRestart, WasiStdout};
use module_package::{ConfigEntry, WasiProvisions};
use worker_protocol::{WASI_MODULE, WasiCall};

pub fn to_provisions(wasi: &Wasi) -> WasiProvisions {
    let entry =
        |(key, value): (&String, &String)| ConfigEntry { key: key.clone(), value: value.clone() };
    let is_given = |given: Option<bool>| given.filter(|given| *given);
    WasiProvisions {
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
