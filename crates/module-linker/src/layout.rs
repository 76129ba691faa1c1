//! Whether modules that share one memory keep apart in it.
//!
//! What a module claims is what its linker laid out: data, what is zero at the start, and
//! the stack. Of a module that has its own memory and a stack, that is all of the memory
//! that it asks for at the start, since wasm-ld makes this as large as all of it. Of one
//! that imports the memory, it is from its first data (or `__data_end`, if it has none)
//! to its stack's top or `__heap_base`. Modules without a stack, such as those written by
//! hand, claim the bytes of their data alone.
//!
//! Memory that a module gets by `memory.grow` is nobody else's, so this need not be
//! looked at. What pointers do is the modules' own affair.

use crate::constant::Constants;
use crate::error::LinkError;
use crate::read::Module;
use crate::resolve::Plan;
use crate::stack_pointer;
use wasmparser::{DataKind, ExternalKind};

const PAGE_BYTES: u64 = 65_536;
const DATA_END: &str = "__data_end";
const HEAP_BASE: &str = "__heap_base";

struct Claim {
    module: usize,
    start: u64,
    end: u64,
}

pub fn check(
    modules: &[Module<'_>],
    plan: &Plan<'_>,
    constants: &Constants,
) -> Result<(), LinkError> {
    let users = modules.iter().filter(|module| module.uses_memory()).count();
    if users < 2 {
        return Ok(());
    }
    let mut claims = Vec::new();
    for (index, module) in modules.iter().enumerate().filter(|(_, m)| m.uses_memory()) {
        claim(index, module, plan, constants, &mut claims)?;
    }
    claims.retain(|claim| claim.start < claim.end);
    claims.sort_by_key(|claim| (claim.start, claim.end));
    let Some(first) = claims.first() else { return Ok(()) };
    // The one that reaches furthest of those before: within one module they may overlap.
    let mut before = first;
    for claim in &claims[1..] {
        if claim.module != before.module && claim.start < before.end {
            let end = claims.iter().map(|claim| claim.end).max().unwrap_or_default();
            return Err(LinkError::Overlap {
                first: modules[before.module].who(),
                first_range: (before.start, before.end),
                second: modules[claim.module].who(),
                second_range: (claim.start, claim.end),
                advised: end.next_multiple_of(PAGE_BYTES),
            });
        }
        if claim.end > before.end {
            before = claim;
        }
    }
    Ok(())
}

fn claim(
    index: usize,
    module: &Module<'_>,
    plan: &Plan<'_>,
    constants: &Constants,
    claims: &mut Vec<Claim>,
) -> Result<(), LinkError> {
    let globals = &plan.maps[index].globals;
    let value_of = |global: u32| constants.i32_of_global(*globals.get(global as usize)?);
    let exported = |name| value_of(module.exported(name, ExternalKind::Global)?).map(u64::from);
    let mut segments = Vec::new();
    for segment in &module.data {
        let DataKind::Active { offset_expr, .. } = &segment.kind else { continue };
        let Some(start) = constants.i32_of(offset_expr, globals) else {
            return Err(LinkError::AddressUnknown { module: module.who() });
        };
        let (start, bytes) = (u64::from(start), segment.data.len() as u64);
        segments.push(Claim { module: index, start, end: start + bytes });
    }
    segments.retain(|segment| segment.start < segment.end);
    let pointer = stack_pointer::find(module, value_of);
    let Some(top) = pointer.and_then(value_of).map(u64::from) else {
        claims.extend(segments);
        return Ok(());
    };
    if let Some(memory) = module.memory {
        // Cannot overflow: the validation allows 65,536 pages.
        claims.push(Claim { module: index, start: 0, end: memory.initial * PAGE_BYTES });
        return Ok(());
    }
    let data_end = segments.iter().map(|segment| segment.end).max();
    let start = match segments.iter().map(|segment| segment.start).min() {
        Some(start) if start >= top => return Err(LinkError::StackFirst { module: module.who() }),
        Some(start) => start,
        None => exported(DATA_END)
            .filter(|data_end| *data_end < top)
            .ok_or_else(|| LinkError::StackUnknown { module: module.who() })?,
    };
    let ends = [Some(top), data_end, exported(DATA_END), exported(HEAP_BASE)];
    let end = ends.into_iter().flatten().max().unwrap_or(top);
    claims.push(Claim { module: index, start, end });
    Ok(())
}
