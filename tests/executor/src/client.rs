//! One executor, as a test drives it.

use crate::machine::Machine;
use crate::process::Process;
use crate::protocol::{Answer, Description, GuestInput, Refusal, Request, Value};
use std::time::Duration;

/// What a call gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returned {
    pub values: Vec<Value>,
    /// What the guest printed.
    pub output: Vec<u8>,
    /// What it wrote to its standard error.
    pub errors: Vec<u8>,
    /// If it ended itself by WASI's `proc_exit`.
    pub exit_code: Option<u32>,
}

/// Why something was not done. After the first two the executor goes on; after the
/// others it is gone, and each further request says so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExecuteError {
    #[error("trap: {reason}")]
    Trapped { reason: String, output: Vec<u8>, errors: Vec<u8> },
    #[error("{:?}: {}", .0.kind, .0.detail)]
    Refused(Refusal),
    #[error("start the executor {machine}: {why}")]
    Start { machine: &'static str, why: String },
    #[error("the executor ended with {status}: {stderr}")]
    Died { status: String, stderr: String },
    #[error("no answer within {after_s} s: {stderr}")]
    TimedOut { after_s: f64, stderr: String },
    #[error("the executor does not keep to the protocol: {0}")]
    Protocol(String),
}

impl ExecuteError {
    /// Whether the executor itself is at its end.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Trapped { .. } | Self::Refused(_))
    }
}

/// Deep enough for the tests of call depth, and quick to overflow.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Enough for any test under an emulator on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

pub struct Executor {
    process: Process,
    timeout: Duration,
}

impl Executor {
    pub fn start(machine: &Machine) -> Result<Self, ExecuteError> {
        Self::start_with_stack(machine, STACK_BYTES)
    }

    /// With a native stack of this size for the guest's calls.
    pub fn start_with_stack(machine: &Machine, stack_bytes: usize) -> Result<Self, ExecuteError> {
        Ok(Self { process: Process::start(machine, stack_bytes)?, timeout: TIMEOUT })
    }

    /// For each request from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub fn describe(&mut self) -> Result<Description, ExecuteError> {
        match self.ask(Request::Describe)? {
            Answer::Description(description) => Ok(description),
            other => Err(unexpected(&other)),
        }
    }

    /// Loads a file under this number. An AoT file is native code: it must come from
    /// our own compiler.
    pub fn load(&mut self, module: u32, file: Vec<u8>) -> Result<(), ExecuteError> {
        self.ask_done(Request::Load { module, file })
    }

    /// Gives what the start function printed.
    pub fn instantiate(
        &mut self,
        module: u32,
        instance: u32,
        memory_bytes_max: Option<u64>,
    ) -> Result<Returned, ExecuteError> {
        let input = GuestInput::default();
        self.ask_values(Request::Instantiate { module, instance, memory_bytes_max, input })
    }

    /// The same for a WASI program. Its `_start` is then called like any function.
    pub fn instantiate_with(
        &mut self,
        module: u32,
        instance: u32,
        input: GuestInput,
    ) -> Result<Returned, ExecuteError> {
        let memory_bytes_max = None;
        self.ask_values(Request::Instantiate { module, instance, memory_bytes_max, input })
    }

    pub fn call(
        &mut self,
        instance: u32,
        function: &str,
        arguments: &[Value],
    ) -> Result<Returned, ExecuteError> {
        let (function, arguments) = (function.to_owned(), arguments.to_vec());
        self.ask_values(Request::Call { instance, function, arguments })
    }

    pub fn global(&mut self, instance: u32, name: &str) -> Result<Value, ExecuteError> {
        let returned = self.ask_values(Request::Global { instance, name: name.to_owned() })?;
        match returned.values[..] {
            [value] => Ok(value),
            _ => Err(ExecuteError::Protocol(format!("{returned:?} for a global"))),
        }
    }

    pub fn set_global(
        &mut self,
        instance: u32,
        name: &str,
        value: Value,
    ) -> Result<(), ExecuteError> {
        self.ask_done(Request::SetGlobal { instance, name: name.to_owned(), value })
    }

    pub fn read_memory(
        &mut self,
        instance: u32,
        address: u32,
        len_bytes: u32,
    ) -> Result<Vec<u8>, ExecuteError> {
        match self.ask(Request::ReadMemory { instance, address, len_bytes })? {
            Answer::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    pub fn write_memory(
        &mut self,
        instance: u32,
        address: u32,
        bytes: &[u8],
    ) -> Result<(), ExecuteError> {
        self.ask_done(Request::WriteMemory { instance, address, bytes: bytes.to_vec() })
    }

    /// Length and SHA-256 of the whole memory.
    pub fn hash_memory(&mut self, instance: u32) -> Result<(u64, Vec<u8>), ExecuteError> {
        match self.ask(Request::HashMemory { instance })? {
            Answer::MemoryHash { len_bytes, sha256 } => Ok((len_bytes, sha256)),
            other => Err(unexpected(&other)),
        }
    }

    pub fn drop_module(&mut self, module: u32) -> Result<(), ExecuteError> {
        self.ask_done(Request::DropModule { module })
    }

    pub fn drop_instance(&mut self, instance: u32) -> Result<(), ExecuteError> {
        self.ask_done(Request::DropInstance { instance })
    }

    fn ask(&mut self, request: Request) -> Result<Answer, ExecuteError> {
        match self.process.ask(request, self.timeout)? {
            Answer::Refused(refusal) => Err(ExecuteError::Refused(refusal)),
            Answer::Trapped { reason, output, errors } => {
                Err(ExecuteError::Trapped { reason, output, errors })
            }
            answer => Ok(answer),
        }
    }

    fn ask_done(&mut self, request: Request) -> Result<(), ExecuteError> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask_values(&mut self, request: Request) -> Result<Returned, ExecuteError> {
        match self.ask(request)? {
            Answer::Values { values, output, errors } => {
                Ok(Returned { values, output, errors, exit_code: None })
            }
            Answer::Exited { code, output, errors } => {
                Ok(Returned { values: Vec::new(), output, errors, exit_code: Some(code) })
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(answer: &Answer) -> ExecuteError {
    ExecuteError::Protocol(format!("it answered {answer:?}"))
}
