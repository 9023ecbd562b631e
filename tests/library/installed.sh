#!/bin/sh
# examples/embed.c builds against the installed library and runs, by pkg-config and by CMake; the header is plain C and C++.
#   sh tests/library/installed.sh BUILD CC LIBDIR
set -eu
cd "$(dirname "$0")/../.."
build=$1 cc=${2:-cc} libdir=${3:-lib}
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
cmake --install "$build" --prefix "$at" --component library >"$at/log" || { cat "$at/log"; exit 1; }
printf '#include <volley.h>\nint main(void) { return vly_version()[0] == 0; }\n' >"$at/plain.c"
for words in "-x c -std=c99" "-x c -std=c11" "-x c++ -std=c++11"; do
  # shellcheck disable=SC2086
  "$cc" $words -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$at/include" "$at/plain.c"
done
# shellcheck disable=SC2046
"$cc" -Wall -Werror -o "$at/embed" examples/embed.c $(PKG_CONFIG_PATH="$at/$libdir/pkgconfig" pkg-config --cflags --libs volley)
LD_LIBRARY_PATH="$at/$libdir" "$at/embed"
mkdir "$at/project"
cat >"$at/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(project C)
find_package(volley 0.2 REQUIRED)
add_executable(embed $PWD/examples/embed.c)
target_link_libraries(embed PRIVATE volley::volley)
END
cmake -S "$at/project" -B "$at/project/build" -DCMAKE_PREFIX_PATH="$at" -DCMAKE_C_COMPILER="$cc" >"$at/log" 2>&1 &&
  cmake --build "$at/project/build" >>"$at/log" 2>&1 || { cat "$at/log"; exit 1; }
"$at/project/build/embed"
