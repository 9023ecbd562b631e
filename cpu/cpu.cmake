# cpu/: the event loop, the actors, the CPU back end (library vly_cpu) and the program (build/volley).
pkg_check_modules(uv REQUIRED IMPORTED_TARGET libuv)

file(GLOB cpu_sources CONFIGURE_DEPENDS cpu/*.c)
set(program_sources ${cpu_sources})
list(FILTER program_sources INCLUDE REGEX "/(main|verb_[a-z]+)\\.c$")
list(REMOVE_ITEM cpu_sources ${program_sources})

# Redis and MPI are found, never required: without the client the distributed schemes say so.
pkg_check_modules(hiredis IMPORTED_TARGET hiredis)
if(NOT hiredis_FOUND)
  list(FILTER cpu_sources EXCLUDE REGEX "/(store|dist)[a-z_]*\\.c$")
endif()

if(cpu_sources)
  add_library(vly_cpu STATIC ${cpu_sources})
else()
  add_library(vly_cpu INTERFACE)
endif()
get_target_property(cpu_type vly_cpu TYPE)
set(cpu_scope PUBLIC)
if(cpu_type STREQUAL "INTERFACE_LIBRARY")
  set(cpu_scope INTERFACE)
endif()
target_link_libraries(vly_cpu ${cpu_scope} vly_envs PkgConfig::uv)
if(hiredis_FOUND)
  target_link_libraries(vly_cpu ${cpu_scope} PkgConfig::hiredis)
  target_compile_definitions(vly_cpu ${cpu_scope} VLY_HAVE_REDIS)
endif()
