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

import measured
import peer_envs

TASKS = {"ant": "Ant-v5", "half_cheetah": "HalfCheetah-v5", "hopper": "Hopper-v5", "walker2d": "Walker2d-v5", "humanoid": "Humanoid-v5",
         "swimmer": "Swimmer-v5", "reacher": "Reacher-v5", "inverted_pendulum": "InvertedPendulum-v5",
         "inverted_double_pendulum": "InvertedDoublePendulum-v5", "pusher": "Pusher-v5", "humanoid_standup": "HumanoidStandup-v5"}
SIZES = (16, 64, 256)


def versions():
    found = measured.versions("gymnasium", "mujoco", "envpool")
    told = subprocess.run([measured.VOLLEY, "doctor", "--json"], capture_output=True, text=True, cwd=measured.ROOT).stdout
    found["volley's mujoco"] = json.loads(told.splitlines()[-1])["facts"].get("mujoco", "not here").split(",")[0]
    return found


def main():
    o = measured.options(__doc__, "mujoco.json")
    c = measured.Comparison(o, versions=versions())
    for name, gym_id in TASKS.items():
        ours = {what: measured.suite("envs", f"mujoco/{name}/{what}", o.seconds, 1, arguments=["--env", f"mujoco/{name}"]) for what in ("actor", "bare", "step")}
        c.case(f"mujoco/{name}/actor", "steps/s", {"volley": ours["actor"], "bare": ours["bare"], "gymnasium": peer_envs.child(peer_envs.SINGLE, gym_id, seconds=o.seconds)})
        c.case(f"mujoco/{name}/step", "steps/s", {"volley": ours["step"],
                                                  "envpool": peer_envs.best(peer_envs.ENVPOOL, gym_id, SIZES, o.seconds)})
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
