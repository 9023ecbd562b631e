#!/usr/bin/env python3
"""Runs of thousands of actors that report one by one, beside a program whose trainer waits on condition variables.

    python3 benchmarks/loop.py OLD [NEW] [--out benchmarks/results/loop.json]

OLD and NEW (build/volley) are programs. IMPALA with chunks of one actor: each step of each actor is an event of its own to the
trainer. The rate is steps per second as the run itself reports them. `loop` is what `volley bench loop` prints of NEW alone; the
memory of an actor is there.
"""
import json
import os
import subprocess
import sys
import tempfile

import measured

CASES = {"cartpole/4096": ["cartpole", "--envs", "4096", "--steps", "200k", "--impala.rollout", "20", "--impala.batch", "64"],
         "pong/512": ["pong", "--envs", "512", "--steps", "8k", "--impala.rollout", "8", "--impala.batch", "64", "--net.hidden", "32"]}


def trained(program, words):
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([program, "train", *words, "--algo", "impala", "--pool.chunk", "1", "--precision", "fp32", "--seed", "1", "--checkpoint.every_s", "1e6",
                              "--out", os.path.join(folder, "run"), "--json"], capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])["steps_per_s"]


def loop_suite(program, seconds):
    done = subprocess.run([program, "bench", "loop", "--seconds", str(seconds), "--samples", "5", "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["results"]


def main():
    def more(parser):
        parser.add_argument("old")
        parser.add_argument("new", nargs="?", default=measured.VOLLEY)

    o = measured.options(__doc__, "loop.json", seconds=0.5, more=more)
    programs = {"new": os.path.abspath(o.new), "old": os.path.abspath(o.old)}
    versions = {who: subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip() for who, path in programs.items()}
    c = measured.Comparison(o, program=o.new, versions=versions)
    for name, words in CASES.items():
        c.case(f"train/{name}", "steps/s", {who: lambda p=path, w=words: lambda: trained(p, w) for who, path in programs.items()})
    return c.finish(loop=loop_suite(programs["new"], o.seconds) if not c.left else [])


if __name__ == "__main__":
    sys.exit(main())
