#!/usr/bin/env python3
"""Makes FOLDER what `make mujoco` would fetch, with links to this Python's mujoco and gymnasium.

    python3 tests/mujoco/folder.py FOLDER          # exit code 77, and why, without these packages
"""
import glob
import importlib.util
import os
import sys


def fill(folder):
    """None, or what is missing."""
    found = {name: importlib.util.find_spec(name) for name in ("mujoco", "gymnasium")}
    missing = [name for name, spec in found.items() if spec is None]
    if missing:
        return f"no {' and no '.join(missing)} in {sys.executable}"
    library = glob.glob(os.path.join(os.path.dirname(found["mujoco"].origin), "libmujoco.so.*"))
    models = glob.glob(os.path.join(os.path.dirname(found["gymnasium"].origin), "envs", "mujoco", "assets", "*.xml"))
    for path in library + models:
        os.symlink(path, os.path.join(folder, os.path.basename(path)))
    return None if library and models else "the packages have no library or no models"


if __name__ == "__main__":
    why = fill(sys.argv[1])
    if why:
        sys.exit(print(f"SKIPPED: {why}: pip install 'gymnasium[mujoco]', and name that Python in VLY_PYTHON", file=sys.stderr) or 77)
