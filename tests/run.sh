#!/bin/sh
# Runs every test of a build folder; the last line is "N passed, N failed, N skipped".
#   sh tests/run.sh build [ctest arguments]
# A test that prints "SKIPPED: why" and exits 77 is one skip. A test that prints "SKIPPED in part: why" and passes is one
# that passed and, for each such line, one skip: every claim that was left out is counted and named.
set -u
build=$1
shift
[ -z "${VLY_PYTHON:-}" ] && [ -x build/peers/bin/python ] && VLY_PYTHON=$PWD/build/peers/bin/python && export VLY_PYTHON
# The ROMs that come with ale-py; under the sanitizers generated cartridges run the same code in less time.
roms=$(find build/peers/lib -path '*/ale_py/roms' -type d 2>/dev/null | head -n 1)
[ -z "${VOLLEY_ROMS:-}" ] && [ -n "$roms" ] && case $build in build-*) ;; *) VOLLEY_ROMS=$PWD/$roms && export VOLLEY_ROMS ;; esac
report=$build/tests.xml
ctest --test-dir "$build" --output-on-failure --output-junit "$PWD/$report" -j "$(nproc)" "$@" || true
[ -f "$report" ] || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
count() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -n 1; }
total=$(count tests) failed=$(count failures) skipped=$(count skipped)
skips=$(awk '/^[0-9]+\/[0-9]+ Test(ing)?: / { name = $NF }
  /^Command: / { next } # its words are not what it printed
  /SKIPPED: /         { sub(/.*SKIPPED: /, "");         print "  skipped: " name ": " $0 }
  /SKIPPED in part: / { sub(/.*SKIPPED in part: /, ""); print "  skipped in part: " name ": " $0 }' "$build/Testing/Temporary/LastTest.log" 2>/dev/null)
[ -z "$skips" ] || echo "$skips"
parts=$(echo "$skips" | grep -c '^  skipped in part: ')
echo "$((total - failed - skipped)) passed, $failed failed, $((skipped + parts)) skipped"
[ "$failed" -eq 0 ]
