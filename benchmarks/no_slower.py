#!/usr/bin/env python3
"""Two builds of Volley alternately: is the new one within 2 % of the old one?

    python3 benchmarks/no_slower.py OLD [NEW] [--out benchmarks/results/no_slower.json]

OLD and NEW (build/volley) are programs. Cases: training CartPole, MinAtar breakout and Atari pong (fp32) with their presets from the
first step to the last, PPO and on CartPole IMPALA too, steps per second as the run itself reports them; environments alone; updates
of the Nature network. Both have the same seeds, and with PPO do the same work: where the digests of their last checkpoints are equal,
the file says so.

Prints new / old: median, least and most of the rounds. Exit code 1 when a median is below 0.98, 0 otherwise.
"""
import json
import os
import subprocess
import sys
import tempfile

import measured

FP32 = ["--precision", "fp32"]  # what --precision auto takes may differ between the two
PPO = ["--algo", "ppo"]
TRAIN = {"cartpole": ["cartpole", "--steps", "500k", *PPO], "minatar/breakout": ["minatar/breakout", "--steps", "300k", *PPO, *FP32],
         "pong": ["pong", "--steps", "16k", *PPO, *FP32], "cartpole/impala": ["cartpole", "--steps", "300k", "--algo", "impala"]}
SUITES = {"cartpole/step": ("envs", []), "cartpole/pool": ("envs", []), "minatar/breakout/step": ("envs", []), "pong/raw": ("envs", ["--env", "pong"]),
          "nature/forward/f32/256": ("learner", []), "nature/update/f32/256": ("learner", [])}
LEAST = 0.98


def trained(program, words):
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([program, "train", *words, "--seed", "1", "--out", os.path.join(folder, "run"), "--json"],
                             capture_output=True, text=True, check=True).stdout
        run = json.loads(out.splitlines()[-1])
        seen = subprocess.run([program, "inspect", run["checkpoint"], "--json"], capture_output=True, text=True, check=True).stdout
    return {"value": run["steps_per_s"], "digest": json.loads(seen.splitlines()[-1])["digest"]}


def from_suite(program, bench, name, seconds, words):
    out = subprocess.run([program, "bench", bench, "--filter", name, "--seconds", str(seconds), "--samples", "3", "--json", *words],
                         capture_output=True, text=True, check=True, env={**os.environ, "VLY_BENCH_DEVICE": "cpu"}).stdout
    return next(r["median"] for r in json.loads(out.splitlines()[-1])["results"] if r["name"] == name)


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()


def main():
    def more(parser):
        parser.add_argument("old")
        parser.add_argument("new", nargs="?", default=measured.VOLLEY)

    o = measured.options(__doc__, "no_slower.json", seconds=0.2, more=more)
    programs = {"new": os.path.abspath(o.new), "old": os.path.abspath(o.old)}
    c = measured.Comparison(o, program=o.new, versions={who: version(program) for who, program in programs.items()})
    for name, words in TRAIN.items():
        row = c.case(f"train/{name}", "steps/s", {who: lambda p=program, w=words: lambda: trained(p, w) for who, program in programs.items()})
        if row and PPO[1] in words:
            kept = row.pop("kept")
            row["same_digest"] = kept["new"] == kept["old"]
    for name, (bench, words) in SUITES.items():
        c.case(name, "1/s", {who: lambda p=program, n=name, b=bench, w=words: lambda: from_suite(p, b, n, o.seconds, w) for who, program in programs.items()})
    slower = [row["name"] for row in c.cases if row["ratio"]["median"] < LEAST]
    for name in slower:
        print(f"slower than {LEAST} of the old one: {name}")
    return c.finish(least_allowed=LEAST) or (1 if slower else 0)


if __name__ == "__main__":
    sys.exit(main())
