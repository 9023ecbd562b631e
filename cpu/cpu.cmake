# cpu/: the event loop, the actors, the CPU back end (library vly_cpu) and the program (build/volley).
pkg_check_modules(uv REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(png REQUIRED IMPORTED_TARGET libpng)

file(GLOB cpu_sources CONFIGURE_DEPENDS cpu/*/*.c)
list(FILTER cpu_sources EXCLUDE REGEX "/mpi_sync\\.c$|/library/[a-z_]+\\.c$") # libraries of their own, below
set(program_sources ${cpu_sources})
list(FILTER program_sources INCLUDE REGEX "/(main|verb_[a-z]+)\\.c$")
list(REMOVE_ITEM cpu_sources ${program_sources})

# Redis and MPI are found, never required: without the client the distributed schemes say so.
pkg_check_modules(hiredis IMPORTED_TARGET hiredis)
pkg_check_modules(lz4 IMPORTED_TARGET liblz4)
if(NOT lz4_FOUND)
  set(hiredis_FOUND FALSE)
endif()
if(NOT hiredis_FOUND)
  list(FILTER cpu_sources EXCLUDE REGEX "/fleet/(store|actor|apex|block|experience|frame|lead|ps_|shard|tables|weights|workers)[a-z_]*\\.c$")
endif()

# Vector code is compiled once for each width and chosen at run time; only there may a * b + c be one rounding
# (simd_*.c); exact_*.c give the same bits at every width.
set_source_files_properties(cpu/ops/simd_base.c PROPERTIES COMPILE_OPTIONS "-ffp-contract=fast")
set_source_files_properties(cpu/ops/exact_base.c PROPERTIES COMPILE_OPTIONS "-fno-math-errno;-fno-trapping-math")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(cpu/ops/simd_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-ffp-contract=fast")
  set_source_files_properties(cpu/ops/simd_avx512.c PROPERTIES
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mfma;-ffp-contract=fast;-mprefer-vector-width=512")
  set_source_files_properties(cpu/ops/bf16_avx512.c PROPERTIES
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-mprefer-vector-width=512")
  set_source_files_properties(cpu/ops/bf16_amx.c PROPERTIES COMPILE_OPTIONS "-mamx-tile;-mamx-bf16")
  set_source_files_properties(cpu/ops/exact_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-fno-math-errno;-fno-trapping-math")
  set_source_files_properties(cpu/ops/exact_avx512.c PROPERTIES
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512;-fno-math-errno;-fno-trapping-math")
endif()

add_library(vly_cpu STATIC ${cpu_sources})
target_link_libraries(vly_cpu PUBLIC vly_envs PkgConfig::uv PkgConfig::png)
if(lz4_FOUND)
  target_link_libraries(vly_cpu PRIVATE PkgConfig::lz4)
  target_compile_definitions(vly_cpu PRIVATE VLY_HAVE_LZ4)
endif()
if(hiredis_FOUND)
  target_link_libraries(vly_cpu PUBLIC PkgConfig::hiredis)
  target_compile_definitions(vly_cpu PUBLIC VLY_HAVE_REDIS)
endif()

# The commit, looked up at every build.
set(generated ${PROJECT_BINARY_DIR}/generated)
add_custom_target(vly_version BYPRODUCTS ${generated}/vly_version.h
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -DOUT=${generated}/vly_version.h -DVERSION=${PROJECT_VERSION}
    -DBUILD=${CMAKE_C_COMPILER_ID}-${CMAKE_BUILD_TYPE} -P ${PROJECT_SOURCE_DIR}/cpu/program/version.cmake
  COMMENT "" VERBATIM)
add_dependencies(vly_cpu vly_version)

# The monitor's page: one document, its scripts in the order in which they build on each other.
set(page_scripts util.js data.js chart.js runs.js run.js fleet.js main.js)
list(TRANSFORM page_scripts PREPEND ${PROJECT_SOURCE_DIR}/cpu/monitor/page/ OUTPUT_VARIABLE page_files)
string(REPLACE ";" "\\;" page_list "${page_scripts}")
add_custom_command(OUTPUT ${generated}/monitor_page.h
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR}/cpu/monitor/page "-DSCRIPTS=${page_list}" -DOUT=${generated}/monitor_page.h
    -P ${PROJECT_SOURCE_DIR}/cpu/monitor/page/embed.cmake
  DEPENDS cpu/monitor/page/embed.cmake cpu/monitor/page/head.html cpu/monitor/page/body.html cpu/monitor/page/style.css ${page_files}
  COMMENT "" VERBATIM)
target_sources(vly_cpu PRIVATE ${generated}/monitor_page.h)
target_include_directories(vly_cpu PUBLIC ${generated})

add_executable(volley ${program_sources})
target_link_libraries(volley PRIVATE vly_cpu)
target_link_options(volley PRIVATE -rdynamic)

# MPI is a library of its own, loaded under mpirun only.
find_package(MPI COMPONENTS C QUIET)
if(MPI_C_FOUND)
  add_library(volley_mpi SHARED cpu/fleet/mpi_sync.c)
  target_link_libraries(volley_mpi PRIVATE vly_options MPI::MPI_C)
  target_compile_options(volley_mpi PRIVATE -Wno-missing-prototypes -Wno-strict-prototypes)
endif()

# `cmake --install build`: the program, what it loads, and volley(1), written by itself.
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/volley.1 COMMAND volley ls options --man > ${PROJECT_BINARY_DIR}/volley.1
  DEPENDS volley COMMENT "" VERBATIM)
add_custom_target(manual ALL DEPENDS ${PROJECT_BINARY_DIR}/volley.1)
include(GNUInstallDirs)
install(TARGETS volley RUNTIME)
install(FILES ${PROJECT_BINARY_DIR}/volley.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES LICENSE CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET volley_mpi)
  set_target_properties(volley_mpi PROPERTIES BUILD_WITH_INSTALL_RPATH ON) # MPI's own flags say where it is
  install(TARGETS volley_mpi LIBRARY DESTINATION lib/volley OPTIONAL)
endif()

include(cpu/library/library.cmake)
