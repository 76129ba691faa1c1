//! The heap that WAMR takes its structures from, counted: what an instance costs beside
//! its linear memory, which WAMR maps and does not take from here.
//!
//! It is the system's allocator, asked for the size of each block. WAMR's own counters
//! exist for its pool allocator alone (`wasm_runtime_get_mem_alloc_info`).

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use wamrx_sys as sys;

/// Of the process: there is one WAMR in it.
static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the blocks that WAMR holds now, with what the allocator rounded up.
pub fn held_bytes() -> usize {
    HELD_BYTES.load(Ordering::Relaxed)
}

pub fn counting_allocator() -> sys::MemAllocOption {
    // The types are those that WAMR calls through (common/wasm_memory.c).
    let allocator = sys::MemAllocOption__bindgen_ty_2 {
        malloc_func: malloc as *mut c_void,
        realloc_func: realloc as *mut c_void,
        free_func: free as *mut c_void,
        ..Default::default()
    };
    sys::MemAllocOption { allocator }
}

extern "C" fn malloc(size: c_uint) -> *mut c_void {
    // SAFETY: any size may be asked for.
    let block = unsafe { libc::malloc(size as usize) };
    HELD_BYTES.fetch_add(size_of_block(block), Ordering::Relaxed);
    block
}

extern "C" fn realloc(block: *mut c_void, size: c_uint) -> *mut c_void {
    let old_bytes = size_of_block(block);
    // SAFETY: WAMR gives a block of this allocator that it still holds, or null.
    let moved = unsafe { libc::realloc(block, size as usize) };
    // Where there is no room, the old block stays.
    if !moved.is_null() {
        HELD_BYTES.fetch_add(size_of_block(moved), Ordering::Relaxed);
        HELD_BYTES.fetch_sub(old_bytes, Ordering::Relaxed);
    }
    moved
}

extern "C" fn free(block: *mut c_void) {
    HELD_BYTES.fetch_sub(size_of_block(block), Ordering::Relaxed);
    // SAFETY: as above; it does not use the block again.
    unsafe { libc::free(block) };
}

/// 0 of null.
fn size_of_block(block: *mut c_void) -> usize {
    // SAFETY: null or a live block of this allocator, whoever calls.
    unsafe { libc::malloc_usable_size(block) }
}
