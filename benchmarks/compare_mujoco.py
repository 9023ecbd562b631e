#!/usr/bin/env python3
"""Steps per second of Gymnasium's MuJoCo tasks (v5) on one core: ours, the bare physics, Gymnasium and EnvPool, alternately in one run.

    python3 benchmarks/compare_mujoco.py [--out benchmarks/results/mujoco.json]

Needs build/volley, `make mujoco`, and of the peers whichever import: gymnasium with mujoco, envpool (one thread). Cases:

- NAME/actor: one environment. `bare` is a C loop of mj_step() over the very same simulation, with mj_resetData() and mj_forward() at
  the starts and nothing else: what no environment of this library can pass. `gymnasium` is its single environment.
- NAME/step: 256 of ours by one call, beside EnvPool at the best of 16, 64 and 256 environments.

All get uniform random actions drawn beforehand and deliver observations, rewards and ends. Every side has the MuJoCo version that the
file names for it: Gymnasium's is that of the Python, which should be ours; EnvPool brings its own.
"""
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import measured

TASKS = {"ant": "Ant-v5", "half_cheetah": "HalfCheetah-v5", "hopper": "Hopper-v5", "walker2d": "Walker2d-v5", "humanoid": "Humanoid-v5",
         "swimmer": "Swimmer-v5", "reacher": "Reacher-v5", "inverted_pendulum": "InvertedPendulum-v5",
         "inverted_double_pendulum": "InvertedDoublePendulum-v5", "pusher": "Pusher-v5", "humanoid_standup": "HumanoidStandup-v5"}
SIZES = (16, 64, 256)

SINGLE = """
import gymnasium
env = gymnasium.make(ARGS[0])
env.reset(seed=0)
env.action_space.seed(0)
actions = [env.action_space.sample() for _ in range(500)]
def work():
    for a in actions:
        _, _, terminated, truncated, _ = env.step(a)
        if terminated or truncated:
            env.reset()
    return len(actions)
"""

ENVPOOL = """
import envpool
import numpy as np
n = int(ARGS[1])
env = envpool.make_gymnasium(ARGS[0], num_envs=n, num_threads=1)
env.reset()
space = env.action_space
actions = np.random.default_rng(0).uniform(space.low, space.high, (16, n, *space.shape)).astype(space.dtype)
def work():
    for a in actions:
        env.step(a)
    return n * len(actions)
"""


def child(code, *words, seconds):
    return lambda: measured.Child(code, *words, seconds=seconds, cores=1)


def versions():
    found = {}
    for name in ("gymnasium", "mujoco", "envpool"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    told = subprocess.run([measured.VOLLEY, "doctor", "--json"], capture_output=True, text=True, cwd=measured.ROOT).stdout
    found["volley's mujoco"] = json.loads(told.splitlines()[-1])["facts"].get("mujoco", "not here").split(",")[0]
    return found


def main():
    o = measured.options(__doc__, "mujoco.json")
    c = measured.Comparison(o, versions=versions())
    for name, gym_id in TASKS.items():
        ours = {what: measured.suite("envs", f"mujoco/{name}/{what}", o.seconds, 1, arguments=["--env", f"mujoco/{name}"]) for what in ("actor", "bare", "step")}
        c.case(f"mujoco/{name}/actor", "steps/s", {"volley": ours["actor"], "bare": ours["bare"], "gymnasium": child(SINGLE, gym_id, seconds=o.seconds)})
        c.case(f"mujoco/{name}/step", "steps/s", {"volley": ours["step"],
                                                  "envpool": lambda gym_id=gym_id: measured.Best({f"{n} environments": child(ENVPOOL, gym_id, n, seconds=o.seconds) for n in SIZES})})
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
