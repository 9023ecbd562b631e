"""What peers' environments do in comparisons of steps per second, each in a process of one core: random actions drawn beforehand,
observations, rewards and ends delivered."""
import measured

SINGLE = """
import gymnasium
env = gymnasium.make(ARGS[0])
env.reset(seed=0)
env.action_space.seed(0)
actions = [env.action_space.sample() for _ in range(500)]
if hasattr(env.action_space, "n"):
    actions = [int(a) for a in actions]
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
space, draw = env.action_space, np.random.default_rng(0)
if hasattr(space, "n"):
    actions = draw.integers(space.n, size=(64, n)).astype(np.int32)
else:
    actions = draw.uniform(space.low, space.high, (16, n, *space.shape)).astype(space.dtype)
def work():
    for a in actions:
        env.step(a)
    return n * len(actions)
"""


def child(code, *words, seconds, **more):
    return lambda: measured.Child(code, *words, seconds=seconds, cores=1, **more)


def best(code, name, sizes, seconds, **more):
    """At the number of environments at which it is fastest."""
    return lambda: measured.Best({f"{n} environments": child(code, name, n, seconds=seconds, **more) for n in sizes})
