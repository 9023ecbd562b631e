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
