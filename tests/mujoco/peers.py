#!/usr/bin/env python3
"""Compares observations, rewards and ends with Gymnasium's v5 environments, bit for bit, with the MuJoCo that this Python has.

    python3 tests/mujoco/peers.py --driver build/mujoco_driver                    # the test suite's: 400 steps of each
    python3 tests/mujoco/peers.py --driver build/mujoco_driver --steps 10000 --json benchmarks/results/mujoco_peers.json

Needs gymnasium, mujoco and imageio. Three seeds are stepped side by side, in turn on one simulation, so that an actor's few numbers
have to be all that its next step depends on; Gymnasium keeps a simulation for each. Actions are uniform, every tenth half as
large again as the bounds allow. Where an episode ends, the environments start the next one from the same generator.
"""
import argparse
import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
import folder
import measured

try:
    import gymnasium
    import mujoco
    import numpy as np
    import gymnasium.envs.mujoco.mujoco_env
except ImportError as e:
    print(f"SKIPPED: {e}: pip install 'gymnasium[mujoco]', and name that Python in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)

IDS = {"ant": "Ant", "half_cheetah": "HalfCheetah", "hopper": "Hopper", "walker2d": "Walker2d", "humanoid": "Humanoid", "swimmer": "Swimmer",
       "reacher": "Reacher", "inverted_pendulum": "InvertedPendulum", "inverted_double_pendulum": "InvertedDoublePendulum",
       "pusher": "Pusher", "humanoid_standup": "HumanoidStandup"}
TERMINATED, TRUNCATED, RESET, GAME_OVER = 1, 2, 4, 16


def actions_of(space, steps, seeds):
    rng = np.random.default_rng(seeds)
    actions = rng.uniform(space.low, space.high, (steps, len(seeds), *space.shape))
    actions[::10] *= 1.5
    return actions.astype(np.float32)


def row(obs, reward, flags):
    return np.asarray(obs, np.float32).tobytes() + np.float32(reward).tobytes() + bytes([flags])


def play(gym_id, seed, actions):
    """The rows of one seed, as the driver writes them; how many episodes ended."""
    env = gymnasium.make(gym_id, disable_env_checker=True)
    rows, ended, ends = [row(env.reset(seed=seed)[0], 0, RESET)], False, 0
    for action in actions:
        if ended:
            rows.append(row(env.reset()[0], 0, RESET))
            ended = False
            continue
        obs, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
        ends += ended
        rows.append(row(obs, reward, TERMINATED * bool(terminated) | TRUNCATED * bool(truncated) | GAME_OVER * ended))
    env.close()
    return rows, ends


def first_difference(ours, theirs):
    """What differs, in the first row that does."""
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a == b:
            continue
        mine, its = np.frombuffer(a[:-1], np.float32), np.frombuffer(b[:-1], np.float32)
        at = int(np.flatnonzero(mine != its)[0]) if (mine != its).any() else len(mine)
        what = "flags" if at == len(mine) else "reward" if at == len(mine) - 1 else f"number {at}"
        return f"row {i}, {what}: {mine[at] if at < len(mine) else a[-1]!r}, Gymnasium {its[at] if at < len(its) else b[-1]!r}"
    return None


def compare(args, name, env):
    gym_id = IDS[name] + "-v5"
    space = gymnasium.make(gym_id, disable_env_checker=True).action_space
    actions = actions_of(space, args.steps, args.seeds)
    done = subprocess.run([args.driver, f"mujoco/{name}", "", str(args.steps), *map(str, args.seeds)], input=actions.tobytes(), capture_output=True, env=env)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.decode().strip()}")
    n, size = len(args.seeds), len(done.stdout) // ((args.steps + 1) * len(args.seeds))
    rows = [done.stdout[i * size:(i + 1) * size] for i in range((args.steps + 1) * n)]
    result = {"name": f"mujoco/{name}", "steps": args.steps, "seeds": args.seeds, "episodes": 0, "equal": True}
    for k, seed in enumerate(args.seeds):
        theirs, ends = play(gym_id, seed, actions[:, k])
        result["episodes"] += ends
        difference = first_difference(rows[k::n], theirs)
        if difference:
            result["equal"] = False
            print(f"{name}, seed {seed}, {difference}", file=sys.stderr)
    print(f"mujoco/{name:26} {n} x {args.steps} steps, {result['episodes']} episodes: {'equal' if result['equal'] else 'DIFFERENT'}", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 7, 2**31 - 1])
    parser.add_argument("--tasks", default=",".join(IDS))
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    args.driver, args.json = os.path.abspath(args.driver), args.json and os.path.abspath(args.json)
    record = measured.Record(args.json, timed=False)
    with tempfile.TemporaryDirectory() as work:
        folder.fill(work)
        here = os.getcwd()
        os.chdir(work)  # the library writes its warnings into a file of the working directory
        env = {**os.environ, "VOLLEY_MUJOCO": work}
        results = [compare(args, name, env) for name in args.tasks.split(",")]
        os.chdir(here)
    record.write({"versions": {"mujoco": mujoco.__version__, "gymnasium": gymnasium.__version__, "numpy": np.__version__}, "results": results})
    return 0 if all(r["equal"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
