//! Modules and instances by number, and the answer to each request.

use crate::host::GuestState;
use crate::values::{from_wamr, to_wamr};
use executor::protocol::{
    Answer, Description, READ_BYTES_MAX, Refusal, RefusalKind, Request, SLOTS_MAX,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::rc::Rc;
use target_spec::metering::EXPORT_GAS_LIMIT;
use wamr::{
    CallError, GasLimits, Instance, InstanceConfig, InstantiateError, LoadError, MODE, Module,
    Runtime,
};

pub struct Session<'r> {
    runtime: &'r Runtime,
    modules: BTreeMap<u32, Rc<Module<'r>>>,
    instances: BTreeMap<u32, Instance<'r>>,
}

impl<'r> Session<'r> {
    pub fn new(runtime: &'r Runtime) -> Self {
        Self { runtime, modules: BTreeMap::new(), instances: BTreeMap::new() }
    }

    pub fn answer(&mut self, request: Request) -> Answer {
        self.handle(request).unwrap_or_else(Answer::Refused)
    }

    fn handle(&mut self, request: Request) -> Result<Answer, Refusal> {
        match request {
            Request::Describe => Ok(self.describe()),
            Request::Load { module, file } => self.load(module, &file),
            Request::Instantiate { module, instance, memory_bytes_max, input } => {
                let state = Box::new(GuestState::of(input));
                let config = InstanceConfig { memory_bytes_max, state, ..Default::default() };
                self.instantiate(module, instance, config)
            }
            Request::Call { instance, function, arguments } => {
                let instance = self.instance(instance)?;
                let arguments: Vec<_> = arguments.into_iter().map(to_wamr).collect();
                call(instance, &function, &arguments)
            }
            Request::Global { instance, name } => {
                let value = self.instance(instance)?.global(&name);
                let no_such = || refusal(RefusalKind::NoSuchGlobal, format!("global {name:?}"));
                let values = vec![from_wamr(value.ok_or_else(no_such)?)];
                Ok(Answer::Values { values, output: Vec::new(), errors: Vec::new() })
            }
            Request::SetGlobal { instance, name, value } => {
                match set_global(self.instance(instance)?, &name, to_wamr(value)) {
                    true => Ok(Answer::Done),
                    false => {
                        let detail = format!("mutable global {name:?} of the type of {value:?}");
                        Err(refusal(RefusalKind::NoSuchGlobal, detail))
                    }
                }
            }
            Request::ReadMemory { instance, address, len_bytes } => {
                if len_bytes > READ_BYTES_MAX {
                    let detail = format!("{len_bytes} bytes at once, at most {READ_BYTES_MAX}");
                    return Err(refusal(RefusalKind::OutOfBounds, detail));
                }
                let bytes = self.instance(instance)?.read_memory(address, len_bytes as usize);
                Ok(Answer::Bytes(bytes.map_err(out_of_bounds)?))
            }
            Request::WriteMemory { instance, address, bytes } => {
                let written = self.instance(instance)?.write_memory(address, &bytes);
                written.map(|()| Answer::Done).map_err(out_of_bounds)
            }
            Request::HashMemory { instance } => hash_memory(self.instance(instance)?),
            Request::DropModule { module } => {
                self.modules.remove(&module);
                Ok(Answer::Done)
            }
            Request::DropInstance { instance } => {
                self.instances.remove(&instance);
                Ok(Answer::Done)
            }
        }
    }

    fn describe(&self) -> Answer {
        let profile = self.runtime.profile();
        Answer::Description(Description {
            target: profile.target,
            bounds_checks: profile.bounds_checks.to_string(),
            mode: MODE.as_str().to_owned(),
            wamr_version: profile.wamr_version,
            cpu_features: profile.cpu_features,
            wasm_features: profile.wasm_features.iter().map(ToString::to_string).collect(),
            imports: self.runtime.offered_imports(),
        })
    }

    fn load(&mut self, number: u32, file: &[u8]) -> Result<Answer, Refusal> {
        self.modules.remove(&number);
        check_room(self.modules.len())?;
        let module = Module::load(self.runtime, file).map_err(|error| {
            let kind = match &error {
                LoadError::Profile(_) | LoadError::NotWasm => RefusalKind::WrongProfile,
                LoadError::Malformed(_) => RefusalKind::LoadRefused,
                LoadError::UnknownImports { .. } | LoadError::ImportType { .. } => {
                    RefusalKind::UnknownImport
                }
            };
            refusal(kind, error.to_string())
        })?;
        self.modules.insert(number, Rc::new(module));
        Ok(Answer::Done)
    }

    fn instantiate(
        &mut self,
        module: u32,
        number: u32,
        config: InstanceConfig,
    ) -> Result<Answer, Refusal> {
        self.instances.remove(&number);
        check_room(self.instances.len())?;
        let no_such = || refusal(RefusalKind::BadSlot, format!("there is no module {module}"));
        let module = self.modules.get(&module).ok_or_else(no_such)?;
        let mut instance =
            Instance::of_shared(Rc::clone(module), config).map_err(|error| match error {
                InstantiateError::OverLimit { .. } | InstantiateError::OutOfGas { .. } => {
                    refusal(RefusalKind::OverLimit, error.to_string())
                }
                InstantiateError::NotMetered => {
                    refusal(RefusalKind::NotInstantiated, error.to_string())
                }
                InstantiateError::Failed(trap) => {
                    refusal(RefusalKind::NotInstantiated, trap.reason)
                }
            })?;
        let (output, errors) = take_output(&mut instance);
        self.instances.insert(number, instance);
        Ok(Answer::Values { values: Vec::new(), output, errors })
    }

    fn instance(&mut self, number: u32) -> Result<&mut Instance<'r>, Refusal> {
        let no_such = || refusal(RefusalKind::BadSlot, format!("there is no instance {number}"));
        self.instances.get_mut(&number).ok_or_else(no_such)
    }
}

/// A metered module's limit is what each call begins with, so it is set as such.
fn set_global(instance: &mut Instance<'_>, name: &str, value: wamr::Value) -> bool {
    match value {
        wamr::Value::I64(limit) if name == EXPORT_GAS_LIMIT && instance.gas_used().is_some() => {
            // As a module reads its limit, without a sign.
            let total = limit as u64;
            instance.set_gas_limits(GasLimits { total, ..GasLimits::default() });
            true
        }
        value => instance.set_global(name, value),
    }
}

fn call(
    instance: &mut Instance<'_>,
    function: &str,
    arguments: &[wamr::Value],
) -> Result<Answer, Refusal> {
    let outcome = instance.call(function, arguments);
    let (output, errors) = take_output(instance);
    let exit_code = instance.state::<GuestState>().and_then(GuestState::take_exit_code);
    match outcome {
        Ok(values) => {
            let values = values.into_iter().map(from_wamr).collect();
            Ok(Answer::Values { values, output, errors })
        }
        Err(CallError::Trap(trap)) => Ok(match exit_code {
            Some(code) => Answer::Exited { code, output, errors },
            None => Answer::Trapped { reason: trap.reason, output, errors },
        }),
        Err(error @ CallError::NoSuchFunction(_)) => {
            Err(refusal(RefusalKind::NoSuchFunction, error.to_string()))
        }
        Err(error @ CallError::Arguments { .. }) => {
            Err(refusal(RefusalKind::WrongArguments, error.to_string()))
        }
    }
}

fn take_output(instance: &mut Instance<'_>) -> (Vec<u8>, Vec<u8>) {
    instance.state::<GuestState>().map(GuestState::take_output).unwrap_or_default()
}

/// In pieces, so that a memory of 4 GiB is not copied as a whole.
fn hash_memory(instance: &Instance<'_>) -> Result<Answer, Refusal> {
    let len_bytes = instance.memory_bytes() as u64;
    let mut hash = Sha256::new();
    let mut address = 0;
    while address < len_bytes {
        let piece = (len_bytes - address).min(u64::from(READ_BYTES_MAX));
        // Below 4 GiB, as every address of a memory.
        let bytes = instance.read_memory(address as u32, piece as usize);
        hash.update(bytes.map_err(out_of_bounds)?);
        address += piece;
    }
    Ok(Answer::MemoryHash { len_bytes, sha256: hash.finalize().to_vec() })
}

fn check_room(used: usize) -> Result<(), Refusal> {
    if used < SLOTS_MAX {
        return Ok(());
    }
    Err(refusal(RefusalKind::BadSlot, format!("at most {SLOTS_MAX} may be alive at once")))
}

fn out_of_bounds(error: wamr::OutOfBounds) -> Refusal {
    refusal(RefusalKind::OutOfBounds, error.to_string())
}

fn refusal(kind: RefusalKind, detail: String) -> Refusal {
    Refusal { kind, detail }
}
