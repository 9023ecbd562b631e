#!/bin/sh
# Fetches the ale-py wheel from the Python package index, unpacks the Atari ROMs that it carries into
# the user's cache and checks each one's md5. Nothing is installed.
#
#   envs/atari/fetch_roms.sh [FOLDER]      # default: where volley looks, ~/.cache/volley/roms
set -eu

version=0.12.1
folder=${1:-${VOLLEY_ROMS:-${XDG_CACHE_HOME:-$HOME/.cache}/volley/roms}}
here=$(cd "$(dirname "$0")" && pwd)
games="$here/games.c"

subject=roms elsewhere="--roms DIR names a folder of your own"
. "$here/../fetch.sh"

have() { # GAME MD5: the file is there and is the right one
    [ -f "$folder/$1.bin" ] && [ "$(md5sum <"$folder/$1.bin" | cut -d' ' -f1)" = "$2" ]
}

# name and md5 of every game, from the table in games.c
list=$(sed -n 's/^ *{"\([a-z0-9_]*\)", "\([0-9a-f]\{32\}\)",.*/\1 \2/p' "$games")
total=$(echo "$list" | wc -l)
[ "$total" -ge 100 ] || fail "cannot read the games' md5 from $games"

missing() {
    echo "$list" | while read -r game md5; do have "$game" "$md5" || echo "$game"; done
}

mkdir -p "$folder"
if [ -z "$(missing)" ]; then
    say "all $total ROMs are in $folder already"
    exit 0
fi

open_wheels
fetch_wheel "ale-py==$version" manylinux_2_28_x86_64
python3 - "$work" "$folder" <<'PY'
import glob, os, sys, zipfile
work, folder = sys.argv[1:]
with zipfile.ZipFile(glob.glob(os.path.join(work, "*.whl"))[0]) as wheel:
    for name in wheel.namelist():
        if name.startswith("ale_py/roms/") and name.endswith(".bin"):
            path = os.path.join(folder, os.path.basename(name))
            with open(path + ".part", "wb") as out:
                out.write(wheel.read(name))
            os.replace(path + ".part", path)
PY
ends_whole "$total ROMs in $folder, md5 checked"
