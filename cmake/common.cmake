# What every target of libiwasm has in common: the AoT loader and nothing else
# (in the tests' second mode, the interpreter and nothing else).
#
# Each toolchain file includes this one last. `wamrx-sys` passes its own choices
# as -D cache entries (interpreter on, AoT off); a plain variable set in a
# toolchain file hides a cache entry of the same name, and that is how these
# lines win. WAMR's own names and defaults: wasm-micro-runtime/CMakeLists.txt and
# build-scripts/config_common.cmake inside the crate.

set(CMAKE_SYSTEM_NAME Linux)
# CMake's probes need not link, so no C library of the target is needed for them.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

# One build of the C part for every cargo profile. cargo's dev profile would ask
# for Debug, which turns WAMR's assertions on and so tests another library than
# the one that ships.
set(CMAKE_BUILD_TYPE MinSizeRel)

# Running mode: compiled files only, or for the tests' comparison WAMR's fast
# interpreter only. crates/wamr reads the same variable in its build script.
set(FARRIER_WAMR_MODE "$ENV{FARRIER_WAMR_MODE}")
if(FARRIER_WAMR_MODE STREQUAL "" OR FARRIER_WAMR_MODE STREQUAL "aot")
  set(WAMR_BUILD_AOT 1)
  set(WAMR_BUILD_INTERP 0)
  set(WAMR_BUILD_FAST_INTERP 0)
elseif(FARRIER_WAMR_MODE STREQUAL "interpreter")
  set(WAMR_BUILD_AOT 0)
  set(WAMR_BUILD_INTERP 1)
  set(WAMR_BUILD_FAST_INTERP 1)
else()
  message(FATAL_ERROR
    "FARRIER_WAMR_MODE is \"${FARRIER_WAMR_MODE}\": use aot or interpreter")
endif()
set(WAMR_BUILD_JIT 0)
set(WAMR_BUILD_FAST_JIT 0)
# SIMDe's search path would drag in the host's headers, and WAMR fetches it from
# the network. Compiled code does not need it, the interpreter's SIMD does.
set(WAMR_BUILD_LIB_SIMDE 0)

# Proposals. GC must stay off: it changes the layout of an AoT file.
set(WAMR_BUILD_BULK_MEMORY 1)
set(WAMR_BUILD_REF_TYPES 1)
set(WAMR_BUILD_SIMD ${WAMR_BUILD_AOT}) # WAMR switches it off again on RISC-V.
set(WAMR_BUILD_GC 0)
set(WAMR_BUILD_MEMORY64 0)
set(WAMR_BUILD_SHARED_MEMORY 0)
set(WAMR_BUILD_THREAD_MGR 0)
set(WAMR_BUILD_TAIL_CALL 0)
set(WAMR_BUILD_EXTENDED_CONST_EXPR 0)

# A guest sees what farrier-runtime registers and nothing else.
set(WAMR_BUILD_LIBC_BUILTIN 0)
set(WAMR_BUILD_LIBC_WASI 0)
set(WAMR_BUILD_MULTI_MODULE 0)
set(WAMR_BUILD_SHARED_HEAP 0)

# The intrinsics serve processors without a floating-point unit, and our
# compiler never calls them.
set(WAMR_BUILD_AOT_INTRINSICS 0)
# Our code does not address memory relative to GS; saving the write costs nothing.
set(WAMR_DISABLE_WRITE_GS_BASE 1)

# Stack that compiled code leaves unused before it traps with "native stack
# overflow". Host functions are Rust code running on what remains, so WAMR's
# 3 KiB are too few; crates/wamr checks for its own need on top.
set(WAMR_BUILD_STACK_GUARD_SIZE 16384)

# Bounds checks: the one choice that splits runtimes into profiles. crates/wamr
# reads the same variable in its build script and verifies at start that the
# library agrees with it.
set(FARRIER_BOUNDS_CHECKS "$ENV{FARRIER_BOUNDS_CHECKS}")
if(FARRIER_BOUNDS_CHECKS STREQUAL "")
  if(WAMR_BUILD_TARGET STREQUAL "X86_64")
    set(FARRIER_BOUNDS_CHECKS hardware)
  else()
    set(FARRIER_BOUNDS_CHECKS software)
  endif()
endif()

if(FARRIER_BOUNDS_CHECKS STREQUAL "hardware")
  set(WAMR_DISABLE_HW_BOUND_CHECK 0)
  # Compiled code has no stack test of its own in this mode, so the guard pages
  # must stay on: without them a recursion ends the process.
  set(WAMR_DISABLE_STACK_HW_BOUND_CHECK 0)
elseif(FARRIER_BOUNDS_CHECKS STREQUAL "software")
  set(WAMR_DISABLE_HW_BOUND_CHECK 1)
  set(WAMR_DISABLE_STACK_HW_BOUND_CHECK 1)
else()
  message(FATAL_ERROR
    "FARRIER_BOUNDS_CHECKS is \"${FARRIER_BOUNDS_CHECKS}\": use hardware or software")
endif()
