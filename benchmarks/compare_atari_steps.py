#!/usr/bin/env python3
"""Atari agent steps per second by the wall clock, equal deliveries: the stack (N,4,84,84) of uint8 in the caller's memory.

    python3 benchmarks/compare_atari_steps.py [--games pong,breakout | all] [--threads 1,2] [--out benchmarks/results/atari_steps.json]

Needs build/volley, ale-py (its AtariVectorEnv, its ROMs) and envpool with opencv. Everybody has as many cores as threads, plays random
actions without sticky ones, four frames a step, and delivers stacks, rewards and ends. Ours steps 32 environments
(benchmarks/bench_atari_stack.h). On the first game the peers are tried with 8 and 32 environments, all stepped together or half of
them at a time (their asynchronous way), as many threads as cores; all games are measured with the best, which the file names.
"""
import os
import sys

import measured
from compare_atari import EIGHT, geometric_means, listed_games, ours

ALE = """
import ale_py
import numpy as np
from ale_py.vector_env import AtariVectorEnv
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
n, batch, threads = map(int, ARGS[1:4])
env = AtariVectorEnv(ARGS[0], num_envs=n, batch_size=batch, num_threads=threads)
env.reset(seed=1)
actions = np.random.default_rng(1).integers(0, env.single_action_space.n, (max(2, 128 // batch), batch))
if batch < n:
    env.send(actions[0])
def work():
    for a in actions:
        if batch < n:
            assert env.recv()[0].shape[0] == batch
            env.send(a)
        else:
            env.step(a)
    return batch * len(actions)
"""

ENVPOOL = """
import envpool
import numpy as np
n, batch, threads = map(int, ARGS[1:4])
env = envpool.make_gymnasium("".join(w.capitalize() for w in ARGS[0].split("_")) + "-v5", num_envs=n, batch_size=batch, num_threads=threads, seed=1)
if batch < n: env.async_reset()
else: env.reset()
actions = np.random.default_rng(1).integers(0, env.action_space.n, (max(2, 128 // batch), batch)).astype(np.int32)
def work():
    for a in actions:
        if batch < n:
            env.send(a, env.recv()[-1]["env_id"])
        else:
            env.step(a)
    return batch * len(actions)
"""


class Tuned:
    """A peer at its best setting for a number of cores, found with the first game that is measured."""

    def __init__(self, code, cores, seconds):
        self.code, self.cores, self.seconds, self.setting = code, cores, seconds, None
        self.words = {f"{n} environments, {batch} at a time": (n, batch, cores) for n in (8, 32) for batch in (n, n // 2)}

    def one(self, game, setting):
        return lambda: measured.Child(self.code, game, *self.words[setting], seconds=self.seconds, cores=self.cores)

    def __call__(self, game):
        def make():
            found = measured.Best({name: self.one(game, name) for name in ([self.setting] if self.setting else self.words)})
            self.setting = found.setting
            return found

        return make


def main():
    def more(parser):
        parser.add_argument("--games", default=EIGHT, help="all, or a list (default: eight)")
        parser.add_argument("--threads", default="1,2", help="how many threads, and cores (default 1,2)")

    o = measured.options(__doc__, "atari_steps.json", seconds=0.5, more=more)
    try:
        import ale_py
    except ImportError as error:
        print(f"SKIPPED: {error}", file=sys.stderr)
        return 77
    roms = os.path.join(os.path.dirname(ale_py.__file__), "roms")
    c = measured.Comparison(o, ale_py=ale_py.__version__)
    for cores in map(int, o.threads.split(",")):
        ale, envpool = (Tuned(code, cores, o.seconds) for code in (ALE, ENVPOOL))
        for game in listed_games(o.games):
            name = f"stack84/{cores}"
            c.case(f"{game}/{name}", "steps/s", {"volley": ours(game, name, o.seconds, roms, cores), "ale_vector": ale(game), "envpool": envpool(game)})
    return c.finish(over_games=geometric_means(c.cases))


if __name__ == "__main__":
    sys.exit(main())
