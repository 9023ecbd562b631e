#!/usr/bin/env python3
"""Steps per second of whole training runs on MinAtar breakout with the committed preset: environments, inference, updates, files.

    python3 benchmarks/minatar_speed.py [--steps 2M] [--out benchmarks/results/minatar_speed.json]

Round k has seed k. Nobody stands beside it: no peer trains this game with these rules.
"""
import json
import os
import subprocess
import sys
import tempfile

import measured


def train(seed, steps):
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([measured.VOLLEY, "train", "minatar/breakout", "--steps", steps, "--seed", str(seed), "--out", os.path.join(folder, "run"), "--json"],
                             capture_output=True, text=True, check=True).stdout
    run = json.loads(out.splitlines()[-1])
    return {"value": run["steps_per_s"], **{key: run[key] for key in ("seed", "steps", "wall_s", "return_mean_100")}}


def main():
    o = measured.options(__doc__, "minatar_speed.json", more=lambda parser: parser.add_argument("--steps", default="2M"))
    c = measured.Comparison(o)
    name = "minatar/breakout/train"
    c.case(name, "steps/s", {"volley": lambda: lambda: train(1 + len(c.samples.get(name, [])), o.steps)}, steps=o.steps)
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
