#!/usr/bin/env python3
"""Steps per second on one core by the wall clock, ours and the peers', alternately in one run.

    python3 benchmarks/compare_envs.py [--out benchmarks/results/envs.json]

Needs build/volley and, of the peers, whichever import: gymnasium (vectorised where it can be, and single environments), envpool
(one thread), minatar, gymnax (needs jax). Every program has one core. A vectorised peer is tried with 64 to 4,096 environments and
measured at its best, which the file names; ours always steps 256 (`step`) or 1,024 through the pool of actors (`pool`). All get
random actions drawn beforehand and deliver observations, rewards and ends.

gymnax's MinAtar is another game than MinAtar's: episodes of SpaceInvaders, Breakout and Asterix end after 1,000 steps, actions are not
sticky, only those that matter are there, shots have a pause. Its steps stand beside ours as steps, its returns not at all; the
MinAtar package is the same game as ours, step for step.
"""
import subprocess
import sys

import measured
from peer_envs import ENVPOOL, SINGLE, best, child

GYM = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountaincar": "MountainCar-v0", "cliffwalking": "CliffWalking-v1"}
MINATAR = {"breakout": "Breakout-MinAtar", "asterix": "Asterix-MinAtar", "freeway": "Freeway-MinAtar", "space_invaders": "SpaceInvaders-MinAtar",
           "seaquest": None}  # gymnax has no Seaquest that runs
SIZES = (64, 256, 1024, 4096, 16384, 65536)

VECTOR = """
import gymnasium
import numpy as np
n = int(ARGS[1])
env = gymnasium.make_vec(ARGS[0], num_envs=n, vectorization_mode="vector_entry_point")
env.reset(seed=0)
actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(64, n))
def work():
    for a in actions:
        env.step(a)
    return n * len(actions)
"""

PACKAGE = """
import logging
logging.disable(logging.WARNING)
import numpy as np
from minatar import Environment
env = Environment(ARGS[0])
env.seed(0)
env.reset()
actions = [int(a) for a in np.random.default_rng(0).integers(6, size=500)]
def work():
    for a in actions:
        _, done = env.act(a)
        env.state()
        if done:
            env.reset()
    return len(actions)
"""

# A whole rollout is one compiled loop: its fastest. The sums keep the compiler from leaving observations out.
GYMNAX = """
import jax, gymnax
import jax.numpy as jnp
env, params = gymnax.make(ARGS[0])
n, steps = int(ARGS[1]), 64
def one(carry, key):
    state, seen = carry
    act, step = jax.random.split(key)
    action = jax.random.randint(act, (n,), 0, env.num_actions)
    obs, state, reward, *_ = jax.vmap(env.step, (0, 0, 0, None))(jax.random.split(step, n), state, action, params)
    return (state, seen + obs.sum() + reward.sum()), None
roll = jax.jit(lambda state, key: jax.lax.scan(one, (state, 0.0), jax.random.split(key, steps))[0])
_, state = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), n), params)
key = jax.random.key(1)
def work():
    global state, key
    key, use = jax.random.split(key)
    state, seen = roll(state, use)
    seen.block_until_ready()
    return n * steps
"""
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"}


def classic(c, o):
    for name, gym_id in GYM.items():
        peers = {"gymnasium": child(SINGLE, gym_id, seconds=o.seconds)}
        if name == "cartpole":
            peers["gymnasium_vectorised"] = best(VECTOR, gym_id, SIZES, o.seconds)
        if name != "cliffwalking":  # EnvPool has that under another version: not the same rules
            peers["envpool"] = best(ENVPOOL, gym_id, SIZES, o.seconds)
        c.case(f"{name}/step", "steps/s", {"volley": measured.suite("envs", f"{name}/step", o.seconds, 1), **peers})
        if name == "cartpole":
            del peers["gymnasium"]
            c.case(f"{name}/pool", "steps/s", {"volley": measured.suite("envs", f"{name}/pool", o.seconds, 1), **peers})


def minatar(c, o):
    for game, gymnax_id in MINATAR.items():
        sides = {"volley": measured.suite("envs", f"minatar/{game}/step", o.seconds, 1), "minatar": child(PACKAGE, game, seconds=o.seconds)}
        if gymnax_id:
            sides["gymnax"] = best(GYMNAX, gymnax_id, SIZES, o.seconds, environment=ONE_THREAD, python=o.gymnax)
        c.case(f"minatar/{game}/step", "steps/s", sides)


def versions(gymnax):
    told = subprocess.run([gymnax, "-c", "from importlib.metadata import version as v; print(v('gymnax'), v('jax'))"], capture_output=True, text=True)
    return {**measured.versions("gymnasium", "envpool", "minatar"), **dict(zip(("gymnax", "jax"), told.stdout.split()))}


def main():
    o = measured.options(__doc__, "envs.json", more=lambda parser: parser.add_argument(
        "--gymnax", metavar="PYTHON", default=sys.executable, help="an interpreter that has gymnax, which wants an older gymnasium"))
    c = measured.Comparison(o, versions=versions(o.gymnax))
    classic(c, o)
    minatar(c, o)
    return c.finish()


if __name__ == "__main__":
    sys.exit(main())
