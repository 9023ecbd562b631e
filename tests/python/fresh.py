"""The wheel in a fresh environment of each Python: installed, imported, CartPole solved, an agent in a vector, workers started.

    python3 tests/python/fresh.py dist/*.whl python3.10 python3.13 ... [--json benchmarks/results/python_fresh.json] [--busy]

NumPy and Gymnasium come from the package index before the time is taken. Fails where it takes more than 5 seconds from
`pip install` to the solved CartPole.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

LIMIT_S = 5
SOLVE = """
import json, sys, tempfile, time
start = time.perf_counter()
import volley
imported = time.perf_counter()
folder = tempfile.mkdtemp()
t = volley.Trainer("cartpole", algo="ppo", seed=1, until_return=475, out=folder + "/run")
report = t.run(progress=False)
solved = time.perf_counter()
assert report["stop"] == "target", report
envs = volley.make_vec("cartpole", 4)
envs.step(volley.load(t.folder).act(envs.reset(seed=1)[0]))
acted = time.perf_counter()
with volley.Trainer("cartpole", algo="ppo", seed=1, workers=2, steps=20000, out=folder + "/workers") as w:
    assert w.run(progress=False)["stop"] == "budget"
print(json.dumps({"python": sys.version.split()[0] + ("" if getattr(sys, "_is_gil_enabled", lambda: True)() else " free-threaded"),
                  "import_ms": 1e3 * (imported - start), "solved_s": solved - start, "acted_s": acted - start}))
"""


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def processor_s():
    """Of all that was started so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def try_one(python, wheel, folder):
    """Times of one Python, in seconds from `pip install`."""
    at = os.path.join(folder, "fresh")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VOLLEY_LIBRARY")}
    inside = {"cwd": folder, "env": environment}
    run(python, "-m", "venv", "--clear", at, **inside)
    pip = (os.path.join(at, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "numpy", "gymnasium", **inside)
    start, used = time.monotonic(), processor_s()
    run(*pip, wheel, **inside)
    installed = time.monotonic() - start
    row = json.loads(run(os.path.join(at, "bin", "python"), "-c", SOLVE, **inside).splitlines()[-1])
    return {**row, "installed_s": installed, "installed_and_solved_s": installed + row["solved_s"], "processor_s": processor_s() - used}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("wheel")
    p.add_argument("pythons", nargs="+")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--busy", action="store_true", help="records although others use the machine")
    args = p.parse_args()
    record, rows = measured.Record(args.json, args.busy), []
    with tempfile.TemporaryDirectory() as folder:
        for python in args.pythons:
            rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in try_one(python, os.path.abspath(args.wheel), folder).items()})
            print(rows[-1], flush=True)
    late = [r for r in rows if r["installed_and_solved_s"] > LIMIT_S]
    wheel_bytes = os.path.getsize(args.wheel)
    words = [os.path.basename(w) if os.path.sep in w else w for w in args.pythons]
    record.write({"wheel_bytes": wheel_bytes, "limit_s": LIMIT_S, "late": len(late), "results": rows},
                 f"python3 tests/python/fresh.py dist/*.whl {' '.join(sorted(set(words)))} --json benchmarks/results/python_fresh.json")
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
