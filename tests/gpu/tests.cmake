# Every tests/gpu/NAME.c is two tests: gpu_NAME_shim, which runs everywhere, and gpu_NAME_device, the same claims
# through the plugin, which skips loudly where there is no CUDA device.
file(GLOB gpu_test_sources CONFIGURE_DEPENDS tests/gpu/*.c)
foreach(source ${gpu_test_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(gpu_${name}_shim ${source})
  target_compile_definitions(gpu_${name}_shim PRIVATE VLY_TEST_SHIM)
  target_link_libraries(gpu_${name}_shim PRIVATE vly_envs vly_cpu vly_gpu_shim)
  set(gpu_tests gpu_${name}_shim)
  if(TARGET volley_cuda)
    add_executable(gpu_${name}_device ${source})
    target_link_libraries(gpu_${name}_device PRIVATE vly_envs vly_cpu)
    add_dependencies(gpu_${name}_device volley_cuda)
    list(APPEND gpu_tests gpu_${name}_device)
  endif()
  foreach(test ${gpu_tests})
    add_test(NAME ${test} COMMAND ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  endforeach()
endforeach()

# The kernels once more under the shim's race detector.
if(TARGET vly_gpu_races)
  foreach(name parity_ops parity_actions parity_patches parity_layers parity_splits mutants)
    add_executable(gpu_${name}_races tests/gpu/$<IF:$<STREQUAL:${name},mutants>,shim/mutants,${name}>.c)
    target_compile_definitions(gpu_${name}_races PRIVATE VLY_TEST_SHIM VLY_SHIM_RACES)
    target_link_libraries(gpu_${name}_races PRIVATE vly_envs vly_cpu vly_gpu_races)
    add_test(NAME gpu_${name}_races COMMAND gpu_${name}_races WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(gpu_${name}_races PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  endforeach()
endif()

# All leave a list of the kernels that they ran.
set(launched ${PROJECT_BINARY_DIR}/parity_kernels.txt)
add_test(NAME gpu_kernels_begin COMMAND ${CMAKE_COMMAND} -E rm -f ${launched})
set_tests_properties(gpu_kernels_begin PROPERTIES FIXTURES_SETUP no_kernels)
set_tests_properties(gpu_parity_ops_shim gpu_parity_actions_shim gpu_parity_layers_shim gpu_parity_patches_shim PROPERTIES ENVIRONMENT VLY_SHIM_LAUNCHED=${launched}
  FIXTURES_REQUIRED no_kernels FIXTURES_SETUP parity_kernels)
if(NOT VLY_SANITIZE STREQUAL "thread") # there the layers are left out, and with them their kernels
  add_test(NAME gpu_every_kernel COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -DNM=${CMAKE_NM} -DLAUNCHED=${launched}
    -P ${PROJECT_SOURCE_DIR}/tests/gpu/every_kernel.cmake)
  set_tests_properties(gpu_every_kernel PROPERTIES FIXTURES_REQUIRED parity_kernels)
endif()

# The shim's own faults: kernels that are wrong on purpose.
add_executable(test_shim tests/gpu/shim/test_shim.cpp)
target_link_libraries(test_shim PRIVATE vly_kernels_shim)
target_compile_options(test_shim PRIVATE -Wno-unknown-pragmas)
if(NOT VLY_SANITIZE)
  target_compile_options(test_shim PRIVATE -fsanitize=alignment)
endif()
add_test(NAME test_shim COMMAND test_shim)
if(TARGET vly_kernels_races)
  add_executable(test_shim_races tests/gpu/shim/test_shim.cpp)
  target_link_libraries(test_shim_races PRIVATE vly_kernels_races)
  target_compile_options(test_shim_races PRIVATE -fsanitize=thread -Wno-unknown-pragmas)
  add_test(NAME test_shim_races COMMAND test_shim_races)
endif()

# Whole training runs through the shim; too slow for what a sanitizer would add to the parity tests.
if(TARGET volley AND NOT VLY_SANITIZE)
  foreach(cases small images)
    add_test(NAME gpu_train_alike_${cases} COMMAND ${CMAKE_COMMAND} -DVOLLEY=$<TARGET_FILE:volley> -DPLUGIN=$<TARGET_FILE:volley_cuda_shim>
      -DFOLDER=${PROJECT_BINARY_DIR}/train_alike_${cases} -DCASES=${cases} -P ${PROJECT_SOURCE_DIR}/tests/gpu/train_alike.cmake)
    set_tests_properties(gpu_train_alike_${cases} PROPERTIES TIMEOUT 900)
  endforeach()
  add_test(NAME gpu_long_update COMMAND sh ${PROJECT_SOURCE_DIR}/tests/gpu/long_update.sh $<TARGET_FILE:volley> $<TARGET_FILE:volley_cuda_shim>
    ${PROJECT_BINARY_DIR}/long_update)
  set_tests_properties(gpu_long_update PROPERTIES TIMEOUT 300)
  add_test(NAME gpu_budgets COMMAND ${CMAKE_COMMAND} -DVOLLEY=$<TARGET_FILE:volley> -DPLUGIN=$<TARGET_FILE:volley_cuda_shim>
    -DFOLDER=${PROJECT_BINARY_DIR}/budgets -P ${PROJECT_SOURCE_DIR}/tests/gpu/budgets.cmake)
  set_tests_properties(gpu_budgets PROPERTIES TIMEOUT 600)
endif()

if(TARGET volley AND NOT VLY_SANITIZE)
  add_test(NAME gpu_session_rehearsal COMMAND sh ${PROJECT_SOURCE_DIR}/tests/gpu/session_rehearsal.sh ${PROJECT_BINARY_DIR})
  set_tests_properties(gpu_session_rehearsal PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endif()

if(TARGET vly_kernels)
  add_executable(gpu_cudnn_plans tests/gpu/device/cudnn_plans.c gpu/engine_cudnn.c gpu/cudnn_plans.c gpu/cudnn_library.c gpu/find_library.c)
  target_include_directories(gpu_cudnn_plans PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(gpu_cudnn_plans PRIVATE vly_kernels vly_common CUDA::cudart_static ${CMAKE_DL_LIBS})
  add_test(NAME gpu_cudnn_plans COMMAND gpu_cudnn_plans)
  set_tests_properties(gpu_cudnn_plans PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  add_executable(gpu_cublaslt_library tests/gpu/device/cublaslt_library.c gpu/cublaslt_library.c gpu/find_library.c)
  target_include_directories(gpu_cublaslt_library PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(gpu_cublaslt_library PRIVATE vly_kernels vly_common CUDA::cudart_static ${CMAKE_DL_LIBS})
  add_test(NAME gpu_cublaslt_library COMMAND gpu_cublaslt_library)
  set_tests_properties(gpu_cublaslt_library PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 60)
endif()

# Layers through cuBLASLt without a device: a library that stands for it, stricter than the real one.
add_library(fake_cublaslt MODULE tests/gpu/cublas/fake_cublaslt.c)
target_include_directories(fake_cublaslt BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/kernels/shim/include)
target_link_libraries(fake_cublaslt PRIVATE vly_options ${CMAKE_DL_LIBS})
target_compile_definitions(gpu_engines_shim PRIVATE VLY_TEST_FAKE_CUBLASLT="$<TARGET_FILE:fake_cublaslt>")
set_target_properties(gpu_engines_shim PROPERTIES ENABLE_EXPORTS ON) # the library enqueues on the shim's streams
add_dependencies(gpu_engines_shim fake_cublaslt)

# Several GPUs without one: processes, each with a device of the shim, and a library that stands for NCCL between them.
add_library(fake_nccl MODULE tests/gpu/nccl/fake_nccl.c)
target_include_directories(fake_nccl BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/kernels/shim/include)
target_link_libraries(fake_nccl PRIVATE vly_options Threads::Threads ${CMAKE_DL_LIBS})
target_compile_definitions(gpu_several_gpus_shim PRIVATE VLY_TEST_FAKE_NCCL="$<TARGET_FILE:fake_nccl>")
set_target_properties(gpu_several_gpus_shim PROPERTIES ENABLE_EXPORTS ON) # the library enqueues on the shim's streams
add_dependencies(gpu_several_gpus_shim fake_nccl)
target_compile_definitions(gpu_libraries_shim PRIVATE VLY_TEST_FAKE_NCCL="$<TARGET_FILE:fake_nccl>")
add_dependencies(gpu_libraries_shim fake_nccl)
if(TARGET volley AND NOT VLY_SANITIZE)
  add_executable(gpu_train_several tests/gpu/nccl/train_several.c)
  target_link_libraries(gpu_train_several PRIVATE vly_common)
  target_compile_definitions(gpu_train_several PRIVATE VLY_TEST_PROGRAM="$<TARGET_FILE:volley>"
    VLY_TEST_SHIM_PLUGIN="$<TARGET_FILE:volley_cuda_shim>" VLY_TEST_FAKE_NCCL="$<TARGET_FILE:fake_nccl>")
  add_dependencies(gpu_train_several volley volley_cuda_shim fake_nccl)
  add_test(NAME gpu_train_several COMMAND gpu_train_several)
  set_tests_properties(gpu_train_several PROPERTIES TIMEOUT 300)
endif()
