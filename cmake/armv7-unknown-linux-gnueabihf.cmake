# libiwasm for armv7-unknown-linux-gnueabihf. Chosen by cargo's CMAKE_TOOLCHAIN_FILE_*.

set(CMAKE_SYSTEM_PROCESSOR arm)
# With a toolchain file the crate does not pass a compiler, so it stands here.
if(CMAKE_HOST_SYSTEM_PROCESSOR MATCHES "^armv7")
  set(CMAKE_C_COMPILER cc)
else()
  set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
endif()
# With the floating-point unit: floats are passed in its registers. The crate would
# say "ARM", which WAMR takes for no processor in particular.
set(WAMR_BUILD_TARGET ARMV7_VFP)
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
