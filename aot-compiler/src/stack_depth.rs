//! How much native stack a module's own code needs at most, from the frames of its
//! functions and from who calls whom.
//!
//! `compile` puts the answer into the artifact, and the gateway compares it with the
//! stack that a deployment gives. Recursion and calls through a table leave no bound;
//! then there is no answer. The host's functions and WAMR's helpers come on top: they
//! are bounded by `translate::STACK_RESERVE_BYTES`.

use crate::codegen::{Callee, CompiledFunction};

/// The return address and the caller's frame pointer, on all our architectures.
const FRAME_HEADER_BYTES: u64 = 16;

#[derive(Clone, Copy)]
enum Depth {
    Unknown,
    /// On the path that is being walked.
    Open,
    Known(u64),
}

/// The deepest of all chains of calls that begin at `roots`, own functions by index.
pub(crate) fn deepest_stack_bytes(
    functions: &[Option<CompiledFunction>],
    roots: impl Iterator<Item = u32>,
) -> Option<u64> {
    let mut depths = vec![Depth::Unknown; functions.len()];
    let mut deepest = 0;
    for root in roots {
        deepest = deepest.max(depth_from(functions, &mut depths, root)?);
    }
    Some(deepest)
}

/// Without recursion of our own: a chain of calls may be as long as a module.
fn depth_from(
    functions: &[Option<CompiledFunction>],
    depths: &mut [Depth],
    root: u32,
) -> Option<u64> {
    // A function, how many of its calls were looked at, and the deepest of these.
    let mut path: Vec<(u32, usize, u64)> = Vec::new();
    let mut entered = Some(root);
    loop {
        if let Some(function) = entered.take() {
            match depths.get(function as usize)? {
                Depth::Open => return None,
                Depth::Known(depth) => match path.last_mut() {
                    None => return Some(*depth),
                    Some((_, _, deepest)) => *deepest = (*deepest).max(*depth),
                },
                Depth::Unknown => {
                    // Reached, so it has code.
                    if functions[function as usize].as_ref()?.calls_through_table {
                        return None;
                    }
                    depths[function as usize] = Depth::Open;
                    path.push((function, 0, 0));
                }
            }
        }
        let (function, looked_at, deepest) = path.last_mut()?;
        let code = functions[*function as usize].as_ref()?;
        match code.body.calls.get(*looked_at) {
            Some(call) => {
                *looked_at += 1;
                entered = match call.callee {
                    Callee::Own(callee) | Callee::Body(callee) => Some(callee),
                    Callee::Helper(_) => None,
                    // By its type, whatever a table holds.
                    Callee::Dispatcher(_) => return None,
                };
            }
            None => {
                depths[*function as usize] = Depth::Known(own_bytes(code) + *deepest);
                entered = Some(*function);
                path.pop();
            }
        }
    }
}

fn own_bytes(function: &CompiledFunction) -> u64 {
    let before = function.stack_test.iter().chain(&function.host_entry);
    let frames = before.map(|code| code.frame_bytes).chain([function.frame_bytes]);
    frames.map(|frame_bytes| u64::from(frame_bytes) + FRAME_HEADER_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::{Call, MachineCode};
    use cranelift_codegen::binemit::Reloc;

    fn function(frame_bytes: u32, callees: &[u32]) -> Option<CompiledFunction> {
        let to_call = |callee: &u32| Call {
            offset: 0,
            kind: Reloc::X86CallPCRel4,
            addend: 0,
            callee: Callee::Own(*callee),
        };
        let calls = callees.iter().map(to_call).collect();
        let body = MachineCode { code: vec![], calls, frame_bytes };
        Some(CompiledFunction {
            body,
            stack_test: None,
            host_entry: None,
            frame_bytes,
            calls_through_table: false,
        })
    }

    #[test]
    fn the_deepest_chain_counts_and_not_the_sum() {
        let functions =
            [function(100, &[1, 2, 1]), function(50, &[3]), function(10, &[3]), function(4, &[])];
        let depth = |root| deepest_stack_bytes(&functions, [root].into_iter());
        assert_eq!(depth(3), Some(20));
        assert_eq!(depth(2), Some(46));
        assert_eq!(depth(0), Some(100 + 50 + 4 + 3 * 16));
        assert_eq!(deepest_stack_bytes(&functions, 0..4), depth(0));
        assert_eq!(deepest_stack_bytes(&functions, 0..0), Some(0));
    }

    #[test]
    fn recursion_and_tables_leave_no_bound_where_they_can_be_reached() {
        let mut functions =
            [function(8, &[1]), function(8, &[2]), function(8, &[1]), function(8, &[])];
        let depth = |functions: &[Option<CompiledFunction>], root: u32| {
            deepest_stack_bytes(functions, [root].into_iter())
        };
        assert_eq!(depth(&functions, 0), None);
        assert_eq!(depth(&functions, 3), Some(24));
        functions[3].as_mut().unwrap().calls_through_table = true;
        assert_eq!(depth(&functions, 3), None);
    }

    #[test]
    fn a_chain_as_long_as_a_module_is_walked_without_recursion() {
        let count = 100_000;
        let functions: Vec<_> = (0..count)
            .map(
                |index| {
                    if index + 1 < count { function(0, &[index + 1]) } else { function(0, &[]) }
                },
            )
            .collect();
        assert_eq!(deepest_stack_bytes(&functions, 0..1), Some(u64::from(count) * 16));
    }
}
