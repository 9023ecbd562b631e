#!/usr/bin/env python3
"""Prioritized replay of a million small transitions, ours and cpprb's, alternately in one run.

    python3 benchmarks/compare_replay.py [--rounds 5] [--out benchmarks/results/replay.json]

Needs build/volley-bench and cpprb. Both insert transitions of 4 floats, an action, a reward and a flag into a
full buffer (cpprb in calls of --chunk transitions, its fastest), and sample 256 by priority with
importance weights and both observations, then set 256 new priorities. One thread each. Each round
measures both, ours first; a ratio is the median of the rounds' ratios.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CAPACITY, BATCH = 1_000_000, 256


def volley(name):
    out = subprocess.run([os.path.join(ROOT, "build", "volley-bench"), "replay", name], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[0])["median"]


def rate(work, seconds=0.5, samples=3):
    work()
    best = []
    for _ in range(samples):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            done += work()
        best.append(done / (time.perf_counter() - start))
    return statistics.median(best)


def make_cpprb(chunk):
    import numpy as np
    from cpprb import PrioritizedReplayBuffer

    rng = np.random.default_rng(0)
    buffer = PrioritizedReplayBuffer(CAPACITY, {"obs": {"shape": 4}, "act": {"dtype": np.int32}, "rew": {},
                                                "next_obs": {"shape": 4}, "done": {}}, alpha=0.6)
    rows = {"obs": rng.random((chunk, 4), dtype=np.float32), "act": rng.integers(0, 4, chunk).astype(np.int32),
            "rew": rng.random(chunk, dtype=np.float32), "next_obs": rng.random((chunk, 4), dtype=np.float32),
            "done": (rng.random(chunk) < 0.005).astype(np.float32)}
    errors = rng.random((64, BATCH), dtype=np.float32) * 4 + 1e-6
    for _ in range(CAPACITY // chunk + 1):
        buffer.add(**rows)

    def insert():
        for _ in range(16):
            buffer.add(**rows)
        return 16 * chunk

    def sample_update():
        for k in range(16):
            s = buffer.sample(BATCH, beta=0.4)
            buffer.update_priorities(s["indexes"], errors[k])
        return 16 * BATCH

    return insert, sample_update


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=1000)
    parser.add_argument("--out")
    args = parser.parse_args()
    from importlib.metadata import version

    insert, sample_update = make_cpprb(args.chunk)
    pairs = {"insert": ("replay/insert", insert), "sample_update": ("replay/sample_update", sample_update)}
    results = {}
    for what, (name, peer) in pairs.items():
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(volley(name))
            theirs.append(rate(peer))
        ratios = [a / b for a, b in zip(ours, theirs)]
        results[what] = {"ours": statistics.median(ours), "cpprb": statistics.median(theirs),
                         "ratio": statistics.median(ratios), "ratios": ratios, "unit": "transitions/s"}
        print(f"{what}: {results[what]['ours']:.3g} against {results[what]['cpprb']:.3g} transitions/s, "
              f"ratio {results[what]['ratio']:.2f}")
    report = {**measured.facts(f"python3 benchmarks/compare_replay.py --rounds {args.rounds} --chunk {args.chunk}"), "cpprb": version("cpprb"), "results": results}
    if args.out:
        with open(args.out, "w") as f:
            json.dump(report, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
