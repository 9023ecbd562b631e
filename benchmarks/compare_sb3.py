#!/usr/bin/env python3
"""Continuous control for a given number of steps with the same constants: ours and Stable-Baselines3's, alternately.

    python3 benchmarks/compare_sb3.py [--python PYTHON] [--out benchmarks/results/sb3.json] [--filter half_cheetah]

    pendulum/ppo       40,000 steps: 8 environments, 256 steps, 10 epochs of batches of 128, gamma 0.9, learning rate 1e-3, two networks of
                       64, 64 with tanh, and their value loss (0.5 times the squared error; ours has a 1/2 inside, so its weight is 1)
    half_cheetah/ppo   20,000 steps: one environment, 2,048 steps, 10 epochs of batches of 64, learning rate 3e-4, the same networks and
                       value loss, observations and rewards normalised by running moments on both sides
    pendulum/sac       4,000 steps: one environment, an update of 256 a step after the first 100, two critics and a policy of 256, 256
                       with relu, learning rate 1e-3
    half_cheetah/sac   the same with learning rate 3e-4

Seconds of the clock from outside, imports and the last checkpoint included. Theirs with the number of threads that suits it (LOG.md):
one for PPO, all for SAC. Round k has seed 1000 + k on both sides.
"""
import json
import os
import sys
import tempfile

import measured
from compare_cartpole import timed

FIRST_SEED = 1001
PPO = {"net.hidden": "64,64", "net.separate": "true", "ppo.anneal": "false", "ppo.epochs": 10, "ppo.lambda": 0.95, "ppo.clip": 0.2,
       "ppo.value_coef": 1, "ppo.value_clip": 0, "ppo.entropy_coef": 0, "optim.max_grad_norm": 0.5, "optim.eps": 1e-5}
SAC = {"run.envs": 1, "net.hidden": "256,256", "sac.batch": 256, "sac.learning_starts": 100, "replay.ratio": 256, "replay.capacity": 50_000}
# ours, theirs, steps, our settings
CASES = {
    "pendulum/ppo": ("pendulum", "Pendulum-v1", 40_000, {**PPO, "run.envs": 8, "ppo.lr": 1e-3, "ppo.rollout": 256, "ppo.minibatches": 16, "ppo.gamma": 0.9,
                                                         "ppo.normalize_reward": "false"}),
    "half_cheetah/ppo": ("mujoco/half_cheetah", "HalfCheetah-v5", 20_000,
                         {**PPO, "run.envs": 1, "ppo.lr": 3e-4, "ppo.rollout": 2048, "ppo.minibatches": 32, "ppo.gamma": 0.99,
                          "net.normalize": "true", "ppo.normalize_reward": "true"}),
    "pendulum/sac": ("pendulum", "Pendulum-v1", 4_000, {**SAC, "sac.lr": 1e-3, "sac.critic_lr": 1e-3}),
    "half_cheetah/sac": ("mujoco/half_cheetah", "HalfCheetah-v5", 4_000, {**SAC, "sac.lr": 3e-4, "sac.critic_lr": 3e-4}),
}

SB3 = r"""
import sys
import torch
case, env, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if case.endswith("ppo"):
    torch.set_num_threads(1)
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

same = dict(n_epochs=10, gae_lambda=0.95, ent_coef=0.0, clip_range=0.2, seed=seed, device="cpu")
if case == "pendulum/ppo":
    model = PPO("MlpPolicy", make_vec_env(env, n_envs=8, seed=seed), n_steps=256, batch_size=128, gamma=0.9, learning_rate=1e-3, **same)
elif case == "half_cheetah/ppo":
    model = PPO("MlpPolicy", VecNormalize(make_vec_env(env, n_envs=1, seed=seed)), n_steps=2048, batch_size=64, gamma=0.99, learning_rate=3e-4, **same)
else:
    model = SAC("MlpPolicy", env, learning_rate=1e-3 if case.startswith("pendulum") else 3e-4, buffer_size=50_000, learning_starts=100, batch_size=256,
                seed=seed, device="cpu")
model.learn(steps)
print(model.num_timesteps)
"""


def ours(program, case, seed):
    env, _, steps, settings = CASES[case]
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        out, figures = timed([program, "train", env, "--algo", case.split("/")[1], "--seed", str(seed), "--steps", str(steps), "--out",
                              os.path.join(folder, "run"), "--json", *options], (0,))
    return {**figures, "seed": seed, "steps": json.loads(out.strip().splitlines()[-1])["steps"]}


def theirs(python, case, seed):
    out, figures = timed([python, "-c", SB3, case, CASES[case][1], str(seed), str(CASES[case][2])], (0,))
    return {**figures, "seed": seed, "steps": int(out.split()[-1])}


def main():
    def more(parser):
        parser.add_argument("--program", default=measured.VOLLEY)
        parser.add_argument("--python", default=sys.executable, help="an interpreter that has stable_baselines3")

    o = measured.options(__doc__, "sb3.json", more=more)
    c = measured.Comparison(o, program=o.program)
    for case in CASES:
        seed = lambda: FIRST_SEED + len(c.samples.get(case, []))
        row = c.case(case, "s", {"volley": lambda: lambda: ours(o.program, case, seed()), "sb3": lambda: lambda: theirs(o.python, case, seed())})
        if row:
            row["cpu_s"] = {who: measured.spread([r["cpu_s"] for r in rounds]) for who, rounds in row["kept"].items()}
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
