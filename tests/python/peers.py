"""Volley's faces beside the originals: ale-py's AtariVectorEnv and EnvPool, every array of every step.

    python peers.py [--games breakout,seaquest | all] [--steps 200] [--seeds 1,2,3] [--envs 3] [--peer ale,envpool]
                    [--turns N] [--json FILE] [--budget SECONDS]

Compared: observations, rewards, ends and information, their types and shapes; where ALE leaves rows of final_obs undefined, the
others. Half-way some environments are reset. A peer that is not installed is passed over, and named.

Every game has every setting, with every seed. With --turns a game has one setting in each turn, and another one in the next.
"""

import argparse
import os
import sys
import time

try:
    import numpy as np
    import gymnasium

    import volley
except ImportError as e:
    print(f"SKIPPED: {e}: name a Python with gymnasium in VLY_PYTHON", file=sys.stderr)
    sys.exit(77)

ALE = [
    {},
    {"autoreset_mode": "SameStep"},
    {"autoreset_mode": "SameStep", "episodic_life": True, "max_num_frames_per_episode": 300},
    {"repeat_action_probability": 0.25},
    {"episodic_life": True, "max_num_frames_per_episode": 300},
    {"life_loss_info": True, "max_num_frames_per_episode": 500},
    {"grayscale": False},
    {"img_height": 210, "img_width": 160},
    {"stack_num": 1, "frameskip": 1},
    {"maxpool": False, "episodic_life": True},
    {"noop_max": 0, "use_fire_reset": False},
    {"full_action_space": True, "reward_clipping": False},
]
ENVPOOL = [
    {},
    {"seed": [5, 9, 2, 4, 1, 3, 8, 7]},
    {"episodic_life": True, "max_episode_steps": 60},
    {"reward_clip": True, "repeat_action_probability": 0.25},
    {"gray_scale": False, "stack_num": 2, "frame_skip": 3},
    {"noop_max": 1, "use_fire_reset": False, "full_action_space": True},
]


def same(what, ours, theirs, rows=None):
    assert ours.dtype == theirs.dtype, f"{what}: type {ours.dtype}, the peer's is {theirs.dtype}"
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, the peer's is {theirs.shape}"
    a, b = (ours, theirs) if rows is None else (ours[rows], theirs[rows])
    assert np.array_equal(a, b), f"{what}: {np.argwhere(a != b)[:4].tolist()} differ"


def same_info(t, ours, theirs, over=None):
    assert set(ours) == set(theirs), f"step {t}: information {sorted(ours)}, the peer's is {sorted(theirs)}"
    for key, value in ours.items():
        if isinstance(value, dict):
            same_info(t, value, theirs[key])
        else:
            same(f"step {t}: {key}", value, theirs[key], over if key == "final_obs" else None)


def same_spaces(ours, theirs):
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), f"{name}: {getattr(ours, name)}, the peer's is {getattr(theirs, name)}"


def reset_some(t, ours, theirs, rng):
    """The rows of the others show what they showed last."""
    mask = rng.random(ours.num_envs) < 0.5
    mask[rng.integers(ours.num_envs)] = True
    (mine, my_info), (other, other_info) = (envs.reset(options={"reset_mask": mask}) for envs in (ours, theirs))
    same(f"reset at {t}", mine, other)
    same_info(f"reset at {t}", my_info, other_info)


def play(ours, theirs, number, steps, **reset):
    """Both, with the same actions; how many episodes ended."""
    same_spaces(ours, theirs)
    (mine, my_info), (other, other_info) = ours.reset(**reset), theirs.reset(**reset)
    same("reset", mine, other)
    same_info("reset", my_info, other_info)
    rng, ends, actions = np.random.default_rng(number), 0, ours.single_action_space.n
    for t in range(steps):
        if t == steps // 2:
            reset_some(t, ours, theirs, rng)
        action = rng.integers(0, actions, ours.num_envs)
        a, b = ours.step(action), theirs.step(action)
        for name, x, y in zip(("observation", "reward", "terminated", "truncated"), a, b):
            same(f"step {t}: {name}", x, y)
        over = a[2] | a[3]
        same_info(f"step {t}", a[4], b[4], over)
        ends += int(over.sum())
    ours.close()
    theirs.close()
    return ends


def camel(game):
    return "".join(w.capitalize() for w in game.split("_"))


def ale(game, options, seed, args):
    from ale_py.vector_env import AtariVectorEnv

    if options.get("img_width") == 160:
        screen = volley.make_vec(game, options={"atari.preset": "ale", "atari.size": 210}).single_observation_space.shape
        options = {**options, "img_height": screen[-2] if screen[-1] == 160 else screen[-3]}
    pair = [make(game, args.envs, **options) for make in (volley.AtariVectorEnv, AtariVectorEnv)]
    return play(*pair, seed, args.steps, seed=seed)


def envpool(game, options, seed, args):
    import envpool as peer
    from volley import envpool as ours

    options = {"seed": seed, **options}
    if isinstance(options["seed"], list):
        options["seed"] = options["seed"][: args.envs]
    pair = [make(f"{camel(game)}-v5", "gymnasium", num_envs=args.envs, **options) for make in (ours.make, peer.make)]
    return play(*pair, seed, args.steps)


PEERS = {"ale": (ale, ALE), "envpool": (envpool, ENVPOOL)}


def runs_of(args, games):
    """(peer, game, number of the setting, seed), in the order in which they are played."""
    seeds = [int(s) for s in args.seeds.split(",")]
    for turn in range(args.turns or 1):
        for k, game in enumerate(games):
            for peer in args.peer.split(","):
                n = len(PEERS[peer][1])
                for setting in [(k + turn) % n] if args.turns else range(n):
                    yield from ((peer, game, setting, seed) for seed in ([seeds[turn // n % len(seeds)]] if args.turns else seeds))


def record_of(args):
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks"))
    import measured

    return measured.Record(args.json, timed=False)


def report_of(rows, games):
    """Sums by peer; what differs in full."""
    by_peer = {}
    for peer, game, setting, seed, steps, ends, wrong in rows:
        sums = by_peer.setdefault(peer, {"games": set(), "settings": set(), "seeds": set(), "runs": 0, "steps": 0, "ends": 0, "differences": 0})
        for key, value in (("games", game), ("settings", setting), ("seeds", seed)):
            sums[key].add(value)
        for key, value in (("runs", 1), ("steps", steps), ("ends", ends), ("differences", int(wrong is not None))):
            sums[key] += value
    results = [{"peer": peer, **{k: len(v) if isinstance(v, set) else v for k, v in sums.items()}} for peer, sums in by_peer.items()]
    differing = [{"peer": r[0], "game": r[1], "setting": PEERS[r[0]][1][r[2]], "seed": r[3], "what": r[6]} for r in rows if r[6]]
    return {"steps": sum(r[4] for r in rows), "differences": len(differing), "games": len(games), "results": results, "differing": differing}


def parsed():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--games", default="breakout")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--seeds", default="1")
    p.add_argument("--envs", type=int, default=3)
    p.add_argument("--peer", default="ale,envpool")
    p.add_argument("--turns", type=int, default=0)
    p.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no run begins")
    p.add_argument("--json", metavar="FILE")
    return p.parse_args()


def main():
    args = parsed()
    games = volley.names("atari") if args.games == "all" else args.games.split(",")
    record, until = record_of(args) if args.json else None, time.time() + args.budget
    rows, missing = [], set()
    for peer, game, setting, seed in runs_of(args, games):
        if peer in missing or time.time() > until:
            continue
        compare, settings = PEERS[peer]
        ends, wrong = 0, None
        try:
            ends = compare(game, settings[setting], seed, args)
        except ModuleNotFoundError as e:
            print(f"SKIPPED in part: {peer}: {e}", file=sys.stderr)
            missing.add(peer)
            continue
        except (AssertionError, volley.Error) as e:
            wrong = str(e)
            print(f"DIFFERS {peer} {game} {settings[setting]} seed {seed}: {e}", flush=True)
        rows.append((peer, game, setting, seed, args.steps * args.envs, ends, wrong))
    report = report_of(rows, games)
    print(f"{len(rows)} runs, {report['steps']} steps, {sum(r[5] for r in rows)} ends, {report['differences']} differ")
    if record:
        record.write(report)
    sys.exit(1 if report["differences"] else 0 if rows else 77)


if __name__ == "__main__":
    main()
