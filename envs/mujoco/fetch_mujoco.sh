#!/bin/sh
# Fetches MuJoCo's C library and Gymnasium's v5 models from their wheels on the Python package index into the user's cache, and
# checks each file's sha256 (files.sha256). Nothing is installed, and what is there already is not fetched again.
#
#   envs/mujoco/fetch_mujoco.sh                    # default: where volley looks, ~/.cache/volley/mujoco
#   envs/mujoco/fetch_mujoco.sh FOLDER 3.6.0       # another folder, another version of those in files.sha256
#
# Licences: MuJoCo Apache-2.0, Gymnasium MIT; their texts are put beside the files.
set -eu

version=${2:-${MUJOCO:-3.6.0}} gymnasium=1.4.0
folder=${1:-${VOLLEY_MUJOCO:-${XDG_CACHE_HOME:-$HOME/.cache}/volley/mujoco}}
here=$(cd "$(dirname "$0")" && pwd)
library=libmujoco.so.$version machine=$(uname -m)

say() { echo "mujoco: $*" >&2; }
fail() { say "$*"; exit 1; }

sum_of() { sed -n "s|^\([0-9a-f]*\)  $1\$|\1|p" "$here/files.sha256"; }
have() { # FILE SUM: the file is there and is the right one
  [ -f "$folder/$1" ] && [ "$(sha256sum <"$folder/$1" | cut -d' ' -f1)" = "$2" ]
}

models=$(sed -n 's|^[0-9a-f]*  \([a-z0-9_]*\.xml\)$|\1|p' "$here/files.sha256")
wanted=$(sum_of "$machine/$library")
[ -n "$wanted" ] || fail "MuJoCo $version for $machine is not among those supported: $(sed -n "s|.*  $machine/libmujoco.so.||p" "$here/files.sha256" | tr '\n' ' ')"

missing() { # the names of files that are not there as they should be
  have "$library" "$wanted" || echo "$library"
  for model in $models; do have "$model" "$(sum_of "$model")" || echo "$model"; done
}

mkdir -p "$folder"
if [ -z "$(missing)" ]; then
  say "MuJoCo $version and the models are in $folder already"
  exit 0
fi

command -v python3 >/dev/null || fail "python3 is needed to fetch and unpack the wheels"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
pip=""
for python in "${VLY_PYTHON:-}" build/peers/bin/python python3; do
  [ -n "$python" ] && "$python" -m pip --version >/dev/null 2>&1 && pip="$python -m pip" && break
done
if [ -z "$pip" ]; then
  python3 -m venv "$work/venv" || fail "python3 cannot make an environment: apt-get install python3-venv"
  pip="$work/venv/bin/python -m pip"
fi

fetch() { # PACKAGE==VERSION: any wheel carries the same library, whatever Python it is for
  say "fetching $1"
  $pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --dest "$work" \
    --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" --platform any "$1" ||
    fail "the package index is out of reach; VOLLEY_MUJOCO names a folder of your own"
}
case $version in
4.*) fetch "mujoco-core==$version" ;; # since then the library is in a package of its own
*) fetch "mujoco==$version" ;;
esac
fetch "gymnasium==$gymnasium"

python3 - "$work" "$folder" "$library" $models <<'PY'
import glob, os, sys, zipfile
work, folder, *wanted = sys.argv[1:]
for path in glob.glob(os.path.join(work, "*.whl")):
    package = os.path.basename(path).split("-")[0].split("_")[0]
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            base = os.path.basename(name)
            if "/licenses/" in name and base:
                base = f"{base}.{package}"
            elif base not in wanted or "/mujoco/" not in "/" + name:
                continue
            to = os.path.join(folder, base)
            with open(to + ".part", "wb") as out:
                out.write(wheel.read(name))
            os.replace(to + ".part", to)
PY
left=$(missing | tr '\n' ' ')
[ -z "$left" ] || fail "these are missing or are not the expected files: $left"
say "MuJoCo $version (Apache-2.0) and Gymnasium $gymnasium's models (MIT) in $folder, sha256 checked"
