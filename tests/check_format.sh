#!/bin/sh
# Fails when clang-format would change a source file. The version is pinned: others break lines elsewhere.
#   sh tests/check_format.sh            # names the files
#   sh tests/check_format.sh --fix      # formats them
set -u
for program in clang-format-14 clang-format build/peers/bin/clang-format; do
  case $("$program" --version 2>/dev/null) in *" 14."*) break ;; esac
  program=""
done
[ -n "$program" ] || { echo "SKIPPED: no clang-format 14 (sh tests/kit/peers.sh build/peers fetches it): the layout was not checked"; exit 77; }
files=$(git ls-files '*.c' '*.h' '*.cu' '*.cpp' 2>/dev/null)
[ -n "$files" ] || { echo "SKIPPED: not a git checkout: the layout was not checked"; exit 77; }
# shellcheck disable=SC2086
[ "${1:-}" = --fix ] && exec "$program" -i $files
# shellcheck disable=SC2086
wrong=$("$program" -n $files 2>&1 | sed -n 's/^\([^:]*\):.*-Wclang-format-violations\]$/\1/p' | sort -u)
[ -z "$wrong" ] && exit 0
echo "these files are not as .clang-format has them (sh tests/check_format.sh --fix mends it):"
echo "$wrong"
exit 1
