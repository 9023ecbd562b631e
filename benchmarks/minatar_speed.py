#!/usr/bin/env python3
"""Steps per second of whole training runs on MinAtar breakout with the committed preset: environments, inference, updates, files.

    python3 benchmarks/minatar_speed.py [--seeds 3] [--steps 2M] [--out benchmarks/results/minatar_speed.json]
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

import measured

PROGRAM = os.path.join(measured.ROOT, "build", "volley")


def train(seed, steps, folder):
    out = subprocess.run([PROGRAM, "train", "minatar/breakout", "--steps", steps, "--seed", str(seed), "--out", os.path.join(folder, str(seed)), "--json"],
                         capture_output=True, text=True, check=True).stdout
    run = json.loads(out.splitlines()[-1])
    print(f"seed {seed}: {run['steps']} steps in {run['wall_s']:.1f} s, {run['steps_per_s']:,.0f} steps/s, mean return {run['return_mean_100']:.1f}", flush=True)
    return {key: run[key] for key in ("seed", "steps", "wall_s", "steps_per_s", "return_mean_100")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", default="2M")
    parser.add_argument("--out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [train(seed, options.steps, folder) for seed in range(1, options.seeds + 1)]
    rates = [run["steps_per_s"] for run in runs]
    rows = [{"name": "minatar/breakout/train", "unit": "steps/s", "median": statistics.median(rates), "min": min(rates), "max": max(rates), "samples": len(rates)}]
    report = {**measured.facts(f"python3 benchmarks/minatar_speed.py --seeds {options.seeds} --steps {options.steps}"), "results": rows, "runs": runs}
    if options.out:
        with open(options.out, "w") as f:
            json.dump(report, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
