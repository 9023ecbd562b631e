"""Volley's faces beside the originals: ale-py's AtariVectorEnv and EnvPool, every array of every step.

    python peers.py [--games breakout,seaquest | all] [--steps 200] [--seeds 1,2,3] [--envs 3] [--peer ale,envpool]
                    [--turns N] [--json FILE] [--budget SECONDS]
    python peers.py --replay benchmarks/results/python_equality.json

Compared: observations, rewards, ends and information, their types and shapes; where ALE leaves rows of final_obs undefined, the
others. Half-way some environments are reset. A peer that is not installed is passed over, and named.

Every game has every setting, with every seed. With --turns a game has one setting in each turn, and another one in the next.
--json keeps a checksum of all that both showed in each run, and --replay compares Volley's rows with these checksums, without peers.
"""

import argparse
import json
import os
import sys
import time
import zlib

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


def summed(crc, value, over=None):
    """The checksum goes on over arrays and dictionaries of them."""
    if isinstance(value, dict):
        for key in sorted(value):
            crc = summed(zlib.crc32(key.encode(), crc), value[key], over if key == "final_obs" else None)
        return crc
    array = np.ascontiguousarray(value if over is None else value[over])
    return zlib.crc32(array.tobytes(), zlib.crc32(f"{array.dtype}{array.shape}".encode(), crc))


def reset_both(what, ours, theirs, crc, **reset):
    mine = ours.reset(**reset)
    if theirs is not None:
        other = theirs.reset(**reset)
        same(what, mine[0], other[0])
        same_info(what, mine[1], other[1])
    return summed(summed(crc, mine[0]), mine[1])


def play(ours, theirs, number, steps, **reset):
    """Both, or ours alone, with the same actions; how many episodes ended, and the checksum of what was shown."""
    if theirs is not None:
        same_spaces(ours, theirs)
    crc = reset_both("reset", ours, theirs, 0, **reset)
    rng, ends, actions = np.random.default_rng(number), 0, ours.single_action_space.n
    for t in range(steps):
        if t == steps // 2:
            mask = rng.random(ours.num_envs) < 0.5
            mask[rng.integers(ours.num_envs)] = True
            crc = reset_both(f"reset at {t}", ours, theirs, crc, options={"reset_mask": mask})
        action = rng.integers(0, actions, ours.num_envs)
        a = ours.step(action)
        over = a[2] | a[3]
        if theirs is not None:
            b = theirs.step(action)
            for name, x, y in zip(("observation", "reward", "terminated", "truncated"), a, b):
                same(f"step {t}: {name}", x, y)
            same_info(f"step {t}", a[4], b[4], over)
        for part in a[:4]:
            crc = summed(crc, part)
        crc = summed(crc, a[4], over)
        ends += int(over.sum())
    for envs in (ours, theirs):
        if envs is not None:
            envs.close()
    return ends, crc


def camel(game):
    return "".join(w.capitalize() for w in game.split("_"))


def ale(game, options, seed, args):
    peer = None
    if not args.replay:
        from ale_py.vector_env import AtariVectorEnv as peer
    if options.get("img_width") == 160:
        screen = volley.make_vec(game, options={"atari.preset": "ale", "atari.size": 210}).single_observation_space.shape
        options = {**options, "img_height": screen[-2] if screen[-1] == 160 else screen[-3]}
    pair = [make and make(game, args.envs, **options) for make in (volley.AtariVectorEnv, peer)]
    return play(*pair, seed, args.steps, seed=seed)


def envpool(game, options, seed, args):
    from volley import envpool as ours

    peer = None
    if not args.replay:
        import envpool as peer
    options = {"seed": seed, **options}
    if isinstance(options["seed"], list):
        options["seed"] = options["seed"][: args.envs]
    pair = [module and module.make(f"{camel(game)}-v5", "gymnasium", num_envs=args.envs, **options) for module in (ours, peer)]
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


def report_of(rows):
    """Sums by peer; what differs in full."""
    by_peer = {}
    for peer, game, setting, seed, _, steps, ends, wrong in rows:
        sums = by_peer.setdefault(peer, {"games": set(), "settings": set(), "seeds": set(), "runs": 0, "steps": 0, "ends": 0, "differences": 0})
        for key, value in (("games", game), ("settings", setting), ("seeds", seed)):
            sums[key].add(value)
        for key, value in (("runs", 1), ("steps", steps), ("ends", ends), ("differences", int(wrong is not None))):
            sums[key] += value
    results = [{"peer": peer, **{k: len(v) if isinstance(v, set) else v for k, v in sums.items()}} for peer, sums in by_peer.items()]
    differing = [{"peer": r[0], "game": r[1], "setting": PEERS[r[0]][1][r[2]], "seed": r[3], "what": r[7]} for r in rows if r[7]]
    return {"steps": sum(r[5] for r in rows), "differences": len(differing), "games": len({r[1] for r in rows}), "results": results, "differing": differing}


def replay(args):
    """Volley's rows of every recorded run, against the checksum of what its peer showed."""
    with open(args.replay) as f:
        recorded = json.load(f)
    args.steps, args.envs = recorded["steps_each"], recorded["envs"]
    wrong = 0
    for peer, game, setting, seed, crc in recorded["runs"]:
        compare, settings = PEERS[peer]
        if compare(game, settings[setting], seed, args)[1] != crc:
            wrong += 1
            print(f"DIFFERS {peer} {game} {settings[setting]} seed {seed}", flush=True)
    print(f"{len(recorded['runs'])} runs, {len(recorded['runs']) * args.steps * args.envs} steps, {wrong} differ")
    sys.exit(1 if wrong else 0)


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
    p.add_argument("--replay", metavar="FILE")
    return p.parse_args()


def main():
    args = parsed()
    try:
        volley.AtariVectorEnv("pong", 1).close()
    except LookupError as e:
        print(f"SKIPPED: {e}", file=sys.stderr)
        sys.exit(77)
    if args.replay:
        replay(args)
    games = volley.names("atari") if args.games == "all" else args.games.split(",")
    record, until = record_of(args) if args.json else None, time.time() + args.budget
    rows, missing = [], set()
    for peer, game, setting, seed in runs_of(args, games):
        if peer in missing or time.time() > until:
            continue
        compare, settings = PEERS[peer]
        ends, crc, wrong = 0, 0, None
        try:
            ends, crc = compare(game, settings[setting], seed, args)
        except ModuleNotFoundError as e:
            print(f"SKIPPED in part: {peer}: {e}", file=sys.stderr)
            missing.add(peer)
            continue
        except (AssertionError, volley.Error) as e:
            wrong = str(e)
            print(f"DIFFERS {peer} {game} {settings[setting]} seed {seed}: {e}", flush=True)
        rows.append((peer, game, setting, seed, crc, args.steps * args.envs, ends, wrong))
    report = {**report_of(rows), "steps_each": args.steps, "envs": args.envs, "runs": [r[:5] for r in rows if not r[7]]}
    print(f"{len(rows)} runs, {report['steps']} steps, {sum(r[6] for r in rows)} ends, {report['differences']} differ")
    if record:
        record.write(report)
    sys.exit(1 if report["differences"] else 0 if rows else 77)


if __name__ == "__main__":
    main()
