# libiwasm for riscv64gc-unknown-linux-gnu. Chosen by cargo's CMAKE_TOOLCHAIN_FILE_*.

set(CMAKE_SYSTEM_PROCESSOR riscv64)
# With a toolchain file the crate does not pass a compiler, so it stands here.
if(CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL "riscv64")
  set(CMAKE_C_COMPILER cc)
else()
  set(CMAKE_C_COMPILER riscv64-linux-gnu-gcc)
endif()
set(WAMR_BUILD_TARGET RISCV64_LP64D)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
