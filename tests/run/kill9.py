#!/usr/bin/env python3
"""kill -9 at random moments of runs that save after every update: nothing unloadable, nothing lost, and the same run.

    python3 tests/run/kill9.py --program build/volley [--kills 5000] [--out benchmarks/results/kill9.json]

A run gets ten kills, each followed by `volley resume`, which is killed in its turn; then the next run begins, of another algorithm,
environment and seed. A third of the kills falls anywhere between the start of the process and twice the time of its first save, the
others soon after a save. A checkpoint counts as acknowledged when it was seen under its final name before the kill. After every
kill each file that bears a checkpoint's name must read back with good checksums, and the newest must be as new as what was
acknowledged. A temporary file left behind tells that the kill fell into a save; the next save removes it.

After its tenth kill the run is resumed to a budget and ends there; its digest must be that of a run with the same settings and
budget that nothing has interrupted. Finished runs are kept in OUT.part, a line each: the same command goes on from there.
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

CLASSIC, CONTINUOUS = ("cartpole", "acrobot", "mountaincar"), ("pendulum", "mountaincar_continuous")
GAMES = ("minatar/breakout", "minatar/asterix", "minatar/freeway", "minatar/seaquest", "minatar/space_invaders")
SMALL = "--net.hidden 32 --envs 8 "
REPLAY = "--replay.capacity 4000 --dqn.learning_starts 200 --replay.beta_end 0.4"
# Algorithm, its options, environments. Nothing may be annealed over the budget: it is not the same before and after.
RUNS = {
    "ppo": ("ppo", "--ppo.anneal false", CLASSIC),
    "a2c": ("a2c", "--a2c.anneal false", CLASSIC),
    "impala": ("impala", "--impala.anneal false --pool.schedule sync", CLASSIC),
    "dqn": ("dqn", REPLAY, CLASSIC),
    "apex": ("apex", f"--apex.replay local {REPLAY}", CLASSIC),
    "reinforce": ("reinforce", "--reinforce.anneal false --reinforce.rollout 64", CLASSIC),
    "qlearning": ("qlearning", "", ("gridworld", "cliffwalking")),
    "sarsa": ("sarsa", "", ("cliffwalking", "gridworld", "mountaincar")),
    "lstm": ("ppo", "--ppo.anneal false --net.lstm 16", CLASSIC),
    "prioritized": ("dqn", f"{REPLAY} --replay.prioritized true --dqn.n_step 3", CLASSIC),
    "sac": ("sac", "--replay.capacity 4000 --sac.learning_starts 200 --sac.batch 32 --net.hidden 32 --envs 4", CONTINUOUS),
    "td3": ("td3", "--replay.capacity 4000 --td3.learning_starts 200 --td3.batch 32 --net.hidden 32 --envs 4", CONTINUOUS),
    "boxes": ("ppo", "--ppo.anneal false --net.hidden 32 --envs 4 --ppo.rollout 32", CONTINUOUS),
    "minatar-ppo": ("ppo", SMALL + "--ppo.anneal false --ppo.rollout 32", GAMES),
    "minatar-dqn": ("dqn", SMALL + REPLAY, GAMES),
    "minatar-impala": ("impala", SMALL + "--impala.anneal false --pool.schedule sync", GAMES),
}
ENDLESS = ["--checkpoint.every_steps", "1", "--steps", "1000000000"]
SELDOM = ["--checkpoint.every_steps", "1000000000"]
KILLS_OF_A_RUN = 10
COUNTS = ("kills", "within_a_save", "before_the_first_save", "files_read_back", "unloadable", "lost_after_acknowledgement", "runs_compared", "other_than_uninterrupted")


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


class Run:
    """One run and what its kills found."""

    def __init__(self, program, work, index):
        self.name = list(RUNS)[index % len(RUNS)]
        algo, options, envs = RUNS[self.name]
        lap = index // len(RUNS)
        self.settings = [envs[lap % len(envs)], "--algo", algo, *options.split(), "--seed", str(index + 1)]
        self.program, self.draw = program, random.Random(index)
        self.folder = os.path.join(work, f"{index}-{self.name}")
        self.checkpoints = os.path.join(self.folder, "checkpoints")
        self.log = open(self.folder + ".log", "w", encoding="utf-8")
        self.first_save_s = 0.2
        self.found = dict.fromkeys(COUNTS, 0)

    def train(self, folder, more):
        return [self.program, "train", *self.settings, "--out", folder, *more]

    def go_on(self, more, workers):
        """A process that was killed before it wrote its settings has left no run: it begins again."""
        if os.path.exists(os.path.join(self.folder, "config.yaml")):
            return [self.program, "resume", self.folder, *more]
        return self.train(self.folder, ["--workers", str(workers), *more])

    def wait_for_save(self, child, before):
        start = time.monotonic()
        while newest(self.checkpoints) <= before:
            if child.poll() is not None or time.monotonic() - start > 120:
                child.kill()
                raise SystemExit(f"{self.name}: {' '.join(child.args)}: saved nothing; its words are in {self.log.name}")
            time.sleep(0.001)
        self.first_save_s = time.monotonic() - start

    def kill_once(self):
        """Returns the newest step seen before the kill."""
        before, anywhere = newest(self.checkpoints), self.draw.random() < 1 / 3
        child = subprocess.Popen(self.go_on(ENDLESS, workers=2), stdout=self.log, stderr=self.log)
        if anywhere:
            time.sleep(self.draw.uniform(0, 2 * self.first_save_s))
        else:
            self.wait_for_save(child, before)
            time.sleep(self.draw.uniform(0, 0.03))
        seen = newest(self.checkpoints)
        if child.poll() is not None:
            raise SystemExit(f"{self.name}: {' '.join(child.args)}: ended by itself; its words are in {self.log.name}")
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.found["before_the_first_save"] += seen <= before
        return seen

    def check(self, seen):
        files = names(self.checkpoints)
        self.found["within_a_save"] += any(not n.endswith(".safetensors") for n in files)
        for file in (n for n in files if n.endswith(".safetensors")):
            self.found["files_read_back"] += 1
            self.found["unloadable"] += inspect(self.program, os.path.join(self.checkpoints, file)) is None
        if seen >= 0:
            whole = inspect(self.program, self.folder)
            self.found["lost_after_acknowledgement"] += whole is None or whole["counters"]["steps"] < seen

    def call(self, command):
        if subprocess.run(command, stdout=self.log, stderr=self.log, check=False).returncode != 0:
            raise SystemExit(f"{' '.join(command)}: failed; its words are in {self.log.name}")

    def compare(self):
        """Resumes to a budget that is a little ahead; compares with a run to that budget in one piece."""
        more, whole = [*SELDOM, "--steps", str(max(newest(self.checkpoints), 0) + 1000)], self.folder + "-whole"
        self.call(self.go_on(more, workers=2))
        self.call(self.train(whole, ["--workers", "1", *more]))
        ours, theirs = inspect(self.program, self.folder), inspect(self.program, whole)
        same = ours is not None and theirs is not None and ours["digest"] == theirs["digest"]
        if not same:
            print(f"{self.folder}: after kills {ours and ours['digest']}, in one piece {theirs and theirs['digest']}, {more}", file=sys.stderr)
        self.found["runs_compared"] += 1
        self.found["other_than_uninterrupted"] += not same

    def whole(self, kills):
        for _ in range(kills):
            self.check(self.kill_once())
            self.found["kills"] += 1
        self.compare()
        self.log.close()
        found = {"run": self.name, "env": self.settings[0], **self.found}
        if is_good(found):
            for path in (self.folder, self.folder + "-whole"):
                shutil.rmtree(path)
            os.remove(self.log.name)
        return found


def is_good(found):
    return found["unloadable"] == found["lost_after_acknowledgement"] == found["other_than_uninterrupted"] == 0


def finished(part):
    """Of the same command so far."""
    if not part or not os.path.exists(part):
        return []
    with open(part, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("}\n")]


def summary(rows):
    total = {key: sum(row[key] for row in rows) for key in COUNTS}
    kinds = sorted({row["run"] for row in rows})
    return {**total, "results": [{"run": kind, **{key: sum(row[key] for row in rows if row["run"] == kind) for key in COUNTS}} for kind in kinds]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/volley")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--each", type=int, default=KILLS_OF_A_RUN, metavar="N", help=f"kills of one run (default {KILLS_OF_A_RUN})")
    parser.add_argument("--out")
    args = parser.parse_args()
    record = measured.Record(args.out, program=args.program, timed=False)
    part = args.out and args.out + ".part"
    work, rows = tempfile.mkdtemp(prefix="vly-kill9-"), finished(part)
    while sum(row["kills"] for row in rows) < args.kills:
        left = args.kills - sum(row["kills"] for row in rows)
        rows.append(Run(os.path.abspath(args.program), work, len(rows)).whole(min(args.each, left)))
        if part:
            with open(part, "a", encoding="utf-8") as f:
                f.write(json.dumps(rows[-1]) + "\n")
    report = record.write(summary(rows))
    print(json.dumps({key: value for key, value in report.items() if key != "results"}))
    if part and os.path.exists(part):
        os.remove(part)
    good = is_good(report)
    if good:
        shutil.rmtree(work)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
