//! What each import becomes, in which order the modules come, and every item's new index.

use crate::error::{LinkError, Who, shorten};
use crate::read::Module;
use std::collections::{BTreeSet, HashMap};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{EntityType, FuncType, MemoryType};
use wasmparser::{Export, ExternalKind, Import, TypeRef};

/// As wasm-ld names the memory of a module that has none (`--import-memory`).
const SHARED_MEMORY: (&str, &str) = ("env", "memory");

/// The result's only memory.
const MEMORY: u32 = 0;

/// What a library of WASI's "reactor" kind wants to have called before all else.
const INITIALIZE: &str = "_initialize";

/// A module's own indices → those of the result.
#[derive(Default)]
pub struct Maps {
    pub types: Vec<u32>,
    pub functions: Vec<u32>,
    pub tables: Vec<u32>,
    pub globals: Vec<u32>,
    pub first_element: u32,
    pub first_data: u32,
}

pub struct Plan<'a> {
    /// Each module after all from which it imports; the main module is the last.
    pub order: Vec<usize>,
    pub types: Vec<FuncType>,
    /// What stays an import.
    pub hosts: Vec<(&'a str, &'a str, EntityType)>,
    pub imported_functions: u32,
    /// By the modules' places in the list, not in the order.
    pub maps: Vec<Maps>,
    pub memory: Option<MemoryType>,
    /// To be called one after the other before anything else.
    pub starts: Vec<u32>,
}

pub fn resolve<'a>(modules: &[Module<'a>]) -> Result<Plan<'a>, LinkError> {
    let names = Names::new(modules);
    let order = in_order(modules, &names)?;
    check_all_are_imported(modules, &names)?;
    let memory = merge_memories(modules, &names)?;
    let mut plan = Plan {
        order,
        types: vec![],
        hosts: vec![],
        imported_functions: 0,
        maps: vec![],
        memory,
        starts: vec![],
    };
    merge_types(modules, &mut plan)?;
    let (hosts, next) = keep_imports(modules, &names, &mut plan)?;
    place(modules, &names, &hosts, next, &mut plan)?;
    find_starts(modules, &mut plan);
    Ok(plan)
}

/// The libraries by their link names, with what each exports.
struct Names<'a, 'm> {
    libraries: HashMap<&'a str, usize>,
    exports: Vec<HashMap<&'a str, &'m Export<'a>>>,
}

impl<'a, 'm> Names<'a, 'm> {
    fn new(modules: &'m [Module<'a>]) -> Self {
        let named = modules.iter().enumerate();
        let libraries = named.filter_map(|(index, m)| Some((m.name?, index))).collect();
        let by_name = |module: &'m Module<'a>| {
            module.exports.iter().map(|export| (export.name, export)).collect()
        };
        Self { libraries, exports: modules.iter().map(by_name).collect() }
    }

    fn library_of(&self, import: &Import<'_>) -> Option<usize> {
        self.libraries.get(import.module).copied()
    }
}

fn in_order(modules: &[Module<'_>], names: &Names<'_, '_>) -> Result<Vec<usize>, LinkError> {
    let needs: Vec<BTreeSet<usize>> = modules
        .iter()
        .map(|m| m.imports.iter().filter_map(|import| names.library_of(import)).collect())
        .collect();
    let mut order = Vec::new();
    let mut path = Vec::new();
    (0..modules.len()).try_for_each(|index| visit(index, &needs, &mut path, &mut order)).map_err(
        |()| {
            // The last one is the one that was met again.
            let again = path.last().copied().unwrap_or_default();
            let begin = path.iter().position(|index| *index == again).unwrap_or_default();
            let quoted = |index: &usize| format!("{:?}", modules[*index].name.unwrap_or_default());
            LinkError::Cyclic { circle: path[begin..].iter().map(quoted).collect() }
        },
    )?;
    Ok(order)
}

/// No deeper than there are modules.
fn visit(
    index: usize,
    needs: &[BTreeSet<usize>],
    path: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), ()> {
    if order.contains(&index) {
        return Ok(());
    }
    let is_circle = path.contains(&index);
    path.push(index);
    if is_circle {
        return Err(());
    }
    for need in &needs[index] {
        visit(*need, needs, path, order)?;
    }
    path.pop();
    order.push(index);
    Ok(())
}

/// A library that nobody wants is one with a mistake in its name.
fn check_all_are_imported(modules: &[Module<'_>], names: &Names<'_, '_>) -> Result<(), LinkError> {
    let imports = || modules.iter().flat_map(|module| &module.imports);
    let wanted: BTreeSet<&str> = imports().map(|import| import.module).collect();
    match names.libraries.keys().filter(|name| !wanted.contains(*name)).min() {
        None => Ok(()),
        Some(name) => Err(LinkError::NotImported {
            name: (*name).to_owned(),
            from: wanted.into_iter().map(shorten).collect(),
        }),
    }
}

fn merge_memories(
    modules: &[Module<'_>],
    names: &Names<'_, '_>,
) -> Result<Option<MemoryType>, LinkError> {
    let mut owner: Option<&Module<'_>> = None;
    for module in modules.iter().filter(|module| module.memory.is_some()) {
        if let Some(first) = owner {
            return Err(LinkError::TwoMemories { first: first.who(), second: module.who() });
        }
        owner = Some(module);
    }
    let mut merged: Option<(MemoryType, Who, Option<Who>)> = None;
    for module in modules {
        let imported = module.imports.iter().find_map(|import| match import.ty {
            TypeRef::Memory(ty) => Some((import, ty)),
            _ => None,
        });
        if let Some((import, _)) = &imported {
            let is_shared = (import.module, import.name) == SHARED_MEMORY;
            if names.library_of(import).is_none() && !(is_shared && owner.is_some()) {
                return Err(LinkError::NoMemory {
                    module: module.who(),
                    import: format!("{}.{}", shorten(import.module), shorten(import.name)),
                });
            }
        }
        let Some(ty) = module.memory.or(imported.map(|(_, ty)| ty)) else { continue };
        let limited_by = || ty.maximum.is_some().then(|| module.who());
        let (all, largest, limited) = merged.get_or_insert_with(|| {
            let ty = MemoryType {
                minimum: ty.initial,
                maximum: ty.maximum,
                memory64: false,
                shared: false,
                page_size_log2: None,
            };
            (ty, module.who(), limited_by())
        });
        if ty.initial > all.minimum {
            (all.minimum, *largest) = (ty.initial, module.who());
        }
        if let Some(maximum) = ty.maximum
            && all.maximum.is_none_or(|all| maximum < all)
        {
            (all.maximum, *limited) = (Some(maximum), limited_by());
        }
    }
    let Some((ty, largest, limited)) = merged else { return Ok(None) };
    match (ty.maximum, limited) {
        (Some(maximum), Some(limited_by)) if maximum < ty.minimum => {
            Err(LinkError::MemoryTooSmall {
                module: largest,
                required_pages: ty.minimum,
                limited_by,
                allowed_pages: maximum,
            })
        }
        _ => Ok(Some(ty)),
    }
}

/// Each type once: two are the same where they are the same in the result.
fn merge_types(modules: &[Module<'_>], plan: &mut Plan<'_>) -> Result<(), LinkError> {
    let mut known: HashMap<FuncType, u32> = HashMap::new();
    for module in modules {
        let mut map = Vec::new();
        for ty in &module.types {
            // A type can speak of itself, in which it does not depend on its place.
            map.push(u32::MAX);
            let key = TypeMap(&map).func_type(ty.clone()).map_err(not_encodable)?;
            let next = plan.types.len() as u32;
            let index = *known.entry(key).or_insert(next);
            map.pop();
            map.push(index);
            if index == next {
                plan.types.push(TypeMap(&map).func_type(ty.clone()).map_err(not_encodable)?);
            }
        }
        plan.maps.push(Maps { types: map, ..Maps::default() });
    }
    Ok(())
}

struct TypeMap<'a>(&'a [u32]);

impl Reencode for TypeMap<'_> {
    type Error = LinkError;

    fn type_index(&mut self, ty: u32) -> Result<u32, wasm_encoder::reencode::Error<LinkError>> {
        Ok(look_up(self.0, ty, "type")?)
    }
}

/// The inputs are valid, so that this finds what it looks for.
pub fn look_up(map: &[u32], index: u32, kind: &str) -> Result<u32, Unknown> {
    map.get(index as usize).copied().ok_or_else(|| Unknown(format!("{kind} {index} is unknown")))
}

pub struct Unknown(String);

impl From<Unknown> for wasm_encoder::reencode::Error<LinkError> {
    fn from(Unknown(message): Unknown) -> Self {
        Self::UserError(LinkError::Bug { message })
    }
}

impl From<Unknown> for LinkError {
    fn from(Unknown(message): Unknown) -> Self {
        Self::Bug { message }
    }
}

pub fn not_encodable(error: wasm_encoder::reencode::Error<LinkError>) -> LinkError {
    match error {
        wasm_encoder::reencode::Error::UserError(error) => error,
        other => LinkError::Bug { message: other.to_string() },
    }
}

/// For each module, by the number of the import: the index of what stays imported.
type Hosts = Vec<HashMap<usize, u32>>;

/// The same function that several modules import is one import of the result. Also the
/// first indices of what is not imported.
fn keep_imports<'a>(
    modules: &[Module<'a>],
    names: &Names<'a, '_>,
    plan: &mut Plan<'a>,
) -> Result<(Hosts, Next), LinkError> {
    let mut hosts: Hosts = modules.iter().map(|_| HashMap::new()).collect();
    let mut functions: HashMap<(&str, &str, u32), u32> = HashMap::new();
    let mut next = Next { function: 0, table: 0, global: 0 };
    for &index in &plan.order {
        let types = std::mem::take(&mut plan.maps[index].types);
        for (number, import) in modules[index].imports.iter().enumerate() {
            if names.library_of(import).is_some() {
                continue;
            }
            let ty = TypeMap(&types).entity_type(import.ty).map_err(not_encodable)?;
            let counter = match ty {
                EntityType::Function(ty) => {
                    let key = (import.module, import.name, ty);
                    if let Some(present) = functions.get(&key) {
                        hosts[index].insert(number, *present);
                        continue;
                    }
                    functions.insert(key, next.function);
                    &mut next.function
                }
                EntityType::Global(_) => &mut next.global,
                EntityType::Table(_) => &mut next.table,
                // It is another module's.
                EntityType::Memory(_) => continue,
                _ => return Err(Unknown("this kind of import is unknown".to_owned()).into()),
            };
            hosts[index].insert(number, *counter);
            *counter += 1;
            plan.hosts.push((import.module, import.name, ty));
        }
        plan.maps[index].types = types;
    }
    plan.imported_functions = next.function;
    Ok((hosts, next))
}

fn place<'a>(
    modules: &[Module<'a>],
    names: &Names<'a, '_>,
    hosts: &Hosts,
    mut next: Next,
    plan: &mut Plan<'a>,
) -> Result<(), LinkError> {
    let (mut elements, mut data) = (0, 0);
    for position in 0..plan.order.len() {
        let index = plan.order[position];
        let module = &modules[index];
        let mut maps = Maps { first_element: elements, first_data: data, ..Maps::default() };
        for (number, import) in module.imports.iter().enumerate() {
            let target = match names.library_of(import) {
                Some(library) => find_export(modules, names, plan, (index, import), library)?,
                None => hosts[index].get(&number).copied().unwrap_or(MEMORY),
            };
            match import.ty {
                TypeRef::Func(_) => maps.functions.push(target),
                TypeRef::Table(_) => maps.tables.push(target),
                TypeRef::Global(_) => maps.globals.push(target),
                _ => {}
            }
        }
        next.functions(&mut maps, module.own_functions().len());
        next.tables(&mut maps, module.tables.len());
        next.globals(&mut maps, module.globals.len());
        elements += module.elements.len() as u32;
        data += module.data.len() as u32;
        maps.types = std::mem::take(&mut plan.maps[index].types);
        plan.maps[index] = maps;
    }
    Ok(())
}

/// The first index that is free. 32 MiB of input have fewer items than 32 bits can count.
struct Next {
    function: u32,
    table: u32,
    global: u32,
}

impl Next {
    fn functions(&mut self, maps: &mut Maps, count: usize) {
        let first = self.function;
        self.function += count as u32;
        maps.functions.extend(first..self.function);
    }

    fn tables(&mut self, maps: &mut Maps, count: usize) {
        let first = self.table;
        self.table += count as u32;
        maps.tables.extend(first..self.table);
    }

    fn globals(&mut self, maps: &mut Maps, count: usize) {
        let first = self.global;
        self.global += count as u32;
        maps.globals.extend(first..self.global);
    }
}

/// The result's index of what a library exports under the import's name and type.
fn find_export<'a>(
    modules: &[Module<'a>],
    names: &Names<'a, '_>,
    plan: &Plan<'a>,
    (importer, import): (usize, &Import<'a>),
    library: usize,
) -> Result<u32, LinkError> {
    let from = &modules[library];
    let Some(export) = names.exports[library].get(import.name) else {
        return Err(LinkError::Unresolved {
            module: modules[importer].who(),
            kind: kind_of(&import.ty),
            import: shorten(import.name),
            library: import.module.to_owned(),
            exports: from.exports.iter().map(|export| shorten(export.name)).collect(),
        });
    };
    let mismatch = |wanted: String, found: String| LinkError::TypeMismatch {
        module: modules[importer].who(),
        import: shorten(import.name),
        library: import.module.to_owned(),
        wanted,
        found,
    };
    let maps = &plan.maps[library];
    match (import.ty, export.kind) {
        (TypeRef::Func(wanted), ExternalKind::Func) => {
            let found = from.functions.get(export.index as usize).copied().unwrap_or_default();
            let wanted_type = look_up(&plan.maps[importer].types, wanted, "type")?;
            if wanted_type != look_up(&maps.types, found, "type")? {
                let show = |module: usize, ty: u32| match modules[module].types.get(ty as usize) {
                    Some(ty) => show_function(ty),
                    None => String::new(),
                };
                return Err(mismatch(show(importer, wanted), show(library, found)));
            }
            Ok(look_up(&maps.functions, export.index, "function")?)
        }
        (TypeRef::Global(wanted), ExternalKind::Global) => {
            let found = from.global_types.get(export.index as usize).copied();
            let of_import = to_global(wanted, &plan.maps[importer])?;
            let of_export = found.map(|found| to_global(found, maps)).transpose()?;
            if of_export != Some(of_import) {
                let found = found.map(|ty| show_global(&ty)).unwrap_or_default();
                return Err(mismatch(show_global(&wanted), found));
            }
            Ok(look_up(&maps.globals, export.index, "global")?)
        }
        (TypeRef::Table(wanted), ExternalKind::Table) => {
            let found = from.table_types.get(export.index as usize).copied();
            let of_import = to_table(wanted, &plan.maps[importer])?;
            let of_export = found.map(|found| to_table(found, maps)).transpose()?;
            if !of_export.is_some_and(|found| is_table_enough(&of_import, &found)) {
                let found = found.map(|ty| show_table(&ty)).unwrap_or_default();
                return Err(mismatch(show_table(&wanted), found));
            }
            Ok(look_up(&maps.tables, export.index, "table")?)
        }
        (TypeRef::Memory(_), ExternalKind::Memory) => Ok(MEMORY),
        (wanted, found) => {
            Err(mismatch(format!("a {}", kind_of(&wanted)), format!("a {}", kind_of_export(found))))
        }
    }
}

fn to_global(
    ty: wasmparser::GlobalType,
    maps: &Maps,
) -> Result<wasm_encoder::GlobalType, LinkError> {
    TypeMap(&maps.types).global_type(ty).map_err(not_encodable)
}

fn to_table(ty: wasmparser::TableType, maps: &Maps) -> Result<wasm_encoder::TableType, LinkError> {
    TypeMap(&maps.types).table_type(ty).map_err(not_encodable)
}

/// Core specification, "Import Subtyping" of tables.
fn is_table_enough(wanted: &wasm_encoder::TableType, found: &wasm_encoder::TableType) -> bool {
    wanted.element_type == found.element_type
        && found.minimum >= wanted.minimum
        && wanted.maximum.is_none_or(|wanted| found.maximum.is_some_and(|found| found <= wanted))
}

fn find_starts(modules: &[Module<'_>], plan: &mut Plan<'_>) {
    for &index in &plan.order {
        let module = &modules[index];
        // The main module's own is an export of the result, for whoever starts that.
        let initialize = module.exported(INITIALIZE, ExternalKind::Func).filter(|function| {
            let ty = module.functions.get(*function as usize);
            let ty = ty.and_then(|ty| module.types.get(*ty as usize));
            module.name.is_some()
                && ty.is_some_and(|t| t.params().is_empty() && t.results().is_empty())
        });
        for own in [module.start, initialize].into_iter().flatten() {
            let function = plan.maps[index].functions.get(own as usize).copied();
            plan.starts.extend(function.filter(|function| !plan.starts.contains(function)));
        }
    }
}

fn kind_of(ty: &TypeRef) -> &'static str {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
        TypeRef::Table(_) => "table",
        TypeRef::Memory(_) => "memory",
        TypeRef::Global(_) => "global",
        TypeRef::Tag(_) => "tag",
    }
}

fn kind_of_export(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}

/// `(i32, f64) -> (i64)`, of a thousand values the first ones.
fn show_function(ty: &wasmparser::FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| {
        types.iter().take(16).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    shorten(&format!("({}) -> ({})", list(ty.params()), list(ty.results())))
}

fn show_global(ty: &wasmparser::GlobalType) -> String {
    let mutable = if ty.mutable { "a mutable" } else { "a constant" };
    format!("{mutable} global of type {}", ty.content_type)
}

fn show_table(ty: &wasmparser::TableType) -> String {
    let most = ty.maximum.map(|max| format!(", at most {max}")).unwrap_or_default();
    format!("a table of {} with {} entries at least{most}", ty.element_type, ty.initial)
}
