#!/usr/bin/env python3
"""kill -9 at random moments of a run that saves after every update: nothing unloadable, nothing lost, and the same run.

    python3 tests/run/kill9.py --program build/volley [--kills 500] [--out benchmarks/results/kill9.json]

Every kill is followed by `volley resume` of the same run, which is killed in its turn. A checkpoint counts as
acknowledged when it was seen under its final name before the kill. Afterwards every file that bears a checkpoint's name
must read back with good checksums, and the newest must be as new as what was acknowledged. A temporary file left behind
tells that the kill fell into a save; the next save removes it.

After every tenth kill of a run, and after its last, the run is resumed to a budget and ends there; its digest must be that
of a run with the same settings and budget that nothing has interrupted.
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

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import measured

# Nothing may be annealed over the budget: it is not the same before and after.
RUNS = {
    "ppo": "cartpole --algo ppo --ppo.anneal false",
    "a2c": "cartpole --algo a2c --a2c.anneal false",
    "impala": "cartpole --algo impala --impala.anneal false --pool.schedule sync",
    "dqn": "cartpole --algo dqn --replay.capacity 4000 --dqn.learning_starts 200",
    "apex": "cartpole --algo apex --apex.replay local --replay.capacity 4000 --dqn.learning_starts 200 --replay.beta_end 0.4",
    "minatar": "minatar/breakout --algo ppo --ppo.anneal false --envs 8 --net.hidden 32 --ppo.rollout 32",
    "qlearning": "gridworld --algo qlearning",
    "sarsa": "cliffwalking --algo sarsa",
}
ENDLESS = ["--checkpoint.every_steps", "1", "--steps", "1000000000"]
COMPARED_EVERY = 10


def names(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def newest(folder):
    steps = [int(n[5:-12]) for n in names(folder) if n.startswith("step-") and n.endswith(".safetensors")]
    return max(steps, default=-1)


def inspect(program, path):
    """What is in a checkpoint, or None if it does not read back."""
    done = subprocess.run([program, "inspect", path, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{path}: {done.stderr}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def call(command, log):
    if subprocess.run(command, stdout=log, stderr=log, check=False).returncode != 0:
        raise SystemExit(f"{' '.join(command)}: failed; its words are in {log.name}")


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


def ends_as_if_never_killed(program, name, run, log):
    """Resumes the run to a budget that is a little ahead; compares with a run to that budget in one piece."""
    steps, whole = str(newest(os.path.join(run, "checkpoints")) + 1000), run + "-whole"
    seldom = ["--checkpoint.every_steps", "1000000000", "--steps", steps]
    call([program, "resume", run, *seldom], log)
    shutil.rmtree(whole, ignore_errors=True)
    call([program, "train", *RUNS[name].split(), "--out", whole, "--workers", "1", *seldom], log)
    ours, theirs = inspect(program, run), inspect(program, whole)
    same = ours is not None and theirs is not None and ours["digest"] == theirs["digest"]
    if not same:
        print(f"{name}: after kills {ours and ours['digest']}, in one piece {theirs and theirs['digest']}, {steps} steps", file=sys.stderr)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/volley")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_args()
    record = measured.Record(args.out, program=args.program, timed=False)
    program, draw = os.path.abspath(args.program), random.Random(args.seed)
    work = tempfile.mkdtemp(prefix="vly-kill9-")
    within = unloadable = lost = files = compared = other = 0
    with open(os.path.join(work, "log"), "w", encoding="utf-8") as log:
        for k in range(args.kills):
            name = list(RUNS)[k % len(RUNS)]
            run = os.path.join(work, name)
            command = [program, "resume", run, *ENDLESS]
            if k < len(RUNS):
                command = [program, "train", *RUNS[name].split(), "--out", run, "--workers", "2", *ENDLESS]
            folder = os.path.join(run, "checkpoints")
            seen, during = kill_once(command, folder, draw.uniform(0, 0.03), log)
            within += during
            for file in (n for n in names(folder) if n.endswith(".safetensors")):
                files += 1
                unloadable += inspect(program, os.path.join(folder, file)) is None
            found = inspect(program, run)
            lost += found is None or found["counters"]["steps"] < seen
            if k // len(RUNS) % COMPARED_EVERY == COMPARED_EVERY - 1 or k >= args.kills - len(RUNS):
                compared += 1
                other += not ends_as_if_never_killed(program, name, run, log)
    report = {"kills": args.kills, "within_a_save": within, "files_read_back": files, "unloadable": unloadable, "lost_after_acknowledgement": lost,
              "runs_compared": compared, "other_than_uninterrupted": other, "runs": list(RUNS)}
    print(json.dumps(record.write(report)))
    good = unloadable == lost == other == 0
    if good:
        shutil.rmtree(work)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
