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

subject=mujoco elsewhere="VOLLEY_MUJOCO names a folder of your own"
. "$here/../fetch.sh"

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

open_wheels
fetch() { fetch_wheel "$1" "manylinux_2_28_$machine" "manylinux_2_27_$machine"; }
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
ends_whole "MuJoCo $version (Apache-2.0) and Gymnasium $gymnasium's models (MIT) in $folder, sha256 checked"
