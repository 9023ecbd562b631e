#!/bin/sh
# tests/mujoco/peers.py with the MuJoCo of the Python that has the peers, and with the older one that tests/kit/peers.sh puts beside it;
# the rows of envs/mujoco/layouts.def against the headers of both.
#   sh tests/mujoco/peers.sh first|second DRIVER
set -eu
python=${VLY_PYTHON:-python3}
if [ "$1" = second ]; then
  beside=$(dirname "$(dirname "$(command -v "$python" || echo /none/none/none)")")/mujoco-3.3.7
  [ -d "$beside" ] || { echo "SKIPPED: no second MuJoCo at the Python that is used: sh tests/kit/peers.sh build/peers puts it there" >&2; exit 77; }
  PYTHONPATH=$beside${PYTHONPATH:+:$PYTHONPATH}
  export PYTHONPATH
fi
headers=$("$python" -c "import importlib.util as u, os; s = u.find_spec('mujoco'); print(os.path.join(os.path.dirname(s.origin), 'include') if s else '')" 2>/dev/null) || headers=""
[ -z "$headers" ] || sh tests/mujoco/layout.sh --check "$headers"
exec "$python" tests/mujoco/peers.py --driver "$2"
