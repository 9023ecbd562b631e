#!/bin/sh
# Runs every test of a build folder; the last line is "N passed, N failed, N skipped".
#   sh tests/run.sh build [ctest arguments]
set -u
build=$1
shift
[ -z "${VLY_PYTHON:-}" ] && [ -x build/peers/bin/python ] && VLY_PYTHON=$PWD/build/peers/bin/python && export VLY_PYTHON
report=$build/tests.xml
ctest --test-dir "$build" --output-on-failure --output-junit "$PWD/$report" -j "$(nproc)" "$@" || true
[ -f "$report" ] || { echo "0 passed, 1 failed"; exit 1; }
count() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -n 1; }
total=$(count tests) failed=$(count failures) skipped=$(count skipped)
# A skip is a promise not kept: say which and why.
sed -n 's/^SKIPPED: /  skipped: /p' "$build/Testing/Temporary/LastTest.log" 2>/dev/null
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
