cmake_minimum_required(VERSION 3.25)
# cmake -DROOT=... -P tests/check_names.cmake
# Fails when two files of the product define a static function of the same name, or one defines a function that libc
# has: a name in a stack trace or a profile then says where it is. Tests and benchmarks are programs of their own.
set(libc abort accept access atexit bind close connect dup execv exit fork free kill link listen malloc mkdir nice open
  pause pipe poll printf raise read realloc recv remove rename select send shutdown signal sleep socket stat sync system
  time truncate unlink wait write)
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/common/*.c ${ROOT}/common/*.h ${ROOT}/cpu/*.c ${ROOT}/cpu/*.h
  ${ROOT}/gpu/*.c ${ROOT}/gpu/*.h ${ROOT}/envs/*.c ${ROOT}/envs/*.h ${ROOT}/kernels/*.cu)
set(found 0)
foreach(file ${files})
  file(STRINGS ${ROOT}/${file} lines REGEX "^static [^=;]*[a-z0-9_]+[(]")
  set(own "")
  foreach(line ${lines})
    string(REGEX REPLACE "__attribute__[(][(][^)]*[)]*[)][)]" "" line "${line}")
    if(NOT line MATCHES "^static [^(]*[ *]([a-z][a-z0-9_]*)[(]")
      continue()
    endif()
    set(name ${CMAKE_MATCH_1})
    math(EXPR found "${found} + 1")
    if(name IN_LIST own)
      continue() # declared first, or one of several under #if
    endif()
    list(APPEND own ${name})
    if(name IN_LIST libc)
      message(SEND_ERROR "${file}: ${name} is libc's name")
    elseif(DEFINED at_${name})
      message(SEND_ERROR "${file}: ${name} is defined in ${at_${name}} too")
    endif()
    set(at_${name} ${file})
  endforeach()
endforeach()
if(found LESS 1000)
  message(FATAL_ERROR "only ${found} static functions were found under ${ROOT}")
endif()
