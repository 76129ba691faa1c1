//! A loaded module: compiled code in executable memory, shared by its instances.
//!
//! In a build for the interpreter (`profile::MODE`) it is a WebAssembly module and
//! not an AoT file that is loaded; all else is the same.

use crate::profile::{MODE, Mode, Profile, ProfileMismatch};
use crate::runtime::Runtime;
use crate::value::{FuncType, ValueType};
use crate::wasm_file;
use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use target_spec::metering::{self, MeteringNote};
use target_spec::profile::AotProfile;
use wamrx_sys as sys;

use aot_reader::AotFile;
pub use aot_reader::MemoryInfo;

/// Room for WAMR's messages.
pub(crate) const ERROR_BYTES: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Profile(#[from] ProfileMismatch),
    #[error("this build of WAMR interprets: it loads WebAssembly modules, and this is none")]
    NotWasm,
    #[error("WAMR refuses the file: {0}")]
    Malformed(String),
    #[error("the module imports {}, which nothing offers; offered are: {}", names.join(", "), offered.join(", "))]
    UnknownImports { names: Vec<String>, offered: Vec<String> },
    #[error("the module imports {name} with the type {asked}; it is offered as {offered}")]
    ImportType { name: String, asked: FuncType, offered: FuncType },
}

/// What an import or export is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternType {
    Function(FuncType),
    Global {
        value: ValueType,
        mutable: bool,
    },
    Table,
    Memory,
    /// Of a type that this wrapper does not know: cannot be called or read.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub module: String,
    pub name: String,
    pub ty: ExternType,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub name: String,
    pub ty: ExternType,
}

pub struct Module<'r> {
    raw: NonNull<sys::WASMModuleCommon>,
    /// None for a module that is interpreted.
    profile: Option<AotProfile>,
    metering: Option<MeteringNote>,
    memories: Vec<MemoryInfo>,
    exports: Vec<Export>,
    /// Their names as C has them, in the same order, so that a call makes none.
    c_names: Vec<CString>,
    /// Only to hold the borrow: the runtime must outlive the module.
    _runtime: &'r Runtime,
    /// The file, and its length. Data segments are copied from it at each instantiation.
    file: Vec<u64>,
    file_bytes: usize,
}

impl<'r> Module<'r> {
    /// Checks that the file is of this build's profile and that every import is
    /// offered with the same type, then loads a copy of it.
    ///
    /// Whoever calls this vouches for the bytes; see the top of this crate.
    pub fn load(runtime: &'r Runtime, artifact: &[u8]) -> Result<Self, LoadError> {
        let (profile, memories) = match MODE {
            Mode::Aot => {
                let profile = Profile::of_this_build().check(artifact)?;
                let memories = AotFile::parse(artifact).and_then(|file| file.memories());
                (Some(profile), memories.map_err(|e| LoadError::Malformed(e.to_string()))?)
            }
            Mode::Interpreter if !wasm_file::is_module(artifact) => {
                return Err(LoadError::NotWasm);
            }
            Mode::Interpreter => (None, wasm_file::memories(artifact).unwrap_or_default()),
        };
        let metering = read_metering(artifact)?;
        let (mut file, file_bytes) = (aligned_copy(artifact), artifact.len());
        let raw = load_unresolved(&mut file, artifact.len())?;
        let (exports, c_names) = Default::default();
        let _runtime = runtime;
        let mut module =
            Self { raw, profile, metering, memories, exports, c_names, _runtime, file, file_bytes };
        module.check_imports(runtime)?;
        // SAFETY: the module is loaded and not resolved (`no_resolve` below).
        if !unsafe { sys::wasm_runtime_resolve_symbols(module.raw()) } {
            return Err(LoadError::Malformed("an import could not be linked".into()));
        }
        module.exports = module.read_exports();
        let c_names = module.exports.iter().map(|export| CString::new(export.name.as_str()));
        // WAMR's strings end with NUL, so none is in them.
        module.c_names = c_names.map(Result::unwrap_or_default).collect();
        Ok(module)
    }

    /// The note that the compiler left in the file; none if it is interpreted.
    pub fn profile(&self) -> Option<&AotProfile> {
        self.profile.as_ref()
    }

    /// Whether it was loaded from these very bytes. WAMR reads an AoT file and never writes
    /// to it (a test holds it to that); if it did, this would say no.
    pub fn is_of(&self, artifact: &[u8]) -> bool {
        self.file_bytes == artifact.len() && self.file.iter().copied().eq(words_of(artifact))
    }

    /// What a metered module says of itself.
    pub fn metering(&self) -> Option<&MeteringNote> {
        self.metering.as_ref()
    }

    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// The type of an exported function.
    pub fn function_type(&self, name: &str) -> Option<&FuncType> {
        self.exports.iter().find_map(|export| match &export.ty {
            ExternType::Function(func_type) if export.name == name => Some(func_type),
            _ => None,
        })
    }

    /// An exported function's type, and its name for WAMR.
    pub(crate) fn function(&self, name: &str) -> Option<(&FuncType, &CStr)> {
        self.exports.iter().zip(&self.c_names).find_map(|(export, c_name)| match &export.ty {
            ExternType::Function(func_type) if export.name == name => {
                Some((func_type, c_name.as_c_str()))
            }
            _ => None,
        })
    }

    /// The memory that accesses go to. Empty where the source declared none.
    pub fn memory(&self) -> Option<MemoryInfo> {
        self.memories.first().copied()
    }

    pub(crate) fn raw(&self) -> sys::wasm_module_t {
        self.raw.as_ptr()
    }

    /// Names every import that nothing offers; a wrong type only if there is none.
    fn check_imports(&self, runtime: &Runtime) -> Result<(), LoadError> {
        let mut unknown = Vec::new();
        let mut mismatch = None;
        for import in self.imports() {
            let name = format!("{}.{}", import.module, import.name);
            match import.ty {
                ExternType::Function(asked) => {
                    match runtime.offered_type(&import.module, &import.name) {
                        Some(offered) if offered == asked => {}
                        Some(offered) => {
                            mismatch = Some(LoadError::ImportType { name, asked, offered });
                        }
                        None => unknown.push(format!("{name} {asked}")),
                    }
                }
                ExternType::Global { .. } => unknown.push(format!("{name} (a global)")),
                ExternType::Table => unknown.push(format!("{name} (a table)")),
                ExternType::Memory => unknown.push(format!("{name} (a memory)")),
                ExternType::Unknown => unknown.push(format!("{name} (of an unknown type)")),
            }
        }
        if !unknown.is_empty() {
            let offered = runtime.offered_imports();
            return Err(LoadError::UnknownImports { names: unknown, offered });
        }
        mismatch.map_or(Ok(()), Err)
    }

    /// Imports as the file has them. Memories and tables are not among them: the
    /// AoT format lists an imported one as the module's own.
    fn imports(&self) -> Vec<Import> {
        // SAFETY: the module is loaded; the answer is a count or -1.
        let count = unsafe { sys::wasm_runtime_get_import_count(self.raw()) };
        let read = |index| {
            // SAFETY: all-zero bytes are a valid `wasm_import_t`: null pointers,
            // the kind 0 and false.
            let mut import: sys::wasm_import_t = unsafe { std::mem::zeroed() };
            // SAFETY: 0 <= index < count; WAMR fills the structure with strings
            // that live as long as the module and with the type's pointer.
            unsafe { sys::wasm_runtime_get_import_type(self.raw(), index, &mut import) };
            // SAFETY: as above; kind and pointer belong together.
            let (module, name, ty) = unsafe {
                let (function, global) = (import.u.func_type, import.u.global_type);
                let ty = extern_type(import.kind, function, global);
                (text(import.module_name), text(import.name), ty)
            };
            Import { module, name, ty }
        };
        (0..count).map(read).collect()
    }

    fn read_exports(&self) -> Vec<Export> {
        // SAFETY: the module is loaded; the answer is a count or -1.
        let count = unsafe { sys::wasm_runtime_get_export_count(self.raw()) };
        let read = |index| {
            // SAFETY: all-zero bytes are a valid `wasm_export_t`, as above.
            let mut export: sys::wasm_export_t = unsafe { std::mem::zeroed() };
            // SAFETY: 0 <= index < count; the strings live as long as the module.
            unsafe { sys::wasm_runtime_get_export_type(self.raw(), index, &mut export) };
            // SAFETY: as above; kind and pointer belong together.
            let (name, ty) = unsafe {
                let (function, global) = (export.u.func_type, export.u.global_type);
                (text(export.name), extern_type(export.kind, function, global))
            };
            Export { name, ty }
        };
        (0..count).map(read).collect()
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once, on the same thread; instances
        // borrow the module, so none is left (wasm_export.h, wasm_runtime_unload).
        unsafe { sys::wasm_runtime_unload(self.raw()) };
    }
}

fn read_metering(artifact: &[u8]) -> Result<Option<MeteringNote>, LoadError> {
    let malformed = |error: String| LoadError::Malformed(error);
    let note = match MODE {
        Mode::Aot => {
            let file = AotFile::parse(artifact).map_err(|e| malformed(e.to_string()))?;
            file.custom_section(metering::SECTION_NAME)
        }
        Mode::Interpreter => wasm_file::custom_section(artifact, metering::SECTION_NAME),
    };
    note.map(MeteringNote::from_bytes).transpose().map_err(|e| malformed(e.to_string()))
}

/// The loader aligns addresses, so it gets a copy made of u64: a `Vec<u8>` promises no
/// alignment.
fn aligned_copy(bytes: &[u8]) -> Vec<u64> {
    words_of(bytes).collect()
}

/// The last one is filled up with zeros.
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|bytes| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(padded)
    })
}

fn load_unresolved(
    file: &mut [u64],
    len: usize,
) -> Result<NonNull<sys::WASMModuleCommon>, LoadError> {
    let len = u32::try_from(len)
        .map_err(|_| LoadError::Malformed("the file is larger than 4 GiB".into()))?;
    let mut error = [0 as c_char; ERROR_BYTES];
    let args = sys::LoadArgs {
        // The module keeps the pointer, and never writes through it.
        name: c"".as_ptr().cast_mut(),
        clone_wasm_binary: false,
        // True would mean that the file may be freed after the call, but WAMR 2.4.3
        // sets the module's flag only after it has read the data segments, which
        // then point into the freed file (wasm_runtime_load_ex, load_mem_init_data_list).
        wasm_binary_freeable: false,
        // Imports are checked and named first; WAMR would only warn.
        no_resolve: true,
    };
    // SAFETY: the buffer has `len` bytes and is aligned; `Module` keeps it until
    // after unload (wasm_export.h, wasm_runtime_load). The error buffer has the
    // size told. The content is vouched for by the caller of `Module::load`.
    let module = unsafe {
        sys::wasm_runtime_load_ex(
            file.as_mut_ptr().cast(),
            len,
            &args,
            error.as_mut_ptr(),
            ERROR_BYTES as u32,
        )
    };
    NonNull::new(module).ok_or_else(|| LoadError::Malformed(error_text(&error)))
}

/// # Safety
/// The kind must say which of the two pointers is one, as WAMR's import and
/// export structures do, and the type must be alive.
unsafe fn extern_type(
    kind: sys::wasm_import_export_kind_t,
    function: sys::wasm_func_type_t,
    global: sys::wasm_global_type_t,
) -> ExternType {
    match kind {
        sys::WASM_IMPORT_EXPORT_KIND_FUNC => {
            // SAFETY: the kind says that this is a function type; indices stay
            // below the counts it gives.
            let (params, results) = unsafe {
                let params = (0..sys::wasm_func_type_get_param_count(function))
                    .map(|i| sys::wasm_func_type_get_param_valkind(function, i))
                    .collect::<Vec<_>>();
                let results = (0..sys::wasm_func_type_get_result_count(function))
                    .map(|i| sys::wasm_func_type_get_result_valkind(function, i))
                    .collect::<Vec<_>>();
                (params, results)
            };
            let params: Option<_> = params.into_iter().map(ValueType::from_kind).collect();
            let results: Option<_> = results.into_iter().map(from_result_kind).collect();
            match (params, results) {
                (Some(params), Some(results)) => ExternType::Function(FuncType { params, results }),
                _ => ExternType::Unknown,
            }
        }
        sys::WASM_IMPORT_EXPORT_KIND_GLOBAL => {
            // SAFETY: the kind says that this is a global's type.
            let (kind, mutable) = unsafe {
                let kind = sys::wasm_global_type_get_valkind(global);
                (kind, sys::wasm_global_type_get_mutable(global))
            };
            ValueType::from_kind(kind)
                .map_or(ExternType::Unknown, |value| ExternType::Global { value, mutable })
        }
        sys::WASM_IMPORT_EXPORT_KIND_TABLE => ExternType::Table,
        _ => ExternType::Memory,
    }
}

/// WAMR 2.4.3 answers -1 for a result of type externref, alone among the types
/// that its loader admits (wasm_func_type_get_result_valkind).
fn from_result_kind(kind: sys::wasm_valkind_t) -> Option<ValueType> {
    if kind == sys::wasm_valkind_t::MAX {
        return Some(ValueType::ExternRef);
    }
    ValueType::from_kind(kind)
}

/// # Safety
/// `text` must be null or a string that ends with NUL.
pub(crate) unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// WAMR's message without the words that it puts before each.
pub(crate) fn error_text(error: &[c_char; ERROR_BYTES]) -> String {
    let bytes: Vec<u8> =
        error.iter().flat_map(|c| c.to_ne_bytes()).take_while(|b| *b != 0).collect();
    let text = String::from_utf8_lossy(&bytes);
    let mut text = text.as_ref();
    for engine in ["AOT", "WASM"] {
        text = text.strip_prefix(engine).unwrap_or(text);
    }
    for phase in [" module load failed: ", " module instantiate failed: "] {
        text = text.strip_prefix(phase).unwrap_or(text);
    }
    text.strip_prefix("Exception: ").unwrap_or(text).to_owned()
}
