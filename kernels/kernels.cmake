# kernels/: one .cu per operation. Two builds of the same source:
#   vly_kernels       nvcc, where there is a CUDA compiler (an installed toolkit, or build/cuda from `make cuda`)
#   vly_kernels_shim  the C++ compiler against kernels/shim: runs on the processor, for tests on any machine
enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
file(GLOB kernel_sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} kernels/*.cu)

# The shim: each kernel file becomes one C++ file that includes it.
set(shim_runtime kernels/shim/counts.cpp kernels/shim/fibers.cpp kernels/shim/memory.cpp kernels/shim/runtime.cpp
  kernels/shim/warpgroups.cpp)
if(NOT VLY_SANITIZE) # a sanitizer brings its own check of alignment
  list(APPEND shim_runtime kernels/shim/alignment.cpp)
endif()
set(shim_sources "")
foreach(source ${kernel_sources})
  get_filename_component(name ${source} NAME_WE)
  file(CONFIGURE OUTPUT shim/${name}.cpp CONTENT "#include \"${source}\"\n")
  list(APPEND shim_sources ${PROJECT_BINARY_DIR}/shim/${name}.cpp)
endforeach()
add_library(vly_kernels_shim STATIC ${shim_runtime} ${shim_sources})
target_include_directories(vly_kernels_shim BEFORE PUBLIC ${PROJECT_SOURCE_DIR}/kernels/shim/include)
target_link_libraries(vly_kernels_shim PUBLIC vly_common)
# Kernels move 16 bytes of whatever type at once, as devices do: on a processor that is aliasing (gcc 13 would use it).
target_compile_options(vly_kernels_shim PRIVATE -ffp-contract=off -fno-strict-aliasing -Wno-unused-function -Wno-unknown-pragmas)

# Misaligned accesses are faults of the kernel.
if(NOT VLY_SANITIZE)
  set_source_files_properties(${shim_sources} PROPERTIES COMPILE_OPTIONS -fsanitize=alignment)
endif()

# The same with the race detector (kernels/shim/races.h): the kernels carry ThreadSanitizer's instrumentation, whose
# functions are the detector's. No sanitizer of the compiler can be linked beside it.
if(NOT VLY_SANITIZE)
  add_library(vly_kernels_races_code OBJECT ${shim_sources})
  add_library(vly_kernels_races STATIC ${shim_runtime} kernels/shim/races.cpp $<TARGET_OBJECTS:vly_kernels_races_code>)
  foreach(target vly_kernels_races_code vly_kernels_races)
    target_include_directories(${target} BEFORE PUBLIC ${PROJECT_SOURCE_DIR}/kernels/shim/include)
    target_compile_definitions(${target} PUBLIC VLY_SHIM_RACES)
    target_link_libraries(${target} PUBLIC vly_common)
    target_compile_options(${target} PRIVATE -ffp-contract=off -fno-strict-aliasing -Wno-unused-function -Wno-unknown-pragmas)
  endforeach()
  target_compile_options(vly_kernels_races_code PRIVATE -fsanitize=thread)
endif()

# nvcc. A development build on a machine without a GPU stops at PTX, which is quick; VLY_CUDA_ARCHS=all is
# what CI and the bundle build: every card from Turing to Blackwell.
set(VLY_CUDA_ALL_ARCHS 75-real 80-real 86-real 89-real 90a-real 100-real 103-real 110-real 120-real 120-virtual)
set(VLY_CUDA_ARCHS "" CACHE STRING "CUDA architectures: a CMake list, 'all', or empty (this machine's card, else PTX only)")
if(VLY_CUDA)
  if(NOT CMAKE_CUDA_COMPILER AND EXISTS ${PROJECT_SOURCE_DIR}/build/cuda/bin/nvcc)
    set(CMAKE_CUDA_COMPILER ${PROJECT_SOURCE_DIR}/build/cuda/bin/nvcc)
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-virtual)
  endif()
  if(NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
  endif()
  include(CheckLanguage)
  check_language(CUDA)
endif()
if(VLY_CUDA AND CMAKE_CUDA_COMPILER)
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 17)
  find_package(CUDAToolkit REQUIRED)
  if(VLY_CUDA_ARCHS STREQUAL "all")
    set(cuda_archs ${VLY_CUDA_ALL_ARCHS})
  elseif(VLY_CUDA_ARCHS)
    set(cuda_archs ${VLY_CUDA_ARCHS})
  elseif(EXISTS /dev/nvidiactl)
    set(cuda_archs ${CMAKE_CUDA_ARCHITECTURES_NATIVE})
    if(NOT cuda_archs)
      set(cuda_archs native)
    endif()
    list(TRANSFORM cuda_archs REPLACE "^90(-real)?$" "90a-real") # the same cards, with wgmma
  else()
    set(cuda_archs 80-virtual)
  endif()
  add_library(vly_kernels STATIC ${kernel_sources})
  set_target_properties(vly_kernels PROPERTIES CUDA_ARCHITECTURES "${cuda_archs}")
  target_include_directories(vly_kernels PUBLIC ${PROJECT_SOURCE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
  # -fmad=false: one result with the CPU; where a product-sum should be fused the source says fmaf.
  target_compile_options(vly_kernels PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false -lineinfo --Werror=all-warnings
    -Xcudafe=--diag_suppress=177 -Xcompiler=-Wall,-Wextra,-Wno-unused-function>)
  target_link_libraries(vly_kernels PUBLIC vly_common)
  message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}: ${CMAKE_CUDA_COMPILER}, for ${cuda_archs}")
else()
  message(STATUS "CUDA: no compiler found (make cuda fetches one); the kernels build against the shim only")
endif()
