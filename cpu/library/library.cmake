# libvolley: the rooms behind the few functions of include/volley.h, as a shared library.
file(GLOB library_sources CONFIGURE_DEPENDS cpu/library/*.c)
add_library(libvolley SHARED ${library_sources})
target_link_libraries(libvolley PRIVATE vly_cpu)
target_include_directories(libvolley INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(libvolley PROPERTIES OUTPUT_NAME volley EXPORT_NAME volley
  VERSION ${PROJECT_VERSION} SOVERSION 0 LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cpu/library/volley.map)
target_link_options(libvolley PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cpu/library/volley.map -Wl,-z,nodelete)
if(NOT VLY_SANITIZE AND NOT VLY_FUZZ)
  target_link_options(libvolley PRIVATE -Wl,--no-undefined)
endif()

install(TARGETS libvolley EXPORT volley COMPONENT library LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/volley.h COMPONENT library DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT volley COMPONENT library FILE volley-config.cmake NAMESPACE volley:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/volley)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${generated}/volley-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${generated}/volley-config-version.cmake COMPONENT library DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/volley)
configure_file(cpu/library/volley.pc.in ${generated}/volley.pc @ONLY)
install(FILES ${generated}/volley.pc COMPONENT library DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The library inside the Python package's wheel (python/pyproject.toml), and the program, which the workers of a run are.
option(VLY_WHEEL "Install the library into the Python package" OFF)
if(VLY_WHEEL)
  install(PROGRAMS $<TARGET_FILE:libvolley> DESTINATION volley RENAME libvolley.so.0 COMPONENT python)
  install(PROGRAMS $<TARGET_FILE:volley> DESTINATION volley COMPONENT python)
endif()
