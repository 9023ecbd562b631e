# gpu/: the CUDA back end's host code, in two builds like the kernels it launches:
#   volley_cuda     the plugin libvolley_cuda.so that the program opens where there is a driver
#   vly_gpu_shim    against the shim: the whole back end on the processor, for tests on any machine
file(GLOB gpu_sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} gpu/*.c)
# cuDNN has no twin in the shim; cuBLASLt has tests/gpu/cublas/fake_cublaslt.c.
set(gpu_library_sources ${gpu_sources})
list(FILTER gpu_library_sources INCLUDE REGEX "gpu/(cudnn_library|cudnn_plans|engine_cudnn)\\.c$")
set(gpu_shim_sources ${gpu_sources})
if(gpu_library_sources)
  list(REMOVE_ITEM gpu_shim_sources ${gpu_library_sources})
endif()

add_library(vly_gpu_shim STATIC ${gpu_shim_sources})
target_link_libraries(vly_gpu_shim PUBLIC vly_kernels_shim vly_common Threads::Threads ${CMAKE_DL_LIBS})

if(TARGET vly_kernels_races)
  add_library(vly_gpu_races STATIC ${gpu_shim_sources})
  target_link_libraries(vly_gpu_races PUBLIC vly_kernels_races vly_common Threads::Threads ${CMAKE_DL_LIBS})
endif()

# The shim as a plugin: VLY_CUDA_PLUGIN=libvolley_cuda_shim.so volley train cartpole --device cuda
add_library(volley_cuda_shim MODULE ${gpu_shim_sources})
target_link_libraries(volley_cuda_shim PRIVATE vly_kernels_shim vly_common Threads::Threads ${CMAKE_DL_LIBS})
set_target_properties(volley_cuda_shim PROPERTIES C_VISIBILITY_PRESET hidden)
# The shim itself stays visible: the library that stands for NCCL in tests enqueues on its streams.
target_link_options(volley_cuda_shim PRIVATE -Wl,--exclude-libs,libvly_common.a)

if(TARGET vly_kernels)
  add_library(volley_cuda MODULE ${gpu_sources})
  target_include_directories(volley_cuda PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(volley_cuda PRIVATE vly_kernels vly_common CUDA::cudart_static Threads::Threads ${CMAKE_DL_LIBS})
  # Only what compute_open.h asks for is visible.
  target_link_options(volley_cuda PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,defs -static-libstdc++ -static-libgcc)
  set_target_properties(volley_cuda PROPERTIES C_VISIBILITY_PRESET hidden)
  install(TARGETS volley_cuda LIBRARY DESTINATION lib/volley OPTIONAL)
endif()

if(BUILD_TESTING)
  include(tests/gpu/tests.cmake OPTIONAL)
endif()
