#!/bin/sh
# The wheel in a fresh environment of each Python: installed, imported, CartPole solved, workers started.
#   sh tests/python/fresh.sh dist/*.whl python3.10 python3.13 ...
# NumPy and Gymnasium come from PyPI before the time is taken.
set -eu
wheel=$(realpath "$1")
shift
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
cat >"$at/solve.py" <<'END'
import sys, tempfile, time
start = time.perf_counter()
import volley
imported = time.perf_counter()
t = volley.Trainer("cartpole", algo="ppo", seed=1, until_return=475, out=tempfile.mkdtemp() + "/run")
report = t.run(progress=False)
solved = time.perf_counter()
envs = volley.make_vec("cartpole", 4)
envs.step(volley.load(t.folder).act(envs.reset(seed=1)[0]))
assert report["stop"] == "target", report
print(f"{sys.version.split()[0]}: import {(imported - start) * 1e3:.1f} ms, solved after {solved - imported:.2f} s, a policy in a vector after {time.perf_counter() - start:.2f} s")
END
unset PYTHONPATH VOLLEY_LIBRARY 2>/dev/null || true
cd "$at"
for python in "$@"; do
  rm -rf fresh
  "$python" -m venv fresh
  fresh/bin/pip install --quiet --disable-pip-version-check numpy gymnasium
  begun=$(date +%s%N)
  fresh/bin/pip install --quiet --disable-pip-version-check "$wheel"
  fresh/bin/python solve.py
  echo "  from pip install to there: $((($(date +%s%N) - begun) / 1000000)) ms"
done
