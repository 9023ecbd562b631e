#!/usr/bin/env python3
"""A3C on CartPole in ten iterations: the mean return of the last 100 episodes at the end of each, over several seeds.

    python3 benchmarks/a3c_table.py [--program build/volley] [--out benchmarks/results/a3c_cartpole.json]

The published table to compare with has ten rows and passes 190 in the last. It is of CartPole-v0, where an episode ends at 200;
ours is v1, where it goes on to 500. An iteration is 10,000 agent steps of all four workers together.
"""
import argparse, json, os, shutil, statistics, subprocess, tempfile

import measured

ITERATIONS, STEPS = 10, 10000


def curve(program, seed, workers, folder):
    run = os.path.join(folder, f"a3c{seed}")
    subprocess.run([program, "train", "cartpole", "--algo", "a3c", "--workers", str(workers), "--seed", str(seed), "--out", run,
                    "--metrics.every_s", "0.01", "--steps", "1M", "--until-return", "475", "--json"],
                   check=True, capture_output=True, timeout=300)
    rows = []
    with open(run + "/metrics.jsonl") as f:
        for line in f:
            r = json.loads(line)
            if "charts/return_mean_100" in r:
                rows.append((r["step"], r["charts/return_mean_100"]))
    at = []
    for i in range(1, ITERATIONS + 1):
        before = [value for step, value in rows if step <= i * STEPS]
        at.append(before[-1] if before else float("nan"))
    return at, rows[-1][0]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", default="build/volley")
    a.add_argument("--seeds", type=int, default=10)
    a.add_argument("--workers", type=int, default=4)
    a.add_argument("--out")
    o = a.parse_args()
    record = measured.Record(o.out, program=o.program, timed=False)
    folder = tempfile.mkdtemp(prefix="volley-a3c-")
    curves, ends = zip(*(curve(os.path.abspath(o.program), seed, o.workers, folder) for seed in range(1, o.seeds + 1)))
    shutil.rmtree(folder)
    table = []
    print("iteration    steps   mean   worst    best")
    for i in range(ITERATIONS):
        values = [c[i] for c in curves]
        table.append({"iteration": i + 1, "steps": (i + 1) * STEPS, "mean": round(statistics.mean(values), 1), "min": round(min(values), 1),
                      "max": round(max(values), 1)})
        print("{iteration:9} {steps:8} {mean:6.1f} {min:7.1f} {max:7.1f}".format(**table[-1]))
    print(f"475 after {statistics.median(ends):.0f} steps (median), {max(ends)} at worst")
    record.write({"workers": o.workers, "seeds": o.seeds, "table": table, "steps_to_475": sorted(ends),
                  "above_190_by_iteration_10": sum(c[-1] > 190 for c in curves)})


if __name__ == "__main__":
    main()
