# libiwasm for aarch64-unknown-linux-gnu. Chosen by cargo's CMAKE_TOOLCHAIN_FILE_*.

set(CMAKE_SYSTEM_PROCESSOR aarch64)
# With a toolchain file the crate does not pass a compiler, so it stands here.
if(CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(CMAKE_C_COMPILER cc)
else()
  set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
endif()
set(WAMR_BUILD_TARGET AARCH64)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
