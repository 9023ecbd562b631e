#!/usr/bin/env python3
"""CartPole-v1 from start of process until the last 100 training episodes average 475: ours and
Stable-Baselines3's, alternately in one run.

    python3 benchmarks/compare_cartpole.py [--seeds 5] [--out benchmarks/results/cartpole.json]

Both run PPO with the preset their users get: ours the committed one, theirs that of the RL Zoo (8
environments, 32 steps, 20 epochs, batches of 256, gamma 0.98, lambda 0.8, learning rate 1e-3 and
clip range 0.2 falling to 0 over 100,000 steps). Each program is timed from outside, imports and the
last checkpoint included; processor time stands beside the clock for machines that others use too.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import measured

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

THEIRS = r"""
import collections, sys
import torch
torch.set_num_threads(1)  # faster for them than 2 at this size
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

class Until(BaseCallback):
    def __init__(self):
        super().__init__()
        self.returns = collections.deque(maxlen=100)
    def _on_step(self):
        for info in self.locals["infos"]:
            if "episode" in info:
                self.returns.append(info["episode"]["r"])
        return len(self.returns) < 100 or sum(self.returns) / 100 < 475

until = Until()
model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs=8, seed=int(sys.argv[1])), n_steps=32, batch_size=256, n_epochs=20,
            gamma=0.98, gae_lambda=0.8, ent_coef=0.0, learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.2 * left,
            seed=int(sys.argv[1]), device="cpu")
model.learn(100000, callback=until)
reached = len(until.returns) == 100 and sum(until.returns) / 100 >= 475
print(int(reached), model.num_timesteps)
"""


def timed(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(program, seed):
    with tempfile.TemporaryDirectory() as folder:
        done, wall, cpu = timed([program, "train", "cartpole", "--algo", "ppo", "--seed", str(seed), "--until-return", "475", "--out",
                                 os.path.join(folder, "run"), "--json"])
        result = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seed": seed, "reached": result["stop"] == "target", "steps": result["steps"], "wall_s": wall, "cpu_s": cpu}


def theirs(python, seed):
    done, wall, cpu = timed([python, "-c", THEIRS, str(seed)])
    if done.returncode:
        sys.exit("Stable-Baselines3 did not run: " + done.stderr[-500:])
    reached, steps = done.stdout.split()[-2:]
    return {"seed": seed, "reached": reached == "1", "steps": int(steps), "wall_s": wall, "cpu_s": cpu}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "volley"))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has stable_baselines3")
    parser.add_argument("--out")
    args = parser.parse_args()
    rounds = []
    for seed in range(1, args.seeds + 1):
        rounds.append({"volley": ours(args.program, seed), "sb3": theirs(args.python, seed)})
        for name, r in rounds[-1].items():
            print(f"seed {seed} {name:7} {'reached' if r['reached'] else 'missed ':7} {r['steps']:7} steps {r['wall_s']:7.2f} s wall "
                  f"{r['cpu_s']:7.2f} s processor", flush=True)
    middle = lambda name, key: statistics.median(r[name][key] for r in rounds)
    ratio = lambda key: statistics.median(r["sb3"][key] / r["volley"][key] for r in rounds)
    summary = {"volley_wall_s": middle("volley", "wall_s"), "sb3_wall_s": middle("sb3", "wall_s"), "wall_ratio": ratio("wall_s"),
               "volley_cpu_s": middle("volley", "cpu_s"), "sb3_cpu_s": middle("sb3", "cpu_s"), "cpu_ratio": ratio("cpu_s"),
               "volley_steps": middle("volley", "steps"), "sb3_steps": middle("sb3", "steps")}
    print(f"median: {summary['volley_wall_s']:.2f} s against {summary['sb3_wall_s']:.2f} s: {summary['wall_ratio']:.0f} times faster "
          f"({summary['cpu_ratio']:.0f} times less processor time)")
    if args.out:
        with open(args.out, "w") as f:
            json.dump({**measured.facts("python3 benchmarks/compare_cartpole.py --seeds %d" % args.seeds),
                       "rounds": rounds, "summary": summary}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
