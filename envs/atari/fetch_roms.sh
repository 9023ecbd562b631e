#!/bin/sh
# Fetches the Atari ROMs that the ale-py wheel on PyPI carries into the user's cache. `volley` itself checks
# every file by its md5: one that is not what its name says is not used.
#   sh envs/atari/fetch_roms.sh [FOLDER]
set -eu
folder=${1:-${VOLLEY_ROMS:-${XDG_CACHE_HOME:-$HOME/.cache}/volley/roms}}
version=0.12.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$folder/pong.bin" ] && [ "$(ls "$folder" | grep -c '\.bin$')" -ge 100 ]; then
  echo "roms: $folder has them already"
  exit 0
fi
command -v python3 >/dev/null || { echo "roms: python3 is needed: apt-get install python3 python3-venv" >&2; exit 1; }
pip=""
for python in "${VLY_PYTHON:-}" build/peers/bin/python python3; do
  [ -n "$python" ] && "$python" -m pip --version >/dev/null 2>&1 && pip="$python -m pip" && break
done
if [ -z "$pip" ]; then
  python3 -m venv "$work/venv" || { echo "roms: python3 cannot make an environment: apt-get install python3-venv" >&2; exit 1; }
  pip="$work/venv/bin/python -m pip"
fi
echo "roms: fetching ale-py $version"
# Any wheel carries the same ROMs, whatever Python it is for.
$pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
  --dest "$work" "ale-py==$version" || { echo "roms: the package index is out of reach; --roms DIR names a folder of your own" >&2; exit 1; }
mkdir -p "$folder"
python3 - "$work" "$folder" <<'PY'
import glob, os, sys, zipfile
work, folder = sys.argv[1:]
n = 0
with zipfile.ZipFile(glob.glob(os.path.join(work, "*.whl"))[0]) as wheel:
    for name in wheel.namelist():
        if name.startswith("ale_py/roms/") and name.endswith(".bin"):
            path = os.path.join(folder, os.path.basename(name))
            with open(path + ".part", "wb") as out:
                out.write(wheel.read(name))
            os.replace(path + ".part", path)
            n += 1
print(f"roms: {n} files in {folder}")
PY
