"""Our Atari beside ALE's AtariVectorEnv and EnvPool, in turn, in one run.

    python benchmarks/compare_atari_steps.py --steps build/atari_steps [--games pong,breakout,...] [--rounds 3]
                [--steps-each 1500] [--json FILE]

Agent steps per second of processor time (machines are shared) with the new 84 x 84 picture ready, one environment on one thread each, random actions. Every
round runs each side for a second or so, one after the other; a game's ratio is the median of its rounds'.
"""
import argparse, json, os, statistics, subprocess, sys, time
import measured
try:
    import numpy as np
    import ale_py
except ImportError as e:
    print(f"SKIPPED: {e}", file=sys.stderr)
    sys.exit(77)
from ale_py.vector_env import AtariVectorEnv

EIGHT = "pong,breakout,space_invaders,seaquest,ms_pacman,qbert,beam_rider,tetris"
ROMS = os.path.join(os.path.dirname(ale_py.__file__), "roms")


def ours_steps(args, game, n):
    out = subprocess.run([args.steps, game, ROMS, "ale", "1", f"stale_terminal=0,time={n}"], capture_output=True, text=True)
    return float(out.stdout.split()[0])


def ale_steps(game, n):
    env = AtariVectorEnv(game, num_envs=1, num_threads=1)
    env.reset(seed=1)
    rng = np.random.default_rng(1)
    actions = rng.integers(0, env.single_action_space.n, (n, 1))
    start = time.process_time()
    for a in actions:
        env.step(a)
    return n / (time.process_time() - start)


def envpool_steps(game, n):
    import envpool
    env = envpool.make_gymnasium("".join(w.capitalize() for w in game.split("_")) + "-v5", num_envs=1, num_threads=1, seed=1)
    env.reset()
    rng = np.random.default_rng(1)
    actions = rng.integers(0, env.action_space.n, (n, 1))
    start = time.process_time()
    for a in actions:
        env.step(a)
    return n / (time.process_time() - start)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--steps", required=True)
    p.add_argument("--games", default=EIGHT)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps-each", type=int, default=1500, help="of a peer in a round; ours makes more than twice as many")
    p.add_argument("--json")
    args = p.parse_args()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    rows = []
    listed = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "atari", "games.txt")
    for game in open(listed).read().split() if args.games == "all" else args.games.split(","):
        sides = {"volley": [], "ale_vector": [], "envpool": []}
        for _ in range(args.rounds):
            sides["volley"].append(ours_steps(args, game, args.steps_each * 8 // 3))
            sides["ale_vector"].append(ale_steps(game, args.steps_each))
            try:
                sides["envpool"].append(envpool_steps(game, args.steps_each))
            except (ImportError, AssertionError, KeyError, ValueError, RuntimeError): # not here, or it has no such game
                pass
        row = dict(game=game, **{k: statistics.median(v) for k, v in sides.items() if v}, rounds=sides)
        for peer in ("ale_vector", "envpool"):
            if sides[peer]:
                row["times_" + peer] = statistics.median(a / b for a, b in zip(sides["volley"], sides[peer]))
        rows.append(row)
        print(game, {k: round(v, 1) for k, v in row.items() if isinstance(v, float)}, flush=True)
    total = {k: float(np.exp(np.mean([np.log(r[k]) for r in rows if k in r]))) for k in ("times_ale_vector", "times_envpool") if any(k in r for r in rows)}
    least = {k: min((r[k], r["game"]) for r in rows if k in r) for k in ("times_ale_vector", "times_envpool") if any(k in r for r in rows)}
    print("geometric means", {k: round(v, 2) for k, v in total.items()}, "least", least)
    if args.json:
        json.dump(dict(**measured.facts("python benchmarks/compare_atari_steps.py --steps build/atari_steps --games " + args.games + f" --rounds {args.rounds} --steps-each {args.steps_each}"),
                       unit="agent steps per second of processor time, one environment, one thread", ale_py=ale_py.__version__, geometric_means=total, least=least, results=rows), open(args.json, "w"), indent=1)


if __name__ == "__main__":
    main()
