#!/usr/bin/env python3
"""Prioritized replay of a million small transitions, ours and cpprb's, alternately in one run, one thread each.

    python3 benchmarks/compare_replay.py [--out benchmarks/results/replay.json]

Needs build/volley and cpprb. Both insert transitions of 4 floats, an action, a reward and a flag into a full buffer, and sample 256 by
priority with importance weights and both observations, then set 256 new priorities. Ours keeps an observation once; cpprb does so with
next_of="obs" and keeps both otherwise. It is tried both ways, in calls of 100, 1,000 and 10,000 transitions for insertion, and measured
at its best, which the file names.
"""
import sys

import measured

CPPRB = """
import numpy as np
from cpprb import PrioritizedReplayBuffer
CAPACITY, BATCH = 1_000_000, 256
what, once, chunk = ARGS[0], ARGS[1] == "once", int(ARGS[2])
rng = np.random.default_rng(0)
fields = {"obs": {"shape": 4}, "act": {"dtype": np.int32}, "rew": {}, "done": {}}
if once:
    buffer = PrioritizedReplayBuffer(CAPACITY, fields, next_of="obs", alpha=0.6)
else:
    buffer = PrioritizedReplayBuffer(CAPACITY, {**fields, "next_obs": {"shape": 4}}, alpha=0.6)
rows = {"obs": rng.random((chunk, 4), dtype=np.float32), "act": rng.integers(0, 4, chunk).astype(np.int32),
        "rew": rng.random(chunk, dtype=np.float32), "next_obs": rng.random((chunk, 4), dtype=np.float32),
        "done": (rng.random(chunk) < 0.005).astype(np.float32)}
errors = rng.random((64, BATCH), dtype=np.float32) * 4 + 1e-6
for _ in range(CAPACITY // chunk + 1):
    buffer.add(**rows)
def work():
    if what == "insert":
        buffer.add(**rows)
        return chunk
    for k in range(16):
        s = buffer.sample(BATCH, beta=0.4)
        buffer.update_priorities(s["indexes"], errors[k])
    return 16 * BATCH
"""


def best(what, seconds, chunks):
    one = lambda *words: lambda: measured.Child(CPPRB, what, *words, seconds=seconds, cores=1)
    return lambda: measured.Best({f"observations kept {kept}, {chunk} a call": one(kept, chunk) for kept in ("once", "twice") for chunk in chunks})


def main():
    o = measured.options(__doc__, "replay.json")
    peers = measured.versions("cpprb")
    if not peers:
        print("SKIPPED: cpprb is not installed", file=sys.stderr)
        return 77
    c = measured.Comparison(o, **peers)
    for what, chunks in (("insert", (100, 1000, 10000)), ("sample_update", (1000,))):
        c.case(what, "transitions/s", {"volley": measured.suite("replay", f"replay/{what}", o.seconds, 1, environment={"VLY_BENCH_DEVICE": "cpu"}), "cpprb": best(what, o.seconds, chunks)})
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
