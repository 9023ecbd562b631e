#!/usr/bin/env python3
"""Steps per second on one core, ours and the peers', alternately in one run.

    python3 benchmarks/compare_envs.py [--rounds 5] [--out benchmarks/results/envs.json]

Needs build/volley-bench and, of the peers, whichever import: gymnasium (its vectorised CartPole,
and single environments for the rest), envpool (one thread, synchronous), minatar. Each round
measures every program once, ours first; a ratio is the median of the rounds' ratios, so a slow
spell of the machine hits both sides. Rates per second of processor time stand beside those of the
clock, for machines that other programs use too. All get random actions and write observations.
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
GYM = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountaincar": "MountainCar-v0",
       "cliffwalking": "CliffWalking-v1"}
MINATAR = ("breakout", "asterix", "freeway", "seaquest", "space_invaders")


def timed(step, seconds=0.4):
    """Calls step(), which returns how many steps it made, for a while: steps per second, of the clock
    and of processor time."""
    step()
    done, start, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        done += step()
    return done / (time.perf_counter() - start), done / (time.process_time() - cpu)


def volley(name):
    def run():
        out = subprocess.run([os.path.join(ROOT, "build", "volley-bench"), "envs", name], check=True,
                             capture_output=True, text=True).stdout
        result = json.loads(out.splitlines()[0])
        return result["median"], result["median_per_cpu_s"]

    return run


def gymnasium_vector(gym_id, n):
    import gymnasium
    import numpy as np

    env = gymnasium.make_vec(gym_id, num_envs=n, vectorization_mode="vector_entry_point")
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(64, n))

    def step():
        for a in actions:
            env.step(a)
        return n * len(actions)

    return lambda: timed(step)


def gymnasium_single(gym_id):
    import gymnasium

    env = gymnasium.make(gym_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [int(env.action_space.sample()) for _ in range(500)]

    def step():
        for a in actions:
            _, _, terminated, truncated, _ = env.step(a)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return lambda: timed(step)


def envpool_one_thread(gym_id, n):
    import envpool
    import numpy as np

    env = envpool.make_gymnasium(gym_id, num_envs=n, num_threads=1)
    env.reset()
    actions = np.random.default_rng(0).integers(env.action_space.n, size=(64, n)).astype(np.int32)

    def step():
        for a in actions:
            env.step(a)
        return n * len(actions)

    return lambda: timed(step)


def minatar_single(game):
    import logging

    logging.disable(logging.WARNING)
    import numpy as np
    from minatar import Environment

    env = Environment(game)
    env.seed(0)
    env.reset()
    actions = [int(a) for a in np.random.default_rng(0).integers(6, size=500)]

    def step():
        for a in actions:
            _, done = env.act(a)
            env.state()
            if done:
                env.reset()
        return len(actions)

    return lambda: timed(step)


def plan():
    """(ours, [(peer's name, how to make it)])"""
    for name, gym_id in GYM.items():
        peers = [(f"gymnasium {gym_id}", lambda i=gym_id: gymnasium_single(i)),
                 (f"envpool {gym_id}, 256 envs, 1 thread", lambda i=gym_id: envpool_one_thread(i, 256))]
        if name == "cartpole":
            for n in (256, 4096):
                peers.append((f"gymnasium vectorised, {n} envs", lambda k=n: gymnasium_vector("CartPole-v1", k)))
        if name == "cliffwalking":
            peers.pop()  # EnvPool has it under another version: not the same rules
        yield f"{name}/step", peers
        if name == "cartpole":
            yield "cartpole/pool", peers[1:]
    for game in MINATAR:
        yield f"minatar/{game}/step", [(f"minatar {game}", lambda g=game: minatar_single(g))]


def made(peers):
    for name, make in peers:
        try:
            yield name, make()
        except Exception as error:  # a peer that is not installed is no reason to stop
            print(f"without {name}: {error}", file=sys.stderr)


def summary(rates):
    wall, cpu = zip(*rates)
    return {"median": statistics.median(wall), "min": min(wall), "max": max(wall),
            "median_per_cpu_s": statistics.median(cpu)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filter", default="")
    parser.add_argument("--out")
    args = parser.parse_args()
    import warnings

    warnings.simplefilter("ignore")
    results = []
    for name, peers in plan():
        if args.filter not in name:
            continue
        ours, peers = volley(name), list(made(peers))
        rates = {who: [] for who in ["volley"] + [who for who, _ in peers]}
        for _ in range(args.rounds):
            rates["volley"].append(ours())
            for who, run in peers:
                rates[who].append(run())
        entry = {"name": name, "unit": "steps/s", "samples": args.rounds, "volley": summary(rates["volley"]),
                 "peers": []}
        for who, _ in peers:
            ratio, ratio_cpu = (statistics.median(v[k] / p[k] for v, p in zip(rates["volley"], rates[who]))
                                for k in (0, 1))
            entry["peers"].append({"name": who, **summary(rates[who]), "ratio": ratio, "ratio_per_cpu_s": ratio_cpu})
            ours_now = entry["volley"]
            print(f"{name:28s} {ours_now['median'] / 1e6:8.2f} M/s, {ours_now['median_per_cpu_s'] / 1e6:8.2f} M/cpu-s"
                  f"  {ratio:8.1f} x, cpu {ratio_cpu:8.1f} x  {who}", flush=True)
        results.append(entry)
    report = {**measured.facts("python3 benchmarks/compare_envs.py"), "results": results}
    if args.out:
        with open(args.out, "w") as out:
            json.dump(report, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
