#!/bin/sh
# Installs what the build, and with "test" the test suite, need: says what, does nothing when it is all here.
#
#   ./setup.sh          to build and train
#   ./setup.sh roms     to fetch Atari's ROMs as well (pip unpacks them from a wheel)
#   ./setup.sh test     to run every test as well
set -eu
cd "$(dirname "$0")"

# CONTRIBUTING.md says what each is for.
build="gcc g++ make cmake ninja-build pkg-config git ca-certificates libuv1-dev libyaml-dev libjansson-dev libxxhash-dev libpng-dev"
roms="python3-venv"
test="$roms mandoc libhiredis-dev liblz4-dev redis-server libopenmpi-dev openmpi-bin iproute2 ffmpeg gnuplot-nox"
# A browser for the monitor's page. Elsewhere the package of that name is another thing, and the test says that it skips.
grep -q '^ID=debian' /etc/os-release 2>/dev/null && test="$test chromium fonts-dejavu-core"

case ${1:-} in
roms) wanted="$build $roms" ;;
test) wanted="$build $test" ;;
*) wanted=$build ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not Debian or Ubuntu; install the equivalents of: $wanted" >&2
  exit 0
fi

missing=""
for package in $wanted; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
  sudo=$(command -v sudo) || { echo "setup: not root and no sudo; as root: apt-get install$missing" >&2; exit 1; }
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >/dev/null || echo "setup: apt-get update failed; trying with the lists that are here" >&2
# shellcheck disable=SC2086
if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null; then
  # One that this release does not have must not keep the others away; the build names what it cannot do without.
  for package in $missing; do
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package" >/dev/null ||
      echo "setup: could not install $package" >&2
  done
fi
rm -f build/CMakeCache.txt build/build.ninja # what was not found before is looked for again
