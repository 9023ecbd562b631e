#!/usr/bin/env python3
"""Runs of thousands of actors that report one by one, beside a program whose trainer waits on condition variables.

    python3 benchmarks/loop.py OLD [NEW] [--out benchmarks/results/loop.json]

OLD and NEW (build/volley) are programs. IMPALA with chunks of one actor: each step of each actor is an event of its own to the
trainer. The rate is steps per second as the run itself reports them; kept beside it: the most resident memory of the process, and
what of it each actor takes, which is the difference to a run of 16 actors. `loop` is what `volley bench loop` prints of NEW alone.
"""
import json
import os
import subprocess
import sys
import tempfile

import measured

FEW = 16
CASES = {"cartpole/4096": ["cartpole", "--envs", "4096", "--steps", "200k", "--impala.rollout", "20", "--impala.batch", "64"],
         "pong/512": ["pong", "--envs", "512", "--steps", "8k", "--impala.rollout", "8", "--impala.batch", "64", "--net.hidden", "32"]}


def trained(program, words):
    """Steps per second, and the most resident memory in bytes."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as answer:
        run = subprocess.Popen([program, "train", *words, "--algo", "impala", "--pool.chunk", "1", "--precision", "fp32", "--seed", "1", "--checkpoint.every_s", "1e6",
                                "--out", os.path.join(folder, "run"), "--json"], stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
        answer.seek(0)
        lines = answer.read().splitlines()
        if status or not lines:
            raise RuntimeError(f"{' '.join(words)}: the run ended with {os.waitstatus_to_exitcode(status)}")
    return json.loads(lines[-1])["steps_per_s"], usage.ru_maxrss * 1024


def side(program, words):
    few = [w if w != words[2] else str(FEW) for w in words]
    few[4] = "500"

    def sample():
        rate, most = trained(program, words)
        return {"value": rate, "resident_bytes": most, "bytes_per_actor": round((most - base) / (int(words[2]) - FEW))}

    _, base = trained(program, few)
    return sample


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
        c.case(f"train/{name}", "steps/s", {who: lambda p=path, w=words: side(p, w) for who, path in programs.items()})
    return c.finish(loop=loop_suite(programs["new"], o.seconds) if not c.left else [])


if __name__ == "__main__":
    sys.exit(main())
