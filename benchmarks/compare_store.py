#!/usr/bin/env python3
"""Experience over a network store, ours (Redis) and Reverb's, alternately in one run.

    python3 benchmarks/compare_store.py [--rounds 3] [--out benchmarks/results/apex_store.json]

Needs build/volley, redis-server and dm-reverb with its TensorFlow, in a Python of its own (pip install
'dm-reverb[tensorflow]==0.14.0'). Server and client are processes of their own and share the machine in both. Small: transitions of 4 floats, an action,
a reward, each an item. Frames: every step appends an 84 x 84 picture (the pictures of bench_store.c) and makes an item of
the last five, each frame sent once (TrajectoryWriter). Reverb's client samples by priority in calls of 4096 (smaller ones are slower).
A ratio is the median of the rounds' ratios; ours first in each round.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def volley(seconds, samples):
    out = subprocess.run([os.path.join(ROOT, "build", "volley"), "bench", "store", "--seconds", str(seconds), "--samples",
                          str(samples), "--json"], check=True, capture_output=True, text=True).stdout
    return {r["name"]: r for r in json.loads(out)["results"]}


def picture(np, t, lane):
    y, x = np.mgrid[0:84, 0:84]
    block = (y >= 18) & (y < 42) & ((x // 6 * 7 + y // 4 * 13 + t // 16) % 5 < 3)
    frame = np.where(block, 60 + y // 4 * 10, y // 12 % 7 * 20).astype(np.uint8)
    paddle, bx, by = t * 3 % 76, t * 5 % 82, t * 7 % 82
    frame[76:78, paddle:paddle + 8] = 200
    frame[by:by + 2, bx:bx + 2] = 236
    flat = frame.reshape(-1)
    for i in range(40):
        h = (t * 2654435761 ^ (lane * 40503 + i * 2246822519)) & 0xffffffff
        flat[(h ^ h >> 15) % 7056] = h >> 8 & 255
    return frame


def rates(insert, sample, seconds):
    """Insertion alone, then sampling alone, units per second."""
    out = []
    for work in (insert, sample):
        work()
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            done += work()
        out.append(done / (time.perf_counter() - start))
    return out


def serve(kind):
    import reverb

    items = 200_000 if kind == "small" else 20_000
    server = reverb.Server(tables=[reverb.Table("t", reverb.selectors.Prioritized(0.6), reverb.selectors.Fifo(), items,
                                                reverb.rate_limiters.MinSize(1))])
    print(server.port, flush=True)
    server.wait()


def reverb_rates(kind, seconds):
    import numpy as np
    import reverb

    server = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--serve", kind], stdout=subprocess.PIPE, text=True)
    client = reverb.Client(f"localhost:{int(server.stdout.readline())}")
    rng = np.random.default_rng(0)
    window = 1 if kind == "small" else 5
    if kind == "small":
        steps = [{"obs": rng.random(4, dtype=np.float32), "action": np.int32(i % 4), "reward": np.float32(1)} for i in range(256)]
        key = "obs"
    else:
        steps = [{"frame": picture(np, t, 0), "action": np.int32(t % 4), "reward": np.float32(1)} for t in range(128)]
        key = "frame"
    with client.trajectory_writer(num_keep_alive_refs=window + 1) as writer:
        def insert():
            for i, step in enumerate(steps):
                writer.append(step)
                if i + 1 >= window:
                    part = {key: writer.history[key][-window:], "action": writer.history["action"][-1:],
                            "reward": writer.history["reward"][-1:]}
                    writer.create_item("t", priority=1.0 + i % 7, trajectory=part)
                if i % 32 == 31:
                    writer.flush(64)
            writer.flush()
            return len(steps) - window + 1

        def sample():
            return sum(1 for _ in client.sample("t", num_samples=4096, emit_timesteps=False))

        out = rates(insert, sample, seconds)
    server.terminate()
    server.wait()
    return {"insert": out[0], "sample": out[1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--out")
    parser.add_argument("--serve", choices=("small", "frames"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve)
    from importlib.metadata import version

    rounds = []
    for n in range(args.rounds):
        ours = volley(0.2, 3)
        theirs = {kind: reverb_rates(kind, args.seconds) for kind in ("small", "frames")}
        rounds.append((ours, theirs))
        print(f"round {n + 1}: ours {({k: round(r['median']) for k, r in ours.items()})}")
        print(f"         reverb {({k: {w: round(v) for w, v in r.items()} for k, r in theirs.items()})}", flush=True)
    results = {}
    for name, last in rounds[-1][0].items():
        part, what, kind = name.split("/")[:3]
        ours = [r[0][name]["median"] for r in rounds]
        results[f"{what}/{'/'.join(name.split('/')[2:])}"] = row = {
            "ours": statistics.median(ours), "unit": last["unit"], "redis": last["redis"], "bytes_per_transition": last.get("bytes_per_transition")}
        if what not in ("insert", "sample", "cached"):
            continue
        theirs = [r[1][kind]["insert" if what == "insert" else "sample"] for r in rounds]
        row.update(reverb=statistics.median(theirs), ratios=[a / b for a, b in zip(ours, theirs)])
        row["ratio"] = statistics.median(row["ratios"])
        print(f"{name:26s} {row['ours']:12.0f} transitions/s, {row['ratio']:6.1f} times Reverb's {row['reverb']:.0f}")
    report = {**measured.facts(f"python3 benchmarks/compare_store.py --rounds {args.rounds} --seconds {args.seconds}"),
              "dm-reverb": version("dm-reverb"), "results": results}
    if args.out:
        with open(args.out, "w") as f:
            json.dump(report, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
