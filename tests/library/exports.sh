#!/bin/sh
# The library shows the functions of its header and nothing else.
#   sh tests/library/exports.sh build/libvolley.so NM
set -eu
cd "$(dirname "$0")/../.."
shown=$("${2:-nm}" -D --defined-only "$1" | sed -n 's/^[0-9a-f]* [^A] \([^@]*\).*/\1/p' | sort)
declared=$(sed -n 's/^VLY_API .*[ *]\(vly_[a-z_]*\)(.*/\1/p' include/volley.h | sort)
[ -n "$declared" ] || { echo "include/volley.h declares nothing"; exit 1; }
[ "$shown" = "$declared" ] && exit 0
echo "exported and declared differ:"
printf '%s\n' "$shown" >"${TMPDIR:-/tmp}/volley-shown.$$"
printf '%s\n' "$declared" | diff "${TMPDIR:-/tmp}/volley-shown.$$" - || true
rm -f "${TMPDIR:-/tmp}/volley-shown.$$"
exit 1
