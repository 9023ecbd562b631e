#!/usr/bin/env python3
"""kill -9 at random moments of a run that saves after every update: nothing unloadable, nothing lost.

    python3 tests/run/kill9.py --program build/volley [--kills 500] [--out benchmarks/results/kill9.json]

One run for each algorithm; every kill is followed by `volley resume` of the same run, which is killed in its turn. A
checkpoint counts as acknowledged when it was seen under its final name before the kill. Afterwards every file that bears a
checkpoint's name must read back with good checksums, and the newest must be as new as what was acknowledged. A
temporary file left behind tells that the kill fell into a save; the next save removes it.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RUNS = {"ppo": "cartpole", "a2c": "cartpole", "impala": "cartpole", "dqn": "cartpole", "qlearning": "gridworld", "sarsa": "cliffwalking"}
ALWAYS = ["--workers", "2", "--checkpoint.every_steps", "1", "--steps", "1000000000"]
MORE = {"impala": ["--pool.schedule", "sync"], "dqn": ["--replay.capacity", "4000", "--dqn.learning_starts", "200"]}


def names(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def newest(folder):
    steps = [int(n[5:-12]) for n in names(folder) if n.startswith("step-") and n.endswith(".safetensors")]
    return max(steps, default=-1)


def inspect(program, path):
    done = subprocess.run([program, "inspect", path, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{path}: {done.stderr}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])["counters"]["steps"]


def kill_once(command, folder, wait, log):
    """Returns the newest step seen before the kill, and whether it fell into a save."""
    before = newest(folder)
    child = subprocess.Popen(command, stdout=log, stderr=log)
    start = time.monotonic()
    while newest(folder) <= before:
        if child.poll() is not None or time.monotonic() - start > 60:
            child.kill()
            raise SystemExit(f"{' '.join(command)}: saved nothing; its words are in {log.name}")
        time.sleep(0.001)
    time.sleep(wait)
    seen = newest(folder)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return seen, any(not n.endswith(".safetensors") for n in names(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/volley")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_args()
    program, draw = os.path.abspath(args.program), random.Random(args.seed)
    work = tempfile.mkdtemp(prefix="vly-kill9-")
    within = unloadable = lost = files = 0
    with open(os.path.join(work, "log"), "w", encoding="utf-8") as log:
        for k in range(args.kills):
            algo = list(RUNS)[k % len(RUNS)]
            run = os.path.join(work, algo)
            command = [program, "resume", run] if k >= len(RUNS) else [program, "train", RUNS[algo], "--algo", algo, "--out", run, *ALWAYS, *MORE.get(algo, [])]
            folder = os.path.join(run, "checkpoints")
            seen, during = kill_once(command, folder, draw.uniform(0, 0.03), log)
            within += during
            for name in (n for n in names(folder) if n.endswith(".safetensors")):
                files += 1
                unloadable += inspect(program, os.path.join(folder, name)) is None
            found = inspect(program, run)
            lost += found is None or found < seen
    report = {"command": f"python3 tests/run/kill9.py --kills {args.kills}", "date": time.strftime("%F"), "hardware": f"{os.cpu_count()} cores, shared",
              "kills": args.kills, "within_a_save": within, "files_read_back": files, "unloadable": unloadable, "lost_after_acknowledgement": lost,
              "algorithms": list(RUNS)}
    print(json.dumps(report))
    if args.out:
        with open(args.out, "w", encoding="utf-8") as f:
            json.dump(report, f, indent=1)
            f.write("\n")
    good = unloadable == 0 and lost == 0
    if good:
        shutil.rmtree(work)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
