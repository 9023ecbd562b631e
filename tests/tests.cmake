# Every tests/test_*.c is a test of that name, linked with all rooms that were built.
# A test exits 0 (passed), 77 (skipped, loudly) or anything else (failed).
file(GLOB test_sources CONFIGURE_DEPENDS tests/test_*.c)
foreach(source ${test_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE vly_envs)
  if(TARGET vly_cpu)
    target_link_libraries(${name} PRIVATE vly_cpu)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endforeach()
add_test(NAME check_layers COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR}
  -P ${PROJECT_SOURCE_DIR}/tests/check_layers.cmake)

# Environment plugins: the example that users start from, and some that must be refused.
foreach(plugin examples/my_env tests/plugins/bad_env tests/plugins/no_env)
  get_filename_component(name ${plugin} NAME)
  add_library(plugin_${name} MODULE ${plugin}.c)
  target_link_libraries(plugin_${name} PRIVATE vly_options)
endforeach()
target_compile_definitions(test_env_plugin PRIVATE
  VLY_TEST_PLUGIN_GOOD="$<TARGET_FILE:plugin_my_env>"
  VLY_TEST_PLUGIN_BAD="$<TARGET_FILE:plugin_bad_env>"
  VLY_TEST_PLUGIN_NONE="$<TARGET_FILE:plugin_no_env>")
add_dependencies(test_env_plugin plugin_my_env plugin_bad_env plugin_no_env)
