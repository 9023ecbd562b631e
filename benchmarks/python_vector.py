#!/usr/bin/env python3
"""Agent steps per second through Python: volley.AtariVectorEnv beside ale-py's and EnvPool, and CartPole beside Gymnasium's.

    python3 benchmarks/python_vector.py [--games pong,breakout | all] [--threads 1,2] [--envs 8,32,256] [--out benchmarks/results/python_vector.json]

Needs build/libvolley.so, ale-py (and its ROMs) and envpool. Everybody has as many cores as threads and steps all environments
together with random actions, four frames a step without sticky ones, and gives the caller an array (N,4,84,84) of uint8 of his own,
rewards, ends and information: equal deliveries. CartPole: Gymnasium's own vectorised environment at the number of environments where
it is fastest, ours at the same. States: get_state and set_state of 32 environments of the first game.
"""
import os
import sys

import measured
from compare_atari import EIGHT, geometric_means, listed_games

PLAY = """
import numpy as np
n, threads = map(int, ARGS[1:3])
{make}
{reset}
actions = np.random.default_rng(1).integers(0, env.single_action_space.n, (max(2, 256 // n), n)).astype(np.{kind})
def work():
    for a in actions:
        env.step(a)
    return n * len(actions)
"""


def play(make, reset="env.reset(seed=1)", kind="int64"):
    return PLAY.format(make=make, reset=reset, kind=kind)


SIDES = {
    "volley": play("import volley\nenv = volley.AtariVectorEnv(ARGS[0], num_envs=n, num_threads=threads)"),
    "ale_vector": play(
        "import ale_py\nfrom ale_py.vector_env import AtariVectorEnv\nale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)\n"
        "env = AtariVectorEnv(ARGS[0], num_envs=n, num_threads=threads)"
    ),
    "envpool": play(
        'import envpool\nenv = envpool.make_gymnasium("".join(w.capitalize() for w in ARGS[0].split("_")) + "-v5", num_envs=n, num_threads=threads, seed=1)',
        "env.reset()",
        "int32",
    ),
}
CARTPOLE = {
    "volley": play("import volley\nenv = volley.make_vec('cartpole', num_envs=n, num_threads=threads)"),
    "gymnasium": play("import gymnasium\nenv = gymnasium.make_vec('CartPole-v1', num_envs=n, vectorization_mode='vector_entry_point')"),
}
STATES = """
import volley
env = volley.AtariVectorEnv(ARGS[0], num_envs=32, num_threads=1)
env.reset(seed=1)
def work():
    env.set_state(None, env.get_state())
    return 32
"""


def child(code, o, environment, cores, *words):
    return lambda: measured.Child(code, *words, seconds=o.seconds, cores=cores, environment=environment)


def best_size(o, environment):
    """Where Gymnasium is fastest."""
    sizes = {str(n): child(CARTPOLE["gymnasium"], o, environment, 1, "cartpole", n, 1) for n in (256, 1024, 4096, 16384)}
    found = measured.Best(sizes)
    found.close()
    return int(found.setting)


def main():
    def more(parser):
        parser.add_argument("--games", default=EIGHT, help="all, or a list (default: eight)")
        parser.add_argument("--threads", default="1,2", help="how many threads, and cores (default 1,2)")
        parser.add_argument("--envs", default="8,32,256", help="numbers of environments (default 8,32,256)")

    o = measured.options(__doc__, "python_vector.json", seconds=0.5, more=more)
    try:
        import ale_py
    except ImportError as error:
        print(f"SKIPPED: {error}", file=sys.stderr)
        return 77
    roms = os.environ.get("VOLLEY_ROMS") or os.path.join(os.path.dirname(ale_py.__file__), "roms")
    environment = {"PYTHONPATH": os.path.join(measured.ROOT, "python"), "VOLLEY_ROMS": roms}
    c = measured.Comparison(o, ale_py=ale_py.__version__)
    for threads in map(int, o.threads.split(",")):
        for n in map(int, o.envs.split(",")):
            for game in listed_games(o.games):
                sides = {who: child(code, o, environment, threads, game, n, threads) for who, code in SIDES.items()}
                c.case(f"{game}/{n}/{threads}", "steps/s", sides)
    means = geometric_means(c.cases)
    if o.filter in "cartpole":
        n = best_size(o, environment)
        c.case(f"cartpole/{n}/1", "steps/s", {who: child(code, o, environment, 1, "cartpole", n, 1) for who, code in CARTPOLE.items()})
    c.case("states", "states/s", {"volley": child(STATES, o, environment, 1, listed_games(o.games)[0])})
    return c.finish(over_games=means)


if __name__ == "__main__":
    sys.exit(main())
