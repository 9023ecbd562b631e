#!/usr/bin/env python3
"""Pendulum-v1 for a given number of steps with the same constants: ours and Stable-Baselines3's, alternately.

    python3 benchmarks/compare_pendulum.py [--python PYTHON] [--out benchmarks/results/pendulum_sb3.json] [--filter sac]

    pendulum/ppo   40,000 steps: 8 environments, 256 steps, 10 epochs of batches of 128, gamma 0.9, learning rate 1e-3, two networks of
                   64, 64 with tanh, and their value loss (0.5 times the squared error; ours has a 1/2 inside, so its weight is 1)
    pendulum/sac   4,000 steps: one environment, an update of 256 a step after the first 100, two critics and a policy of 256, 256 with
                   relu, learning rate 1e-3

Seconds of the clock from outside, imports and the last checkpoint included. Theirs with the number of threads that is faster for it:
one for PPO, all for SAC. Round k has seed 1000 + k on both sides.
"""
import json
import os
import sys
import tempfile

import measured
from compare_cartpole import timed

FIRST_SEED = 1001
CASES = {
    "ppo": (40_000, {"run.envs": 8, "net.hidden": "64,64", "net.separate": "true", "ppo.lr": 1e-3, "ppo.anneal": "false", "ppo.rollout": 256,
                     "ppo.epochs": 10, "ppo.minibatches": 16, "ppo.gamma": 0.9, "ppo.lambda": 0.95, "ppo.clip": 0.2, "ppo.value_coef": 1, "ppo.value_clip": 0,
                     "ppo.entropy_coef": 0, "ppo.normalize_reward": "false", "optim.max_grad_norm": 0.5, "optim.eps": 1e-5}),
    "sac": (4_000, {"run.envs": 1, "net.hidden": "256,256", "sac.lr": 1e-3, "sac.critic_lr": 1e-3, "sac.batch": 256, "sac.learning_starts": 100,
                    "replay.ratio": 256, "replay.capacity": 50_000}),
}

SB3 = r"""
import sys
import torch
algo, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if algo == "ppo":
    torch.set_num_threads(1)
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env

if algo == "ppo":
    model = PPO("MlpPolicy", make_vec_env("Pendulum-v1", n_envs=8, seed=seed), n_steps=256, batch_size=128, n_epochs=10, gamma=0.9, gae_lambda=0.95,
                ent_coef=0.0, learning_rate=1e-3, clip_range=0.2, seed=seed, device="cpu")
else:
    model = SAC("MlpPolicy", "Pendulum-v1", learning_rate=1e-3, buffer_size=50_000, learning_starts=100, batch_size=256, seed=seed, device="cpu")
model.learn(steps)
print(model.num_timesteps)
"""


def ours(program, algo, seed):
    steps, settings = CASES[algo]
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        out, figures = timed([program, "train", "pendulum", "--algo", algo, "--seed", str(seed), "--steps", str(steps), "--out",
                              os.path.join(folder, "run"), "--json", *options], (0,))
    return {**figures, "seed": seed, "steps": json.loads(out.strip().splitlines()[-1])["steps"]}


def theirs(python, algo, seed):
    out, figures = timed([python, "-c", SB3, algo, str(seed), str(CASES[algo][0])], (0,))
    return {**figures, "seed": seed, "steps": int(out.split()[-1])}


def main():
    def more(parser):
        parser.add_argument("--program", default=measured.VOLLEY)
        parser.add_argument("--python", default=sys.executable, help="an interpreter that has stable_baselines3")

    o = measured.options(__doc__, "pendulum_sb3.json", more=more)
    c = measured.Comparison(o, program=o.program)
    for algo in CASES:
        name = f"pendulum/{algo}"
        seed = lambda: FIRST_SEED + len(c.samples.get(name, []))
        row = c.case(name, "s", {"volley": lambda: lambda: ours(o.program, algo, seed()), "sb3": lambda: lambda: theirs(o.python, algo, seed())})
        if row:
            row["cpu_s"] = {who: measured.spread([r["cpu_s"] for r in rounds]) for who, rounds in row["kept"].items()}
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
