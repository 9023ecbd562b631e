#!/bin/sh
# Prints the row of envs/mujoco/layouts.def for the MuJoCo whose headers are in INCLUDE (the folder that holds mujoco/mujoco.h).
#   sh tests/mujoco/layout.sh INCLUDE
#   sh tests/mujoco/layout.sh --check INCLUDE      # exit code 1 when the table has another row
set -eu
cd "$(dirname "$0")/../.."
check=""
[ "$1" = --check ] && check=1 && shift
program=$(mktemp)
trap 'rm -f "$program"' EXIT INT TERM
${CC:-cc} -I "$1" tests/mujoco/layout.c -o "$program"
row=$("$program")
[ -n "$check" ] || { echo "$row"; exit 0; }
grep -qxF "$row" envs/mujoco/layouts.def && exit 0
echo "envs/mujoco/layouts.def has no row: $row" >&2
exit 1
